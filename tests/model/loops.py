"""Loops in virtual time for what uses no sockets: the clock jumps whenever no task can run."""

import asyncio
import selectors
from typing import Any

import trio.testing
from trio._core import _run


class _Jumping(selectors.DefaultSelector):
    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("nothing will ever happen")
        self.now += max(timeout, 0.0)
        return []


class JumpingLoop(asyncio.SelectorEventLoop):
    """An asyncio loop that waits for nothing but its clock."""

    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


def options(name: str) -> dict[str, Any]:
    """Return what `anyio.run` needs for virtual time on asyncio or trio."""
    if name == "asyncio":
        return {"loop_factory": JumpingLoop}
    _run._ALLOW_DETERMINISTIC_SCHEDULING = True  # type: ignore[misc]  # Hypothesis has the same need
    _run._r.seed(0)
    return {"clock": trio.testing.MockClock(autojump_threshold=0)}
