"""Leave cleanly when told to."""

import signal
import sys
from collections.abc import Awaitable, Callable

import anyio
from anyio.abc import TaskGroup, TaskStatus

from portmapper.errors import PortMapperError

Session = Callable[[TaskGroup], Awaitable[None]]
"""The work of a command; gets a group for tasks that go on while it cleans up after a signal."""

_CONVENTION = 128  # a shell reads 128 + n as "ended by signal n"


def run_session(session: Session) -> int:
    """Run `session` in an event loop of its own; the rest as `run_until_signal`."""
    return anyio.run(run_until_signal, session)


async def run_until_signal(session: Session) -> int:
    """Run `session` to its end and return 0, or cancel it at a signal and return 128 + n once it has cleaned up.

    A second signal ends the process at once. Raises what the session raises, if it is a PortMapperError.
    """
    received: list[signal.Signals] = []
    failure: PortMapperError | None = None
    work, listening = anyio.CancelScope(), anyio.CancelScope()

    async def listen(*, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        with listening, anyio.open_signal_receiver(*_handled()) as numbers:
            task_status.started()
            async for number in numbers:
                if received:
                    _end_at_once(number)
                received.append(number)
                _end_line(number)
                work.cancel()

    async with anyio.create_task_group() as tasks:
        await tasks.start(listen)
        with work:
            try:
                await session(tasks)
            except PortMapperError as error:
                failure = error  # raised outside: the group would wrap it
        listening.cancel()
    if received:
        return _CONVENTION + received[0]
    if failure is not None:
        raise failure
    return 0


def _handled() -> list[signal.Signals]:
    wanted = [getattr(signal, name, None) for name in ("SIGINT", "SIGTERM", "SIGHUP")]
    # What was ignored from the start (nohup, a shell's background job) stays ignored.
    return [number for number in wanted if number is not None and signal.getsignal(number) is not signal.SIG_IGN]


def _end_line(number: int) -> None:
    # The terminal has shown ^C where the cursor was; what is said next gets a line of its own.
    if number == signal.SIGINT:
        for stream in (sys.stderr, sys.stdout):
            if stream.isatty():
                print(file=stream, flush=True)
                return


def _end_at_once(number: signal.Signals) -> None:
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)
