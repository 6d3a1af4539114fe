"""What is printed, and whether it is good enough."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from tests.conformance.checklist import Row, natural
from tests.conformance.outcome import Outcome

_LEVELS = ("MUST", "REQ", "SHOULD", "MAY", "LIB", "QUIRK", "FAULT")  # a row of two levels counts under the stronger


@dataclass(frozen=True, slots=True)
class Finding:
    """A row with its tests and what they came to."""

    row: Row
    tests: tuple[str, ...] = ()
    outcome: Outcome = Outcome.NOT_RUN

    @property
    def result(self) -> str:
        """The result in words."""
        return str(self.outcome) if self.tests else "no test"

    @property
    def unexplained(self) -> bool:
        """Whether nothing says how the library stands to the row."""
        return not self.tests and not self.row.note


def problems(findings: Sequence[Finding], marked: Sequence[str]) -> list[str]:
    """Return all reasons why this is not good enough; `marked` are the ids that the marks of the tests name."""
    known = {finding.row.id for finding in findings}
    rows = {
        "in a mark, but not in the checklist": sorted((row for row in marked if row not in known), key=natural),
        "FAILED": [finding.row.id for finding in findings if finding.outcome is Outcome.FAILED],
        "neither a test nor a note": [finding.row.id for finding in findings if finding.unexplained],
    }
    return [f"{what}: {', '.join(ids)}" for what, ids in rows.items() if ids]


def render(findings: Sequence[Finding], marked: Sequence[str]) -> str:
    """Return the whole report."""
    parts = [_table(findings), _untested(findings), "\n".join(problems(findings, marked)), _summary(findings)]
    return "\n\n".join(part for part in parts if part)


def _table(findings: Sequence[Finding]) -> str:
    head = ("id", "level", "result", "tests", "first test")
    return _aligned([head, *(_cells(finding) for finding in findings)])


def _cells(finding: Finding) -> tuple[str, ...]:
    row, tests = finding.row, finding.tests
    return row.id, row.level, finding.result, str(len(tests)), tests[0] if tests else "-"


def _untested(findings: Sequence[Finding]) -> str:
    rows = [finding.row for finding in findings if not finding.tests]
    lines = _aligned([(row.id, row.level, row.note or "?") for row in rows])
    return f"Rows without a test\n{lines}" if rows else ""


def _aligned(lines: Sequence[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def _summary(findings: Sequence[Finding]) -> str:
    groups = [list(group) for _, group in groupby(findings, key=lambda finding: finding.row.prefix)]
    lines = _aligned([(group[0].row.prefix, f"{len(group)} rows", "; ".join(_counts(group))) for group in groups])
    return f"{lines}\n{len(findings)} rows in all"


def _counts(findings: Sequence[Finding]) -> Iterator[str]:
    for level in _LEVELS:
        results = [finding.result for finding in findings if _strongest(finding.row) == level]
        counts = (f"{results.count(result)} {result}" for result in dict.fromkeys(sorted(results)))
        if results:
            yield f"{level} {', '.join(counts)}"


def _strongest(row: Row) -> str:
    return next((level for level in _LEVELS if level in row.level), row.level)
