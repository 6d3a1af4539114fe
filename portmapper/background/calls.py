"""Calls that are made in the background, and waited for here."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import suppress
from math import inf
from typing import Generic, TypeVar

import anyio
from anyio.lowlevel import current_token

from portmapper.background.thread import Background, spawn
from portmapper.errors import GatewayTimeout, InvalidRequest, LocalError, MapperClosed, NotHere, PortMapperError

T = TypeVar("T")


class Call(Generic[T]):
    """One call of a coroutine function in the background. `result` is there in the end, whatever happens."""

    def __init__(self, function: Callable[[], Awaitable[T]]) -> None:
        self._function = function
        self._scope: anyio.CancelScope | None = None
        self._given_up = False
        self.result: Future[T] = Future()

    async def run(self) -> None:
        """Make the call; raises nothing but a cancellation from outside."""
        try:
            with anyio.CancelScope() as self._scope:
                if not self._given_up:
                    self.result.set_result(await self._function())
        except Exception as error:  # noqa: BLE001 - whatever it is belongs to whoever called
            self.result.set_exception(error)
        finally:
            self.refuse(MapperClosed("the mapper was left, or the program ended, before the gateway had answered"))

    def refuse(self, reason: LocalError) -> None:
        """End it without having been made, if it has not ended."""
        if not self.result.done():
            self.result.set_exception(reason)

    def give_up(self) -> None:
        """Cancel it, in the loop."""
        self._given_up = True
        if self._scope is not None:
            self._scope.cancel()

    def wait(self, background: Background) -> T:
        """Wait for the result. An exception that comes meanwhile (Ctrl-C) cancels the call, without waiting."""
        try:
            return self.result.result()
        except BaseException:
            if not self.result.done():
                with suppress(PortMapperError):  # it is over anyway
                    background.post(self.give_up)
            raise


def run(function: Callable[[], Awaitable[T]], timeout: float | None = None) -> T:
    """Return what `function` returns, awaited in the background. Raises NotHere in the thread of an event loop.

    Raises GatewayTimeout after `timeout` seconds, and what `function` raises.
    """
    check_may_wait()
    call = Call(in_time(function, timeout))
    background, done = spawn(call)
    try:
        return call.wait(background)
    finally:
        if call.result.done():  # else whoever interrupted does not wait
            background.settle(done)


def in_time(function: Callable[[], Awaitable[T]], timeout: float | None) -> Callable[[], Awaitable[T]]:
    """Return `function` with a bound in seconds; None is without. Raises InvalidRequest."""
    check_timeout(timeout)

    async def bounded() -> T:
        with anyio.move_on_after(inf if timeout is None else timeout):
            return await function()
        raise too_late(timeout)

    return bounded


def check_timeout(timeout: float | None) -> None:
    """Raise InvalidRequest for what is no bound in seconds."""
    if timeout is not None and not timeout >= 0:
        raise InvalidRequest(f"timeout must be 0 seconds or more, not {timeout}")


def too_late(timeout: float | None) -> GatewayTimeout:
    """Return the error for what took longer than it might."""
    return GatewayTimeout(f"it was not done within {timeout} s", seconds=timeout or 0.0)


def check_may_wait() -> None:
    """Raise NotHere where waiting would stop an event loop."""
    if _a_loop_runs_here():
        raise NotHere(
            "a call that waits would stop the event loop of this thread: await portmapper.PortMapper instead, "
            "or make the call in a thread of its own (asyncio.to_thread, trio.to_thread.run_sync)"
        )


def _a_loop_runs_here() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        pass
    else:
        return True
    try:
        current_token()  # trio's
    except RuntimeError:
        return False
    return True
