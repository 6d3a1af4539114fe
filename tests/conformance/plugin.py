"""Runs the marked tests only, and gathers for each row which they are and how they ended."""

from collections import defaultdict
from collections.abc import Iterable

import pytest

from tests.conformance.outcome import Outcome, outcome_of


class Collector:
    """A pytest plugin."""

    def __init__(self) -> None:
        self._tests: defaultdict[str, list[str]] = defaultdict(list)
        self._outcomes: defaultdict[str, Outcome] = defaultdict(lambda: Outcome.NOT_RUN)

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids that the marks name."""
        return tuple(self._tests)

    def functions(self, row: str) -> tuple[str, ...]:
        """Return the tests of a row; one that has parameters, such as the event loop, is one test."""
        return tuple(dict.fromkeys(map(short_name, self._tests.get(row, ()))))

    def outcome(self, row: str) -> Outcome:
        """Return what the tests of a row came to together."""
        return max((self._outcomes[test] for test in self._tests.get(row, ())), default=Outcome.NOT_RUN)

    @pytest.hookimpl(tryfirst=True)  # before -k and -m leave out more: those tests are there, and were not run
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Keep the marked tests."""
        for item in items:
            for row in _rows_of(item):
                self._tests[row].append(item.nodeid)
        config.hook.pytest_deselected(items=[item for item in items if not any(_rows_of(item))])
        items[:] = [item for item in items if any(_rows_of(item))]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note how one phase of a test ended."""
        self._outcomes[report.nodeid] = max(self._outcomes[report.nodeid], outcome_of(report))


def short_name(test: str) -> str:
    """Return file and function of a node id."""
    return test.partition("[")[0].removeprefix("tests/")


def _rows_of(item: pytest.Item) -> Iterable[str]:
    return dict.fromkeys(row for mark in item.iter_markers("conforms") for row in mark.args)
