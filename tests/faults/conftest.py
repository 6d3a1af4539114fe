"""Says at the end how many cases were run."""

import pytest

from tests.faults.stage import CASES


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the counts."""
    for kind, count in sorted(CASES.items()):
        terminalreporter.write_line(f"{kind}: {count} cases")
