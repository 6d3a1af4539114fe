"""`portmapper list`, `address` and `gateway`: look, change nothing."""

from functools import partial
from typing import Any

import click
from anyio.abc import TaskGroup

from portmapper.cli.progress import progress
from portmapper.cli.settings import Settings, settings_of, with_settings
from portmapper.cli.signals import run_session
from portmapper.gateway.detect import gateway_at, gateways, survey
from portmapper.state.folder import noted_mappings


@click.command("list")
@click.option("--mine", is_flag=True, help="What programs of this host have or left; no gateway is asked.")
@with_settings
def list_command(mine: bool, **options: Any) -> int:
    """Print every mapping that the gateway has, whoever made it (UPnP)."""
    if mine:
        if options["no_state"]:
            raise click.UsageError("--mine goes without --no-state")
        settings = settings_of(options)
        settings.output.noted(noted_mappings(settings.state))
        return 0
    return run_session(partial(_list, settings_of(options)))


@click.command("address")
@with_settings
def address_command(**options: Any) -> int:
    """Print the gateway's external address."""
    return run_session(partial(_address, settings_of(options)))


@click.command("gateway")
@with_settings
def gateway_command(**options: Any) -> int:
    """Print every router that the routes of this host lead to, best first, and why it is ranked so.

    What is of no use is printed too, with the reason.
    """
    settings = settings_of(options)
    if settings.gateway is not None:
        settings.output.gateway(gateway_at(settings.gateway, settings.interface))
        return 0
    gateways(settings.interface)  # says what is missing if none can be asked
    for candidate, gateway in survey(settings.interface):
        settings.output.candidate(candidate, gateway)
    return 0


async def _list(settings: Settings, tasks: TaskGroup) -> None:
    async with settings.open_mapper(tasks) as mapper:
        async with progress(f"Asking {mapper.gateway} ..."):
            listed = await mapper.list_mappings()
        settings.output.listed(listed, mapper.gateway)


async def _address(settings: Settings, tasks: TaskGroup) -> None:
    async with settings.open_mapper(tasks) as mapper:
        async with progress(f"Asking {mapper.gateway} ..."):
            address = await mapper.external_address()
        settings.output.address(address, mapper.gateway)
