"""The table of verdicts in docs/doctor.md, from the texts and the situations that are played: `-m` writes it there."""

import re
from collections.abc import Iterator
from pathlib import Path

from portmapper.doctor.problem import Code
from portmapper.doctor.wording import parts
from tests.doctor.situations import SITUATIONS

PAGE = Path(__file__).parents[2] / "docs" / "doctor.md"
_EXTRA = re.compile(r"(?<=[\w}])\{\w+\}")
"""What is said on occasion, right after a word."""
_PLACE = re.compile(r"\{(\w+)\}")
_TABLE = re.compile(r"^\| verdict .*?(?=^\n)", re.MULTILINE | re.DOTALL)


def table() -> str:
    """Return the table: verdict, exit code, what is said, and the situations in which the tests expect it."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield "| verdict | ends with | what is said | situations that are tested |"
    yield "| --- | --- | --- | --- |"
    for code in Code:
        mine = [one for one in SITUATIONS if one.code == code]
        ends = " or ".join(sorted({"0" if one.well else "1" for one in mine}))
        headline = _PLACE.sub(lambda place: f"*{place[1].upper()}*", _EXTRA.sub("", parts(code)[0]))
        yield f"| `{code}` | {ends} | {headline} | {'; '.join(one.name for one in mine)} |"


if __name__ == "__main__":
    PAGE.write_text(_TABLE.sub(lambda _: table(), PAGE.read_text(), count=1))
