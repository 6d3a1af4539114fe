"""What holds for every test: both event loops, nothing blocks, nothing is left behind, nothing leaves this machine."""

import gc
import os
import sys
import threading
from collections.abc import Iterator
from typing import Any

import anyio
import hypothesis  # noqa: F401 - before gc.freeze below, which hides from it who refers to what
import pytest
from blockbuster import blockbuster_ctx

from portmapper.mapper import PortMapper
from portmapper.net import clock
from portmapper.testing import gateway
from tests import sockets, virtual


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str | tuple[str, dict[str, Any]]:
    """Run each async test on both, on virtual time if it asks for that."""
    name: str = request.param
    return virtual.backend(name) if "virtual_time" in request.fixturenames else name


class SilentBell:
    """What happens to the network of this machine is no part of a test in virtual time."""

    async def wait(self) -> None:
        await anyio.sleep_forever()

    def hush(self) -> None:
        pass

    def close(self) -> None:
        pass


@pytest.fixture
def virtual_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the clock of the loop, and the library's with it, jump to the next timer whenever nothing can go on."""
    monkeypatch.setattr(clock, "now", anyio.current_time)
    monkeypatch.setattr("portmapper.attending.make_bell", lambda _: SilentBell())
    assert PortMapper.__init__.__kwdefaults__ is not None
    monkeypatch.setitem(
        PortMapper.__init__.__kwdefaults__, "check", None
    )  # else every count of requests has looks in it
    monkeypatch.setattr(gateway, "_TICK", 1.0)  # each is a jump: an hour has 36000 of the gateway's own


@pytest.fixture(autouse=True)
def nothing_blocks_the_loop() -> Iterator[None]:
    """Fail a test in which the library makes a blocking call while an event loop runs."""
    with blockbuster_ctx("portmapper") as guard:
        for call in ("os.stat", "os.listdir", "io.BufferedReader.read", "io.TextIOWrapper.read"):
            guard.functions[call].can_block_in("portmapper/registry.py", "_plugins")  # like an import, once
        yield


@pytest.fixture(autouse=True)
def nothing_is_left_behind() -> Iterator[None]:
    """Fail a test after which a thread or a file descriptor survives."""
    threads, descriptors = _threads(), _descriptors()
    yield
    _collect()
    for thread in _threads() - threads:
        # Told to end with the loop, or with a process of ours, neither of which waits for that.
        if thread.name.startswith(("AnyIO worker", "waitpid-", "asyncio-waitpid-")):
            thread.join(2)
    assert _threads() <= threads
    left = {number: _target(number) for number in _descriptors() - descriptors}
    assert not left


def pytest_collection_finish() -> None:
    """Leave what is there before the first test out of the collections after each test."""
    _collect()


def _collect() -> None:
    # What is alive now lives on, so no later collection need look at it: that saves half of the time of all tests.
    gc.collect()
    gc.freeze()


def _threads() -> set[threading.Thread]:
    # The test runner drives trio from a thread of trio's; what we start ourselves would show under asyncio as well.
    return {thread for thread in threading.enumerate() if not thread.name.startswith("Trio thread")}


def _descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd")) if sys.platform == "linux" else set()


def _target(number: str) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{number}")
    except OSError:
        return "gone"


sockets.install()
