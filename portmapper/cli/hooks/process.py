"""Run one command of the user's through the shell, and say what came of it."""

import os
import signal
import subprocess
from collections.abc import AsyncIterable, Callable
from contextlib import suppress

import anyio
from anyio.abc import Process

from portmapper import limits
from portmapper.cli import signals
from portmapper.text import safe_text

Tell = Callable[[str], None]


async def run_hook(command: str, variables: dict[str, str], tell: Tell) -> str:
    """Run `command` with `variables` in its environment; return what went wrong, "" if nothing did.

    What it prints is passed on to `tell`, line by line. A cancellation ends it and all that it started, and so does a
    second signal. It is in a session of its own, so that a Ctrl-C is not for it.
    """
    try:
        process = await anyio.open_process(
            command, stdin=subprocess.DEVNULL, env={**os.environ, **variables}, start_new_session=True
        )
    except OSError as error:
        return f"could not be started: {error}"
    async with process:
        signals.end_with_us.add(process.pid)
        try:
            last_words = await _attend(process, tell)
        finally:
            await _end(process)
            signals.end_with_us.discard(process.pid)
    return _trouble(process.returncode or 0, last_words)


async def _attend(process: Process, tell: Tell) -> str:
    """Read what a process says until it ends; return the last line of its standard error."""
    last: list[str] = [""]

    async def keep_last(stream: AsyncIterable[bytes]) -> None:
        async for line in lines(stream):
            last[0] = line

    async def pass_on(stream: AsyncIterable[bytes]) -> None:
        left = limits.HOOK_LINES
        async for line in lines(stream):
            if left:
                tell(line)
                left -= 1

    if process.stdout is None or process.stderr is None:
        raise ValueError("the process was started without pipes")
    async with anyio.create_task_group() as readers:
        readers.start_soon(keep_last, process.stderr)
        readers.start_soon(pass_on, process.stdout)
        await process.wait()
        readers.cancel_scope.deadline = anyio.current_time() + limits.HOOK_PIPES
    return last[0]


async def lines(stream: AsyncIterable[bytes]) -> AsyncIterable[str]:
    """Yield the lines of a stream that are not blank, safe to print and cut to a bounded length."""
    rest = b""
    async for chunk in stream:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            if line.strip():
                yield _shown(line)
        rest = rest[: limits.HOOK_LINE * 4]
    if rest.strip():
        yield _shown(rest)


def _shown(line: bytes) -> str:
    return safe_text(line.decode(errors="replace").strip(), limit=limits.HOOK_LINE)


async def _end(process: Process) -> None:
    if process.returncode is not None:
        return
    with anyio.CancelScope(shield=True):
        _signal_all(process, signal.SIGTERM)
        with anyio.move_on_after(limits.HOOK_KILL):
            await process.wait()
        _signal_all(process, signal.SIGKILL)


def _signal_all(process: Process, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _trouble(code: int, last_words: str) -> str:
    if code == 0:
        return ""
    how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
    return f"{how}: {last_words}" if last_words else how
