"""Blocking calls, one at a time, in threads that nobody has to wait for."""

from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from threading import Thread
from typing import Any, TypeVar

import anyio
from anyio import from_thread
from anyio.lowlevel import EventLoopToken, current_token

from portmapper import GatewayTimeout

T = TypeVar("T")


class Worker:
    """Runs blocking calls, each in a daemon thread of its own.

    The C library limits each read to 5 s, but nothing as a whole: a device that sends a byte now and then keeps a call
    for ever, and no thread can be stopped from outside. So a call has a deadline here, after which its thread is
    left to itself. Two things make that harmless. It keeps its turn until it really ends, so that a device which hangs
    costs one thread and not one for each renewal. And it is a daemon: the threads of `anyio.to_thread` are not, on
    asyncio, so that even an abandoned one would hold up the end of the program. They are also shared, and not ours to
    use up.
    """

    def __init__(self) -> None:
        self._turn = anyio.CapacityLimiter(1)

    async def run(self, work: Callable[[], T], *, seconds: float, what: str) -> T:
        """Return what `work` returns, or raise what it raises. Raises GatewayTimeout after `seconds`.

        The wait for an earlier call counts. A cancellation takes effect at once, and leaves the thread behind.
        """
        outcome: Future[T] = Future()
        ended = anyio.Event()
        with anyio.move_on_after(seconds):
            await self._turn.acquire_on_behalf_of(outcome)
            arguments = (work, outcome, ended, current_token())
            Thread(target=self._work, args=arguments, name="portmapper-miniupnpc", daemon=True).start()
            await ended.wait()
        if not outcome.done():
            raise GatewayTimeout(f"the C library was not done with {what} after {seconds:.2g} s", seconds=seconds)
        return outcome.result()

    def _work(self, work: Callable[[], Any], outcome: "Future[Any]", ended: anyio.Event, loop: EventLoopToken) -> None:
        try:
            outcome.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            outcome.set_exception(error)
        with suppress(RuntimeError):  # the event loop has ended
            from_thread.run_sync(self._end, outcome, ended, token=loop)

    def _end(self, outcome: "Future[Any]", ended: anyio.Event) -> None:
        self._turn.release_on_behalf_of(outcome)
        ended.set()
