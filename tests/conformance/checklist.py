"""The rows of checklist.md."""

import re
from dataclasses import dataclass
from pathlib import Path

CHECKLIST = Path(__file__).parent / "checklist.md"
_ID = re.compile(r"(NP|PC)-\d{2,3}")
_HEAD = {"id", "---"}


@dataclass(frozen=True, slots=True)
class Row:
    """One requirement. `note` is why it has no test, or what was decided."""

    id: str
    requirement: str
    level: str
    section: str
    note: str


def parse(text: str) -> tuple[Row, ...]:
    """Return the rows of all tables in `text`. Raises ValueError for a line of a table that is none."""
    cells = [_cells(line) for line in text.splitlines() if line.startswith("|")]
    return tuple(_row(line) for line in cells if line[0] not in _HEAD)


def load() -> tuple[Row, ...]:
    """Return the rows of the checklist."""
    return parse(CHECKLIST.read_text(encoding="utf-8"))


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip()[1:-1].split("|")]


def _row(cells: list[str]) -> Row:
    if len(cells) != len(Row.__slots__) or not _ID.fullmatch(cells[0]) or "" in cells[:4]:
        raise ValueError(f"not a row of the checklist: {' | '.join(cells)}")
    return Row(*cells)
