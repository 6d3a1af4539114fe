"""Tables for a terminal: which columns there is room for, and how they are drawn."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from portmapper.text import safe_text

if TYPE_CHECKING:
    from rich.table import Table

_GAP = 2  # between two columns


@dataclass(frozen=True, slots=True)
class Column:
    """A column; where there is no room for all, those with the highest `rank` go first, never those with rank 0."""

    title: str
    rank: int = 0
    right: bool = False


@dataclass(frozen=True, slots=True)
class Cell:
    """A text, safe to show, and its style in rich's words."""

    text: str
    style: str = ""


def cell(text: object, style: str = "") -> Cell:
    """Return the cell for any text, wherever it comes from."""
    return Cell(safe_text(str(text)), style)


@dataclass(frozen=True, slots=True)
class Sheet:
    """The columns and rows of a table, before it is known how much room there is."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]

    def fitting(self, width: int) -> "Sheet":
        """Return it with the columns for which `width` characters are enough."""
        kept = list(range(len(self.columns)))
        while self._width(kept) > width and (droppable := [n for n in kept if self.columns[n].rank]):
            kept.remove(max(droppable, key=lambda n: self.columns[n].rank))
        return Sheet([self.columns[n] for n in kept], [[row[n] for n in kept] for row in self.rows])

    def _width(self, kept: Sequence[int]) -> int:
        widths = (max([len(self.columns[n].title), *(len(row[n].text) for row in self.rows)]) for n in kept)
        return sum(widths) + _GAP * (len(kept) - 1)


def draw(sheet: Sheet) -> None:
    """Draw a table on standard output."""
    from rich.console import Console  # noqa: PLC0415 - 80 ms that most calls need not spend

    console = Console()
    console.print(as_table(sheet, console.width))


def as_table(sheet: Sheet, width: int) -> "Table":
    """Return rich's table of what `width` characters have room for."""
    from rich.table import Table  # noqa: PLC0415 - see `draw`
    from rich.text import Text  # noqa: PLC0415 - see `draw`

    fitting = sheet.fitting(width)
    table = Table(box=None, padding=(0, _GAP, 0, 0), pad_edge=False, header_style="bold")
    for column in fitting.columns:
        table.add_column(column.title, justify="right" if column.right else "left", overflow="fold")
    for row in fitting.rows:
        table.add_row(*(Text(one.text, style=one.style) for one in row))
    return table
