"""Structured concurrency that anyio leaves to its users."""

from collections.abc import Awaitable, Callable, Generator, Iterable
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

import anyio
from anyio.abc import TaskGroup

T = TypeVar("T")

_bounded: ContextVar[bool] = ContextVar("_bounded", default=False)


@contextmanager
def shielded(seconds: float) -> Generator[anyio.CancelScope]:
    """Keep cancellations from a block for so many seconds; then it ends, and what was begun in it gets no grace."""
    token = _bounded.set(True)
    try:
        with anyio.move_on_after(seconds, shield=True) as scope:
            yield scope
    finally:
        _bounded.reset(token)


def _keep(_: object) -> None:
    pass


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
    whatever is sent to undo it. Inside another `finish_begun` or `shielded` the grace is theirs: they do not add up.
    """
    if _bounded.get():
        return await call()
    outcome: list[T] = []
    failure: list[Exception] = []
    done = anyio.Event()
    work = anyio.CancelScope(shield=True)

    async def run() -> None:
        _bounded.set(True)  # of this task alone
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


async def first_of(
    attempt: Callable[[int], Awaitable[T | None]], pauses: Iterable[float], discard: Callable[[T], None] = _keep
) -> T:
    """Return what the first attempt to end returns, or raise what it raises; the others are cancelled.

    Attempt 0 begins at once, the next after each of `pauses` while none has ended. One that returns None has given up
    and does not count; the last one must not. What more than one return at once is given to `discard`.
    """
    results: list[T] = []
    failures: list[Exception] = []

    async def run(number: int) -> None:
        try:
            result = await attempt(number)
        except Exception as error:  # noqa: BLE001 - raised again below, outside the group that would wrap it
            failures.append(error)
        else:
            if result is None:
                return
            results.append(result)
        tasks.cancel_scope.cancel()

    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run, 0)
            for number, pause in enumerate(pauses, 1):
                await anyio.sleep(pause)
                tasks.start_soon(run, number)
        if not results:
            raise failures[0]
        return results.pop(0)
    finally:
        for result in results:
            discard(result)
