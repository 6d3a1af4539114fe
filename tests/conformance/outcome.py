"""How a test ended."""

from enum import IntEnum

import pytest


class Outcome(IntEnum):
    """The greater, the worse."""

    NOT_RUN = 0
    PASSED = 1
    SKIPPED = 2
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
