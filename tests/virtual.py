"""Virtual time: a loop whose clock stands still while anything can go on, and else jumps to the next timer.

Sockets stay real. All that is on its way between two of them, both in this loop, is on the loopback interface, so the
clock may jump as soon as that is empty and no task can run: no real time is waited, however busy the machine is. Work
in other threads and processes is not waited for.
"""

import asyncio
import select
import selectors
import socket
from collections.abc import Callable
from typing import Any

import trio.testing

turns: list[Callable[[], bool]] = []
"""Called at each turn of the loop, when all that could run has run and nothing is on its way; they return whether they
made something run."""

_ROUNDS = 3  # a TCP connection is there after three packets, each sent when the one before has come


class Loopback:
    """Waits for what is on its way over the loopback interface."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.connect(self._socket.getsockname())

    def settle(self) -> None:
        """Return when all that was sent before has arrived: the interface hands packets on in their order."""
        for _ in range(_ROUNDS):
            self._socket.send(b"")
            select.select([self._socket], [], [], 10)  # a blocking recv has the guard of conftest.py look at the stack
            self._socket.recv(1)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


class JumpingSelector(selectors.DefaultSelector):
    """Where a selector would wait for the next timer, it moves `now` there."""

    def __init__(self) -> None:
        super().__init__()
        self._loopback = Loopback()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._loopback.settle()
        woken = _turn()
        ready = super().select(None if timeout is None and not woken else 0)
        if not ready and timeout is not None and not woken:
            self.now += max(timeout, 0.0)
        return ready

    def close(self) -> None:
        self._loopback.close()
        super().close()


class JumpingLoop(asyncio.SelectorEventLoop):
    """An asyncio loop on virtual time."""

    def __init__(self) -> None:
        self._jumping = JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


class SettleFirst(trio.abc.Instrument):
    """Lets trio's MockClock jump only after the loopback interface is empty."""

    def before_run(self) -> None:
        self._loopback = Loopback()

    def before_io_wait(self, timeout: float) -> None:
        self._loopback.settle()
        _turn()

    def after_run(self) -> None:
        self._loopback.close()


def _turn() -> bool:
    woken = [call() for call in turns]
    return any(woken)


def backend(name: str) -> tuple[str, dict[str, Any]]:
    """Return what anyio's `anyio_backend` fixture has to return for virtual time on asyncio or trio."""
    if name == "asyncio":
        return name, {"loop_factory": JumpingLoop}
    return name, {"clock": trio.testing.MockClock(autojump_threshold=0), "instruments": [SettleFirst()]}
