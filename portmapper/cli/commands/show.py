"""`portmapper list`, `address` and `gateway`: look, change nothing."""

import time
from functools import partial
from pathlib import Path
from typing import Any

import anyio.to_thread
import click
from anyio.abc import TaskGroup

from portmapper.cli.drawing.progress import progress
from portmapper.cli.options.settings import Settings, settings_of, with_settings
from portmapper.cli.output import complain
from portmapper.cli.signals import run_session
from portmapper.errors import LocalError, NoService, PortMapperError
from portmapper.gateway.detect import gateways, locate, survey
from portmapper.known import KnownMapping, join
from portmapper.mapper import PortMapper
from portmapper.model import ListedMapping
from portmapper.selection import failure
from portmapper.state.folder import NotedMapping, noted_mappings


@click.command("list")
@click.option("--mine", is_flag=True, help="What programs of this host have or left; no gateway is asked.")
@with_settings
def list_command(mine: bool, **options: Any) -> int:
    """Print every mapping on the gateway, whoever made it.

    \b
    portmapper list                  all that the gateway shows (UPnP) or programs of this host noted
    portmapper list --mine           what programs of this host have or left, on any gateway
    portmapper list --json | jq .    for programs, one object a line

    By PCP and NAT-PMP nothing can be listed: of what they made only that of this host is known, from its journals.
    Where the gateway lists nothing, that is printed all the same, and the exit code is 4 or 5.
    """  # noqa: D301 - \b is click's word for "keep these lines"
    if mine:
        if options["no_state"]:
            raise click.UsageError("--mine goes without --no-state")
        settings = settings_of(options)
        settings.output.noted(noted_mappings(settings.state))
        return 0
    return run_session(partial(_list, settings_of(options)))


@click.command("address", short_help="Print the external address, by each protocol.")
@with_settings
def address_command(**options: Any) -> int:
    """Print the gateway's external address, as each protocol tells it.

    \b
    portmapper address               the address, what it is worth, and who said so
    portmapper address | head -1     the address alone
    portmapper address --backend pcp by one protocol: quicker

    PCP has no other way to ask than to map an unused port for a moment.
    """  # noqa: D301 - see list
    return run_session(partial(_address, settings_of(options)))


@click.command("gateway", short_help="Print the routers that the routes lead to.")
@with_settings
def gateway_command(**options: Any) -> int:
    """Print every router that the routes of this host lead to, best first, and why it is ranked so.

    \b
    portmapper gateway                   all of them
    portmapper gateway --interface wg0   those that are reached through one interface

    What is of no use is printed too, with the reason. Nothing is sent.
    """  # noqa: D301 - see list
    settings = settings_of(options)
    if settings.simulate:
        return run_session(partial(_simulated, settings))
    if settings.gateway is not None:
        settings.output.gateway(locate(settings.gateway, settings.interface))
        return 0
    gateways(settings.interface)  # says what is missing if none can be asked
    settings.output.surveyed(survey(settings.interface))
    return 0


async def _simulated(settings: Settings, tasks: TaskGroup) -> None:
    async with settings.open_mapper(tasks) as mapper:
        settings.output.gateway(mapper.gateway, ["simulated"])


async def _list(settings: Settings, tasks: TaskGroup) -> None:
    async with settings.open_mapper(tasks) as mapper, progress(f"Asking {mapper.gateway} ..."):
        known, problem = await known_mappings(mapper, settings)
    if known or problem is None:
        settings.output.listed(known, mapper.gateway)
    if problem is not None:
        raise problem


async def known_mappings(mapper: PortMapper, settings: Settings) -> tuple[tuple[KnownMapping, ...], NoService | None]:
    """Return what the gateway and the journals of this host know, and why the gateway lists nothing if it does not."""
    listed, problem = await _listed(mapper)
    noted = await noted_by_this_host(settings.journals)
    return join(listed, noted, mapper.gateway, time.time()), problem


async def _listed(mapper: PortMapper) -> tuple[tuple[ListedMapping, ...], NoService | None]:
    try:
        return await mapper.list_mappings(), None
    except NoService as problem:
        return (), problem


async def noted_by_this_host(state: Path | None) -> tuple[NotedMapping, ...]:
    """Return what is noted in a folder of state; nothing where there is none, which is said if there should be one."""
    if state is None:
        return ()
    try:
        return await anyio.to_thread.run_sync(noted_mappings, state)
    except LocalError as problem:
        complain(str(problem))
        return ()


async def _address(settings: Settings, tasks: TaskGroup) -> None:
    async with settings.open_mapper(tasks) as mapper:
        async with progress(f"Asking {mapper.gateway} ..."):
            answers = await mapper.external_addresses()
        reasons = {name: one for name, one in answers.items() if isinstance(one, PortMapperError)}
        if len(reasons) == len(answers):
            raise failure(mapper.gateway, reasons)
        settings.output.address(answers, mapper.gateway)
