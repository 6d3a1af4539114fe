"""Run the commands' sessions inside a test, on a simulated gateway that the test holds."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio
import click
import pytest
from anyio.abc import TaskGroup

from portmapper.cli.commands.map import map_command
from portmapper.cli.keeping.wanted import Wanted, wanted_of
from portmapper.cli.options import settings
from portmapper.testing import SimulatedGateway


def wanted(*arguments: str, command: click.Command = map_command) -> Wanted:
    """Return what a command line says."""
    context = command.make_context(command.name, ["--simulate", "--no-state", *arguments])
    return wanted_of(context.params)


@pytest.fixture
def simulated(monkeypatch: pytest.MonkeyPatch) -> list[SimulatedGateway]:
    """Collect the gateways that --simulate makes."""
    return simulate(monkeypatch, SimulatedGateway)


def simulate(monkeypatch: pytest.MonkeyPatch, kind: Callable[[], SimulatedGateway]) -> list[SimulatedGateway]:
    """Have --simulate make such gateways; return the list that they are in then."""
    made: list[SimulatedGateway] = []

    def make() -> SimulatedGateway:
        made.append(kind())
        return made[-1]

    monkeypatch.setattr(settings, "SimulatedGateway", make)
    return made


@asynccontextmanager
async def running(session: Callable[[TaskGroup], Awaitable[int | None]]) -> AsyncGenerator[None]:
    """Run a session for the time of the block; it is cancelled at the end, as by a signal, and cleans up."""
    async with anyio.create_task_group() as tasks:
        work = anyio.CancelScope()

        async def run() -> None:
            with work:
                await session(tasks)

        tasks.start_soon(run)
        yield
        work.cancel()
