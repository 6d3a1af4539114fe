"""An async context manager that is entered, used and left in the background."""

import warnings
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, wait
from contextlib import AbstractAsyncContextManager, suppress
from typing import Generic, TypeVar

import anyio
from anyio.abc import TaskGroup

from portmapper.background.calls import Call, check_may_wait, check_timeout, in_time, too_late
from portmapper.background.thread import spawn
from portmapper.errors import LocalError, MapperClosed, PortMapperError

M = TypeVar("M")
T = TypeVar("T")


class _Stay(Generic[M]):
    """The task that enters, and leaves when it is told to."""

    def __init__(self, manager: AbstractAsyncContextManager[M]) -> None:
        self._manager = manager
        self._calls: TaskGroup | None = None
        self._to_leave = False
        self._told: anyio.Event | None = None
        self.entered: Future[M] = Future()
        self.left: Future[None] = Future()

    async def run(self) -> None:
        """Enter, stay until told to leave, leave; what that raises is in `entered` and `left`."""
        self._told = anyio.Event()
        failure: BaseException | None = None
        try:
            with anyio.CancelScope() as self._scope:
                await self._stay(self._told)
        except Exception as error:  # noqa: BLE001 - told to whoever waits
            failure = error
        finally:
            self._tell_the_end(failure)

    async def _stay(self, told: anyio.Event) -> None:
        if self._to_leave:
            return
        async with self._manager as inhabitant, anyio.create_task_group() as calls:
            self._calls = calls
            self.entered.set_result(inhabitant)
            try:
                await told.wait()
            finally:
                self._calls = None
                calls.cancel_scope.cancel()

    def refuse(self, reason: LocalError) -> None:
        """End it, if it has not ended: the loop has."""
        if not self.left.done():
            self._tell_the_end(reason)

    def _tell_the_end(self, failure: BaseException | None) -> None:
        if not self.entered.done():
            self.entered.set_exception(failure or MapperClosed("it was left while it was being entered"))
            failure = None
        if failure is None:
            self.left.set_result(None)
        else:
            self.left.set_exception(failure)

    def give_up(self) -> None:
        """Leave, or do not enter, in the loop."""
        self._to_leave = True
        if self._told is not None:
            self._told.set()
            if not self.entered.done():
                self._scope.cancel()

    def begin(self, call: Call[T]) -> None:
        """Make a call beside the others, in the loop; one that comes too late is refused."""
        if self._calls is None:
            call.refuse(MapperClosed("use the mapper inside its `with` block"))
        else:
            self._calls.start_soon(call.run)


class Residence(Generic[M]):
    """Where an async context manager lives. Any thread may use it; it is left when nobody refers to it any more."""

    def __init__(self, manager: AbstractAsyncContextManager[M], what: str) -> None:
        self._what = what
        self._stay = _Stay(manager)
        self._background, self._done = spawn(self._stay)

    @property
    def entered(self) -> "Future[M]":
        """What was entered, or why it could not be."""
        return self._stay.entered

    @property
    def left(self) -> "Future[None]":
        """There when it has been left."""
        return self._stay.left

    def enter(self, timeout: float | None = None) -> M:
        """Wait until it is entered. Raises what entering raises, and leaves at any other exception, as Ctrl-C.

        Raises GatewayTimeout after `timeout` seconds.
        """
        try:
            return self._wait_entered(timeout)
        except BaseException:
            self.leave_soon()
            if self._stay.left.done():
                self._background.settle(self._done)
            raise

    def _wait_entered(self, timeout: float | None) -> M:
        check_timeout(timeout)
        wait([self._stay.entered], timeout)
        if not self._stay.entered.done():
            raise too_late(timeout)
        return self._stay.entered.result()

    def call(self, function: Callable[[], Awaitable[T]], timeout: float | None = None) -> T:
        """Return what `function` returns, awaited beside the inhabitant. Raises as `calls.run`; MapperClosed once left.

        Once it is told to leave, the calls that are under way are cancelled.
        """
        check_may_wait()
        return self.submit(in_time(function, timeout)).wait(self._background)

    def do(self, function: Callable[[], T]) -> T:
        """Return what `function` returns, called in the loop. Raises as `call`."""

        async def done() -> T:
            return function()

        return self.call(done)

    def submit(self, function: Callable[[], Awaitable[T]]) -> Call[T]:
        """Begin a call without waiting; one that cannot be made is refused: NotHere, MapperClosed."""
        call = Call(function)
        try:
            self._background.promise(call)
            call.result.add_done_callback(lambda _: self._background.keep(call))
            self._background.post(lambda: self._stay.begin(call))
        except LocalError as reason:
            call.refuse(reason)
        return call

    def check_process(self) -> None:
        """Raise NotHere in a process that was forked from its own."""
        self._background.check_process()

    def leave_soon(self) -> None:
        """Leave, without waiting for it; nothing happens in a process that was forked, or when it is left already."""
        with suppress(PortMapperError):
            self._background.post(self._stay.give_up)

    def leave(self) -> None:
        """Leave, and wait for it. Raises what leaving raises."""
        if not self._background.is_ours:
            return
        check_may_wait()
        self.leave_soon()
        self._background.settle(self._done)
        self._stay.left.result()

    def __del__(self) -> None:
        if hasattr(self, "_background") and self._background.is_ours and not self._stay.left.done():
            warnings.warn(f"unclosed {self._what}", ResourceWarning, stacklevel=2, source=self)
            self.leave_soon()
