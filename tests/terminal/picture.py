"""What a terminal shows as an SVG picture, still or moving through many screens. Nothing is fetched to show it."""

from collections.abc import Iterable, Sequence
from html import escape
from io import StringIO

from rich.color import Color
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from rich.terminal_theme import SVG_EXPORT_THEME as THEME
from rich.text import Text

Frame = tuple[float, str]
"""From which second on a screen is seen, and the screen as lines with colour sequences."""

_WIDTH, _HEIGHT, _SIZE = 8.4, 18, 14  # of a character, in pixels
_MARGIN, _HEAD = 12, 34
_FONT = "'Fira Code','DejaVu Sans Mono',Menlo,Consolas,monospace"
_BUTTONS = [
    f'<circle cx="{20 + 20 * number}" cy="17" r="6" fill="{colour}"/>'
    for number, colour in enumerate(("#ff5f57", "#febc2e", "#28c840"))
]
_LAST = 3.0  # seconds the last screen of a moving picture stays


def still(screen: str, columns: int, title: str) -> str:
    """Return the picture of one screen, as high as it is full."""
    return moving([(0.0, screen)], columns, title)


def moving(frames: Sequence[Frame], columns: int, title: str) -> str:
    """Return the picture of screens that follow each other, over and over."""
    sheets = [_lines(screen) for _, screen in frames]
    rows = max(map(len, sheets))
    width, height = columns * _WIDTH + 2 * _MARGIN, rows * _HEIGHT + _HEAD + _MARGIN
    names = {
        line: f"l{number}" for number, line in enumerate(dict.fromkeys(line for sheet in sheets for line in sheet))
    }
    strip = "".join(_sheet(sheet, number * width, names) for number, sheet in enumerate(sheets))
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" role="img"',
            f' font-family="{_FONT}" font-size="{_SIZE}">',
            f"<title>{escape(title)}</title>",
            f"<style>{_style([time for time, _ in frames], width)}</style>",
            f'<clipPath id="window"><rect width="{width:g}" height="{height:g}" rx="8"/></clipPath>',
            "<defs>",
            *(f'<g id="{name}">{line}</g>' for line, name in names.items() if line),
            "</defs>",
            f'<rect width="{width:g}" height="{height:g}" rx="8" fill="{THEME.background_color.hex}"/>',
            *_BUTTONS,
            f'<g clip-path="url(#window)"><g class="strip">{strip}</g></g>',
            "</svg>\n",
        ]
    )


def _style(times: Sequence[float], width: float) -> str:
    text = "text{white-space:pre}"
    if len(times) == 1:
        return text
    total = times[-1] + _LAST
    steps = "".join(
        f"{100 * time / total:.3f}%{{transform:translateX({-number * width:g}px)}}" for number, time in enumerate(times)
    )
    return f"{text}@keyframes run{{{steps}}}.strip{{animation:run {total:.2f}s step-end infinite}}"


def _sheet(lines: Sequence[str], x: float, names: dict[str, str]) -> str:
    places = ((names[line], _HEAD + row * _HEIGHT) for row, line in enumerate(lines) if line)
    return "".join(f'<use href="#{name}" x="{x + _MARGIN:g}" y="{y}"/>' for name, y in places)


def _lines(screen: str) -> list[str]:
    console = Console(file=StringIO(), force_terminal=True, color_system="truecolor", width=1000)
    shown = Text.from_ansi(screen.rstrip("\n")).split(allow_blank=True)
    return [_line(line.render(console)) for line in shown]


def _line(segments: Iterable[Segment]) -> str:
    parts, column = [], 0
    for segment in segments:
        text = segment.text.rstrip("\n")
        parts.append(_run(text, column, segment.style or Style.null()))
        column += len(text)
    return "".join(parts)


def _run(text: str, column: int, style: Style) -> str:
    x, width = column * _WIDTH, len(text) * _WIDTH
    ink, paper = _hex(style.color), _hex(style.bgcolor)
    if style.reverse:
        ink, paper = paper or THEME.background_color.hex, ink or THEME.foreground_color.hex
    back = f'<rect x="{x:g}" width="{width:g}" height="{_HEIGHT}" fill="{paper}"/>' if paper else ""
    if not text.strip():
        return back
    looks = f'fill="{ink or THEME.foreground_color.hex}"'
    looks += ' font-weight="bold"' if style.bold else ""
    looks += ' font-style="italic"' if style.italic else ""
    looks += ' opacity=".6"' if style.dim else ""
    # The length keeps the columns in line whatever font is there.
    size = f'x="{x:g}" y="{_SIZE}" textLength="{width:g}" lengthAdjust="spacingAndGlyphs" xml:space="preserve"'
    return f"{back}<text {size} {looks}>{escape(text)}</text>"


def _hex(colour: Color | None) -> str | None:
    return None if colour is None or colour.is_default else colour.get_truecolor(THEME).hex
