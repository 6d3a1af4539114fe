"""Call back for events, each callback in a task of its own, so that none can harm a mapping or another callback."""

import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup

from portmapper import limits
from portmapper.errors import MapperClosed
from portmapper.holding import EventStream
from portmapper.model import Event
from portmapper.net.tasks import end_tasks

_log = logging.getLogger(__name__)
_FAILED = "a callback failed at %s"

Callback: TypeAlias = Callable[[Event], Awaitable[None] | None]
"""A coroutine function runs in the event loop; any other is called in a worker thread, where it may block."""


class Notifier:
    """Delivers events to callbacks, in their order, from its start to its end."""

    def __init__(self) -> None:
        self._tasks: TaskGroup | None = None
        self._running = 0
        self._idle = anyio.Event()

    async def start(self) -> None:
        """Deliver from now on."""
        self._tasks = await anyio.create_task_group().__aenter__()

    def add(self, stream: EventStream, callback: Callback) -> Callable[[], None]:
        """Have `callback` called for what comes through `stream`. Returns what ends that. Raises MapperClosed."""
        if self._tasks is None:
            raise MapperClosed("callbacks are called while the mapper is open")
        scope = anyio.CancelScope()
        self._running += 1
        self._tasks.start_soon(self._deliver, stream, callback, scope)
        return scope.cancel

    async def end(self) -> None:
        """Give the callbacks a moment for what was told last, then stop them. Not to be cancelled from outside."""
        tasks, self._tasks = self._tasks, None
        if tasks is None:
            return
        with anyio.move_on_after(limits.LAST_WORDS, shield=True):
            while self._running:
                self._idle = anyio.Event()
                await self._idle.wait()
        await end_tasks(tasks)

    async def _deliver(self, stream: EventStream, callback: Callback, scope: anyio.CancelScope) -> None:
        thread = anyio.CapacityLimiter(1)  # of its own: one that blocks for long takes nobody's place
        try:
            with scope:
                async for event in stream:
                    await _call(callback, event, thread)
        finally:
            self._running -= 1
            self._idle.set()


async def _call(callback: Callback, event: Event, thread: anyio.CapacityLimiter) -> None:
    try:
        if inspect.iscoroutinefunction(callback):
            await callback(event)
        else:
            result = await anyio.to_thread.run_sync(_called, callback, event, abandon_on_cancel=True, limiter=thread)
            if inspect.isawaitable(result):
                await result
    except Exception:  # noqa: BLE001 - it may raise anything, and whoever wrote it reads the log
        _log.exception(_FAILED, type(event).__name__)


def _called(callback: Callback, event: Event) -> object:
    try:
        return callback(event)
    except BaseException:  # noqa: BLE001 - SystemExit would end the loop, CancelledError look like a cancellation
        _log.exception(_FAILED, type(event).__name__)
        return None
