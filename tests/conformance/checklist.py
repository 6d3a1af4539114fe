"""The rows of the checklist."""

import re
from dataclasses import dataclass, fields
from pathlib import Path

TABLES = {"NP": "natpmp.md", "PC": "pcp.md", "UP": "upnp.md", "Q": "quirks.md", "F": "faults.md"}
"""The file with the rows of each prefix, in the order of the report."""

_FOLDER = Path(__file__).parent
_ID = re.compile(r"((?:NP|PC|UP|Q)(?=-[0-9]{2})|F(?=[1-9]))-?([0-9]{1,3})([a-z]?)")
_HEAD = {"id", "---"}


@dataclass(frozen=True, slots=True)
class Row:
    """One requirement, one quirk or one fault. `note` is why it has no test, or what was decided."""

    id: str
    requirement: str
    level: str
    section: str
    note: str

    @property
    def prefix(self) -> str:
        """What the row is about: the part of the id before its number."""
        match = _ID.fullmatch(self.id)
        return match[1] if match else ""


def parse(text: str) -> tuple[Row, ...]:
    """Return the rows of all tables in `text`. Raises ValueError for a line of a table that is none."""
    cells = [_cells(line) for line in text.splitlines() if line.startswith("|")]
    return tuple(_row(line) for line in cells if line[0] not in _HEAD)


def load() -> tuple[Row, ...]:
    """Return the rows of the whole checklist in the order of their ids."""
    rows = [row for name in TABLES.values() for row in parse((_FOLDER / name).read_text(encoding="utf-8"))]
    return tuple(sorted(rows, key=lambda row: natural(row.id)))


def natural(name: str) -> tuple[int, int, str]:
    """Return a key that sorts ids as people do: Q-72, Q-72a, Q-73, and 99 before 100. What is no id comes last."""
    match = _ID.fullmatch(name)
    if match is None:
        return len(TABLES), 0, name
    prefix, number, letter = match.groups()
    return list(TABLES).index(prefix), int(number), letter


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip()[1:-1].split("|")]


def _row(cells: list[str]) -> Row:
    if len(cells) != len(fields(Row)) or not _ID.fullmatch(cells[0]) or "" in cells[:4]:
        raise ValueError(f"not a row of the checklist: {' | '.join(cells)}")
    return Row(*cells)
