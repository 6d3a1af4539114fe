"""The code in the documentation: what stands in fences, and what a reader does not see.

Three things in a page are for the tests alone, all HTML comments:

    <!-- test          Python that runs here: what comes before a block, or asserts what came of it
    -->
    <!-- gateway: pcp=False -->   the next block meets a SimulatedGateway with these arguments; several with | between
    <!-- file: up.sh -->          the next block is a file of this name, which later commands find
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

ROOT = Path(__file__).parent.parent.parent
_FENCE = re.compile(r"(?P<indent> *)```(?P<language>[a-z]*)(?P<info>.*)")
_MARK = re.compile(r"<!-- (gateway|file): (.*) -->")
_HIDDEN = "<!-- test"


@dataclass(frozen=True, slots=True)
class Block:
    """Code in a page. `hidden` from the reader; `gateway` and `file` are what the marks before it say, or ""."""

    path: Path
    line: int
    language: str
    code: str
    hidden: bool = False
    gateway: str = ""
    file: str = ""

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line}"


def pages() -> list[Path]:
    """Return every page: the README and what is in docs/."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(path: Path) -> list[Block]:
    """Return the code of a page in its order. Raises ValueError for a fence or comment without an end."""
    return list(_blocks(path, path.read_text("utf-8")))


def _blocks(path: Path, text: str) -> Iterator[Block]:
    lines = iter(enumerate(text.splitlines(), 1))
    marks = {"gateway": "", "file": ""}
    for number, line in lines:
        if line == _HIDDEN:
            yield Block(path, number + 1, "python", _until("-->", lines, path), hidden=True)
        elif mark := _MARK.fullmatch(line.strip()):
            marks[mark[1]] = mark[2]
        elif fence := _FENCE.fullmatch(line):
            code = dedent(_until(f"{fence['indent']}```", lines, path))
            yield Block(path, number + 1, fence["language"], code, gateway=marks["gateway"], file=marks["file"])
            marks = {"gateway": "", "file": ""}
    if any(marks.values()):
        raise ValueError(f"{path}: a mark without a block: {marks}")


def _until(end: str, lines: Iterator[tuple[int, str]], path: Path) -> str:
    found: list[str] = []
    for _, line in lines:
        if line == end:
            return "".join(f"{one}\n" for one in found)
        found.append(line)
    raise ValueError(f"{path}: no {end!r} at the end")
