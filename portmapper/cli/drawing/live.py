"""`map` on a terminal: a table of what is open now, and above it what happens."""

import sys
from collections import deque
from collections.abc import Sequence
from datetime import datetime
from io import StringIO
from typing import TYPE_CHECKING, TextIO, cast

import anyio

from portmapper import limits
from portmapper.cli.drawing.pane import Pane
from portmapper.cli.drawing.standing import standing_sheet
from portmapper.cli.drawing.tables import as_table
from portmapper.cli.drawing.terminal import ECHO
from portmapper.cli.words.sentences import EventSentences
from portmapper.mapping import Mapping
from portmapper.model import Changed, Closed, Event, Lost

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live
    from rich.table import Table

_BESIDE = 3  # lines that are no rows: the header, the line of the cursor, and one for what happened last


class Board:
    """Draws the table once a second on standard output, and what happens above it. The table goes at the end."""

    def __init__(self) -> None:
        self._happened: deque[tuple[str, str]] = deque(maxlen=limits.UNDRAWN)
        self._sentences = EventSentences()
        self._mappings: list[Mapping] = []
        self._closed: set[Mapping] = set()
        self._changed, self._ended = anyio.Event(), anyio.Event()

    def tell(self, mapping: Mapping, event: Event) -> None:
        """Have it drawn soon."""
        now = datetime.now().astimezone()
        self._happened.extend((f"{now:%H:%M:%S}  {line}", _style(event)) for line in self._sentences.lines(event))
        if isinstance(event, Closed):
            self._closed.add(mapping)
        self._changed.set()
        self._note_end()

    async def run(self, mappings: Sequence[Mapping]) -> None:
        """Draw until all of them are closed, and those of an earlier run, or the terminal is gone."""
        first = not self._mappings
        self._mappings += mappings
        self._changed.set()
        self._note_end()
        if first:
            await self._draw_all()

    async def _draw_all(self) -> None:
        from rich.console import Console  # noqa: PLC0415 - 80 ms that most calls need not spend
        from rich.live import Live  # noqa: PLC0415 - the same

        pane = Pane(sys.stdout)
        console = Console(file=cast("TextIO", pane))
        try:
            with Live(
                self._table(console),
                console=console,
                auto_refresh=False,
                transient=True,
                redirect_stderr=sys.stderr.isatty(),  # else what is said there goes where the user wants it
            ) as live:
                await self._draw(live, pane)
            await pane.drain(limits.LAST_WORDS)
        except OSError:
            await self._ended.wait()
        finally:
            pane.close()

    async def _draw(self, live: "Live", pane: Pane) -> None:
        while not self._ended.is_set():
            if pane.takes_more():
                self._show(live)
                await pane.drain(limits.REDRAW_GAP)
            with anyio.move_on_after(limits.REDRAW_GAP):
                await self._ended.wait()
            with anyio.move_on_after(limits.REDRAW - limits.REDRAW_GAP):
                await self._changed.wait()
            self._changed = anyio.Event()
        await pane.drain(limits.LAST_WORDS)
        if not pane.takes_more():
            live.console.file = StringIO()  # to take the table away would be to wait until the terminal goes on
        self._show(live)

    def _show(self, live: "Live") -> None:
        from rich.text import Text  # noqa: PLC0415 - see above

        live.update(self._table(live.console))
        lines = [Text(text, style) for text, style in self._happened]
        self._happened.clear()
        if lines:
            live.console.print(*lines, sep="\n", soft_wrap=True)  # draws the table below them
        else:
            live.refresh()

    def _table(self, console: "Console") -> "Table":
        return as_table(standing_sheet(self._mappings, console.height - _BESIDE), console.width - ECHO)

    def _note_end(self) -> None:
        if self._mappings and self._closed.issuperset(self._mappings):
            self._ended.set()


def _style(event: Event) -> str:
    return "red" if isinstance(event, Lost) else "yellow" if isinstance(event, Changed) else ""
