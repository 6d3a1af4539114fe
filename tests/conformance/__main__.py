"""Run the tests that pin rows of the checklist and print the result for each row; arguments are pytest's."""

import sys

import pytest

from tests.conformance import checklist, report
from tests.conformance.plugin import Collector


def main(arguments: list[str]) -> int:
    """Return the exit code: 0 when no test failed and each row has a test or a note."""
    collector = Collector()
    code = pytest.main(["-q", *arguments], plugins=[collector])
    if code not in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED}:
        return int(code)  # usage, or a file that cannot be collected: nothing to report
    findings = [report.Finding(row, collector.functions(row.id), collector.outcome(row.id)) for row in checklist.load()]
    print(f"\n{report.render(findings, collector.ids)}")
    return int(bool(code or report.problems(findings, collector.ids)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
