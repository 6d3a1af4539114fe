"""Structured concurrency that anyio leaves to its users."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio
from anyio.abc import TaskGroup

T = TypeVar("T")


async def end_tasks(tasks: TaskGroup) -> None:
    """Cancel what runs in `tasks`, wait for its end and leave the group, undisturbed by a cancellation from outside.

    Called from `__aexit__` without the exception of the block: a task group would wrap that into a group.
    """
    tasks.cancel_scope.shield = True
    tasks.cancel_scope.cancel()
    await tasks.__aexit__(None, None, None)


async def finish_begun(call: Callable[[], Awaitable[T]], *, grace: float) -> T:
    """Return what `call` returns. A cancellation takes effect when `call` has ended, or after `grace` seconds.

    For requests that change something at the other end: one that is cut off may still be carried out, later than
    whatever is sent to undo it.
    """
    outcome: list[T] = []
    failure: list[Exception] = []
    done = anyio.Event()
    work = anyio.CancelScope(shield=True)

    async def run() -> None:
        with work:
            try:
                outcome.append(await call())
            except Exception as error:  # noqa: BLE001 - raised again below, outside the group that would wrap it
                failure.append(error)
        done.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        try:
            await done.wait()
        finally:
            work.deadline = anyio.current_time() + grace
    if failure:
        raise failure[0]
    return outcome[0]
