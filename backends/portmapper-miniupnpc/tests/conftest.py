"""What holds for every test: both event loops, a fake router, and no thread survives."""

import os
import threading
import time
from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from fake_library import FakeRouter

INSTALLED = find_spec("miniupnpc") is not None and find_spec("portmapper_miniupnpc") is not None
collect_ignore_glob = [] if INSTALLED else ["test_*.py"]


def pytest_configure() -> None:
    """Without the C library there is nothing to test; that is no excuse in CI."""
    if not INSTALLED and os.environ.get("CI") == "true":
        raise pytest.UsageError("the tests of portmapper-miniupnpc must run in CI and need it installed (make setup)")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in one line that tests are missing."""
    if not INSTALLED:
        terminalreporter.write_line("left out: the tests of portmapper-miniupnpc need it installed (make setup)")


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Run each async test on both."""
    name: str = request.param
    return name


@pytest.fixture
def router(monkeypatch: pytest.MonkeyPatch) -> "Iterator[FakeRouter]":
    """Put a fake in the place of the C library; let go what it blocks."""
    from fake_library import FakeRouter  # noqa: PLC0415 - it needs what may be missing

    fake = FakeRouter()
    monkeypatch.setattr("miniupnpc.UPnP", fake)
    yield fake
    if fake.blocked is not None:
        fake.blocked.set()
    deadline = time.monotonic() + 2
    while any(thread.name == "portmapper-miniupnpc" for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
