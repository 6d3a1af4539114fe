"""Leave cleanly when told to."""

import os
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress

import anyio
from anyio.abc import TaskGroup, TaskStatus

from portmapper.cli.drawing.terminal import can_draw
from portmapper.cli.streams import Name, takes_more
from portmapper.errors import PortMapperError

Session = Callable[[TaskGroup], Awaitable[int | None]]
"""The work of a command; gets a group for tasks that go on while it cleans up after a signal. Returns the exit code."""

Divert = Callable[[signal.Signals], bool]
"""Deal with a signal in another way; returns whether it did."""

end_with_us: set[int] = set()
"""Process groups that are killed where a second signal ends the process at once, and nobody can end them later."""

_STREAMS: tuple[Name, ...] = ("stderr", "stdout")
_SHOW_CURSOR = b"\x1b[?25h"
_ERASE_LINE = b"\r\x1b[K"
_CONVENTION = 128  # a shell reads 128 + n as "ended by signal n"


def _divert_nothing(_number: signal.Signals) -> bool:
    return False


def run_session(session: Session, divert: Divert = _divert_nothing) -> int:
    """Run `session` in an event loop of its own; the rest as `run_until_signal`."""
    return anyio.run(run_until_signal, session, divert)


async def run_until_signal(session: Session, divert: Divert = _divert_nothing) -> int:
    """Run `session` to its end and return its exit code, 0 if it has none.

    A signal that `divert` leaves alone cancels it: then 128 + n is returned, once it has cleaned up. A second one ends
    the process at once. Raises what the session raises, if it is a PortMapperError.
    """
    received: list[signal.Signals] = []
    code: int | None = None
    failure: PortMapperError | None = None
    work, listening = anyio.CancelScope(), anyio.CancelScope()

    async def listen(*, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        with listening, anyio.open_signal_receiver(*_handled()) as numbers:
            task_status.started()
            async for number in numbers:
                if divert(number):
                    continue
                if received:
                    _end_at_once(number)
                received.append(number)
                _take_back_echo(number)
                work.cancel()

    async with anyio.create_task_group() as listeners:
        await listeners.start(listen)
        async with anyio.create_task_group() as tasks:
            with work:
                try:
                    code = await session(tasks)
                except PortMapperError as error:
                    failure = error  # raised outside: the group would wrap it
        listening.cancel()  # not before the last task has cleaned up
    if received:
        return _CONVENTION + received[0]
    if failure is not None:
        raise failure
    return code or 0


def _handled() -> list[signal.Signals]:
    wanted = [getattr(signal, name, None) for name in ("SIGINT", "SIGTERM", "SIGHUP")]
    # What was ignored from the start (nohup, a shell's background job) stays ignored.
    return [number for number in wanted if number is not None and signal.getsignal(number) is not signal.SIG_IGN]


def _take_back_echo(number: int) -> None:
    # The terminal has shown ^C where the cursor was. What is said next gets that line for itself. A break would shift
    # what is drawn: that is for terminals that cannot draw.
    if number == signal.SIGINT:
        for name in _STREAMS:
            stream = getattr(sys, name)
            if stream.isatty():
                _write_now(name, _ERASE_LINE if can_draw(stream) else b"\n")
                return


def _end_at_once(number: signal.Signals) -> None:
    if sys.stderr.isatty():
        # What was drawn may have hidden it, and nobody else will show it.
        _write_now("stderr", _SHOW_CURSOR)
    for group in end_with_us:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)


def _write_now(name: Name, data: bytes) -> None:
    """Write to a terminal, not into what is drawn there; one that was stopped would keep us from leaving."""
    if takes_more(name):
        os.write(getattr(sys, name).fileno(), data)
