"""`portmapper run`: open ports for as long as a command runs."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from typing import Any

import click
from anyio.abc import TaskGroup

from portmapper.cli.keeping.child import Child
from portmapper.cli.keeping.families import open_wanted
from portmapper.cli.keeping.following import follow
from portmapper.cli.keeping.wanted import Wanted, wanted_of, with_wishes
from portmapper.cli.options.settings import with_settings
from portmapper.cli.output import Output
from portmapper.cli.signals import run_session
from portmapper.errors import PortMapperError

_COMMAND = "portmapper.cli.commands.run.command"


class _WithCommand(click.Command):
    """Keeps what comes after the first -- for the command that is to be run."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        place = args.index("--") if "--" in args else len(args)
        ctx.meta[_COMMAND] = tuple(args[place + 1 :])
        try:
            return super().parse_args(ctx, args[:place])
        except click.NoSuchOption as error:
            if place < len(args):
                raise
            raise _no_command() from error  # the option is meant for the command

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return [*super().collect_usage_pieces(ctx), "-- COMMAND [ARG]..."]


@click.command("run", cls=_WithCommand, short_help="Open ports while a command runs.")
@with_wishes
@click.option("--anyway", is_flag=True, help="Run COMMAND even if the ports cannot be opened.")
@with_settings
def run_command(anyway: bool, **options: Any) -> int:
    """Open ports, run COMMAND while they are open, and close them when it ends.

    \b
    portmapper run 8000 -- python -m http.server 8000
    portmapper run 6881/both -- sh -c 'my-client --announce-port $PORTMAPPER_EXTERNAL_PORT'
    portmapper run 8080:80 5000/udp --write ports.txt -- ./my-server

    COMMAND finds PORTMAPPER_EXTERNAL_ADDRESS and PORTMAPPER_EXTERNAL_PORT of the first port in its environment, and
    each port as PORTMAPPER_8000_TCP=203.0.113.7:8000. They say what was so when it began: --exec and --write tell
    of changes. SIGINT, SIGTERM and SIGHUP are passed on to it, its exit code is ours, and all that portmapper says goes
    to standard error.
    """  # noqa: D301 - \b is click's word for "keep these lines"
    command: Sequence[str] = click.get_current_context().meta.get(_COMMAND, ())
    if not command:
        raise _no_command()
    child = Child(command)
    wanted = _quiet(wanted_of(options), as_json=options["as_json"])
    return child.obstacle() or run_session(partial(_run, wanted, child, anyway), child.take)


def _no_command() -> click.UsageError:
    return click.UsageError("Missing the command: portmapper run PORT... -- COMMAND [ARG]...")


def _quiet(wanted: Wanted, *, as_json: bool) -> Wanted:
    """Leave standard output to the command."""
    return replace(wanted, settings=replace(wanted.settings, output=Output(as_json=as_json, to="stderr")))


async def _run(wanted: Wanted, child: Child, anyway: bool, tasks: TaskGroup) -> int:
    opened = partial(follow, attendants=wanted.attendants(), tasks=tasks)
    async with AsyncExitStack() as stack:
        try:
            mappings = await open_wanted(wanted, stack, tasks, opened)
        except PortMapperError as error:
            if not anyway:
                raise
            wanted.settings.output.error(error)
            mappings = []
        return await child.run(mappings)
