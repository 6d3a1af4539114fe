"""A word about what is being waited for."""

import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio

from portmapper.net.tasks import end_tasks

_PATIENCE = 0.7  # seconds; shorter waits need no word
_TURNS = 12.5  # a second


@asynccontextmanager
async def progress(text: str) -> AsyncGenerator[None]:
    """Show on a terminal what is being waited for, if it takes long enough to wonder."""
    if not sys.stderr.isatty():
        yield
        return
    tasks = await anyio.create_task_group().__aenter__()
    tasks.start_soon(_show, text)
    try:
        yield
    finally:
        await end_tasks(tasks)


async def _show(text: str) -> None:
    await anyio.sleep(_PATIENCE)
    from rich.console import Console  # noqa: PLC0415 - 80 ms that most calls need not spend
    from rich.live import Live  # noqa: PLC0415 - the same
    from rich.spinner import Spinner  # noqa: PLC0415 - the same

    spinner = Spinner("dots", text, style="status.spinner")
    # What is printed meanwhile is drawn above it, unless it is for a pipe or a file.
    above = sys.stdout.isatty()
    with Live(spinner, console=Console(stderr=True), refresh_per_second=_TURNS, transient=True, redirect_stdout=above):
        await anyio.sleep_forever()
