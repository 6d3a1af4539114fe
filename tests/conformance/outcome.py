"""How a test ended."""

from enum import IntEnum

import pytest


class Outcome(IntEnum):
    """Of several, the greatest counts: one failure spoils a row; beside a test that passed others may be skipped."""

    NOT_RUN = 0
    SKIPPED = 1
    PASSED = 2
    FAILED = 3

    def __str__(self) -> str:
        return "FAILED" if self is Outcome.FAILED else self.name.lower().replace("_", " ")


def outcome_of(report: pytest.TestReport) -> Outcome:
    """Return what one phase of a test says. A test that is expected to fail shows that the requirement is not met."""
    if report.failed or hasattr(report, "wasxfail"):
        return Outcome.FAILED
    if report.skipped:
        return Outcome.SKIPPED
    return Outcome.PASSED if report.when == "call" else Outcome.NOT_RUN
