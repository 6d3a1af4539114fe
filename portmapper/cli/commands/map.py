"""`portmapper map`: open ports and keep them open."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from typing import Any

import click
from anyio.abc import TaskGroup

from portmapper.cli.drawing.terminal import can_draw
from portmapper.cli.keeping.families import open_wanted
from portmapper.cli.keeping.following import follow, standing
from portmapper.cli.keeping.reader import hold
from portmapper.cli.keeping.wanted import Wanted, wanted_of, with_wishes
from portmapper.cli.options.settings import with_settings
from portmapper.cli.signals import run_session
from portmapper.mapping import Mapping


@click.command("map")
@with_wishes
@click.option("--once", is_flag=True, help="Map, print and leave the lease to end by itself.")
@click.option("--plain", is_flag=True, help="Print lines on a terminal too, no table that is kept up to date.")
@with_settings
def map_command(once: bool, plain: bool, **options: Any) -> int:
    """Open ports until interrupted (Ctrl-C, SIGTERM or SIGHUP).

    \b
    portmapper map 8080              TCP port 8080
    portmapper map 8080:80 5000/udp  two ports; 80 is the wished-for external port of the first
    portmapper map 6881/both         TCP and UDP at one external port
    portmapper map 8000-8010:9000    eleven ports; 9000 to 9010 are the wished-for external ones
    portmapper map 8080 --ipv6       and in the firewall of the IPv6 gateway, for this host's own address
    portmapper map 5000/sctp all/gre other protocols, with or without ports (PCP)
    portmapper map 8080 --json       for programs
    portmapper map 8080 --write port.txt --exec 'systemctl reload my-server'

    --exec finds PORTMAPPER_EVENT (mapped, changed, lost, restored or closed), PORTMAPPER_PROTOCOL,
    PORTMAPPER_EXTERNAL_ADDRESS, PORTMAPPER_EXTERNAL_PORT and more in its environment. FILE has the ports in the order
    of the command line, without those that are lost just now, or the leases if its name ends in .json; at the end it is
    removed.
    """  # noqa: D301 - \b is click's word for "keep these lines"
    if once and (options["hook"] or options["write"]):
        raise click.UsageError("--once goes without --exec and --write: it does not stay to see changes")
    wanted = wanted_of(options)
    live = can_draw() and not (plain or options["as_json"])
    return run_session(partial(_map_once if once else _map_and_hold, replace(wanted, live=live)))


async def _map_and_hold(wanted: Wanted, tasks: TaskGroup) -> None:
    async with AsyncExitStack() as stack:
        opened = partial(follow, attendants=wanted.attendants(), tasks=tasks)
        await open_wanted(wanted, stack, tasks, opened)
        await hold(wanted.settings.output)


async def _map_once(wanted: Wanted, tasks: TaskGroup) -> None:
    async def leave(mappings: Sequence[Mapping]) -> None:
        for mapping in mappings:
            wanted.settings.output.event(await standing(mapping, mapping.events()))
            mapping.detach()

    async with AsyncExitStack() as stack:
        await open_wanted(wanted, stack, tasks, leave)
