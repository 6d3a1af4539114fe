"""What `watch` draws on a terminal: what there is now, and below it what happened last."""

from collections import deque
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from portmapper import limits
from portmapper.cli.drawing.sheets import listed_sheet
from portmapper.cli.drawing.tables import as_table
from portmapper.cli.words.verdict import meaning
from portmapper.cli.words.watched import sighting_line
from portmapper.sightings import Answered, Answering, Appeared, Disappeared, FellSilent, Restarted, Sighting, View
from portmapper.text import safe_text

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

_BESIDE = 8  # lines that are neither mappings nor what happened last, and one for the cursor
_WIDEST = 500  # characters of a line
_STYLES: dict[type, str] = {
    Appeared: "green",
    Answered: "green",
    Disappeared: "red",
    FellSilent: "red",
    Restarted: "yellow",
}


class Screen:
    """Remembers what happened last, and draws it with what there is now, in any size."""

    def __init__(self) -> None:
        self._last: deque[tuple[str, str]] = deque(maxlen=limits.WATCHED_LAST)

    def take(self, sighting: Sighting, now: float) -> None:
        """Remember what was seen at the time of day `now`."""
        self._last.append((sighting_line(sighting, now), _STYLES.get(type(sighting), "")))

    def draw(self, view: View, width: int, height: int, now: float) -> "RenderableType":
        """Return what to show in so many columns and lines, at the time of day `now`."""
        from rich.console import Group  # noqa: PLC0415 - 80 ms that most calls need not spend

        parts: list[RenderableType] = [_line(line, style) for line, style in _head(view, now)]
        parts += _mappings(view, width, max(height - _BESIDE - len(self._last), 1), now)
        parts.append(_line("", ""))
        parts += [_line(line, style) for line, style in self._last]
        return Group(*parts)


def _head(view: View, now: float) -> Iterator[tuple[str, str]]:
    clock = f"{datetime.fromtimestamp(now).astimezone():%H:%M:%S}"
    yield (f"{view.gateway or 'no gateway'}  {clock}", "bold")
    yield (f"{view.address} is {meaning(view.address)}" if view.address else "no external address is told", "")
    told = [f"{name} {'answers' if isinstance(one, Answering) else 'is silent'}" for name, one in view.backends.items()]
    yield (", ".join(told) or "asking ...", "")
    yield ("", "")


def _mappings(view: View, width: int, room: int, now: float) -> "Iterator[RenderableType]":
    if not view.mappings:
        yield _line("no mappings", "")
        return
    yield as_table(listed_sheet(view.mappings[:room], now), width)
    if len(view.mappings) > room:
        yield _line(f"and {len(view.mappings) - room} more", "dim")


def _line(text: str, style: str) -> "Text":
    from rich.text import Text  # noqa: PLC0415 - see `draw`

    return Text(safe_text(text, limit=_WIDEST), style=style, no_wrap=True, overflow="ellipsis")
