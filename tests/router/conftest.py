"""The real router as a fixture."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.router.lab import Lab, missing, sweep

MakeLab = Callable[..., Lab]


@pytest.fixture(scope="session")
def router_machine() -> Iterator[None]:
    """Skip where the tests cannot run, except in CI, where they must."""
    lacking = missing()
    if lacking is not None and os.environ.get("CI") == "true":
        pytest.fail(f"the router tests must run in CI and need {lacking}")
    if lacking is not None:
        pytest.skip(f"the router tests need {lacking}")
    sweep()
    # A terminated run tears down what it made, as an interrupted one does.
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    yield
    signal.signal(signal.SIGTERM, previous)


@pytest.fixture
def make_lab(router_machine: None, tmp_path: Path) -> Iterator[MakeLab]:
    """Make routers, each with the switches given, and remove them at the end of the test."""
    with ExitStack() as stack:

        def make(**switches: object) -> Lab:
            folder = tmp_path / f"lab{len(list(tmp_path.iterdir()))}"
            folder.mkdir()
            return stack.enter_context(Lab(folder, **switches))  # type: ignore[arg-type]

        yield make


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in one line what the skipped tests lack."""
    lacking = missing()
    if lacking is not None and terminalreporter.stats.get("skipped"):
        terminalreporter.write_line(f"skipped: the router tests need {lacking}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what runs here."""
    for item in items:
        if "make_lab" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.router)
