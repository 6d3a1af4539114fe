"""The commands."""

import logging
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import anyio
import click
from anyio.abc import TaskGroup

from portmapper import __version__, limits
from portmapper.cli.output import Complaints, Output, progress
from portmapper.cli.ports import parse_port
from portmapper.cli.settings import Settings, settings_of, with_settings
from portmapper.cli.signals import Session, run_until_signal
from portmapper.errors import InUseLocally, InvalidRequest, NoGateway, NoService, PortMapperError, UnknownBackend
from portmapper.gateway.detect import gateway_at, gateways, survey
from portmapper.mapper import PortMapper
from portmapper.mapping import Mapping
from portmapper.model import MappingRequest
from portmapper.request import parse_host, parse_remote
from portmapper.state.folder import noted_mappings

EXIT_OTHER, EXIT_USAGE, EXIT_NO_GATEWAY, EXIT_NO_SERVICE, EXIT_REFUSED, EXIT_IN_USE = 1, 2, 3, 4, 5, 6

_EXIT_CODES = """\b
Exit codes:
  0        done
  1        something else went wrong
  2        the command line makes no sense
  3        no gateway was found
  4        no port mapping service answered
  5        the gateway refused
  6        another program of this host has the port (--share joins it)
  128 + n  ended by signal n, after a clean release
"""


@click.group(epilog=_EXIT_CODES)
@click.version_option(__version__, prog_name="portmapper")
def app() -> None:
    """Open a port on the router by PCP, NAT-PMP or UPnP, keep it open, and close it on the way out."""


@app.command("map")
@click.argument("ports", nargs=-1, required=True, metavar="PORT[:EXTERNAL][/PROTOCOL]...")
@click.option("--lifetime", type=int, help="Seconds to ask for; by default 7200, through a tunnel 60.")
@click.option("--exact", is_flag=True, help="EXTERNAL or nothing: no other external port will do.")
@click.option("--remote", multiple=True, metavar="ADDRESS[/PREFIX]", help="Let only these peers in; repeatable.")
@click.option("--third-party", metavar="ADDRESS", help="Map to another host, in a network where all are trusted.")
@click.option(
    "--no-permanent", is_flag=True, help="Rather nothing than a mapping without end, if the router has no other."
)
@click.option("--share", is_flag=True, help="Join a program of this host that has the port; the last one closes it.")
@click.option(
    "--check", type=float, metavar="SECONDS", help="How often to look whether they are still there: 60, or 0 for never."
)
@click.option("--once", is_flag=True, help="Map, print and leave the lease to end by itself.")
@with_settings
def map_command(
    *,
    ports: tuple[str, ...],
    lifetime: int | None,
    exact: bool,
    remote: tuple[str, ...],
    third_party: str | None,
    no_permanent: bool,
    check: float | None,
    share: bool,
    once: bool,
    **options: Any,
) -> int:
    """Open ports until interrupted (Ctrl-C, SIGTERM or SIGHUP).

    \b
    portmapper map 8080              TCP port 8080
    portmapper map 8080:80 5000/udp  two ports; 80 is the wished-for external port of the first
    portmapper map 5000/sctp all/gre other protocols, with or without ports (PCP)
    portmapper map 8080 --json       for programs
    """  # noqa: D301 - \b is click's word for "keep these lines"
    host = None if third_party is None else parse_host(third_party)
    shared = {"exact": exact, "remote": parse_remote(remote), "internal_address": host}
    shared |= {} if lifetime is None else {"lifetime": lifetime}
    requests = [parse_port(text, **shared) for text in ports]
    settings = settings_of(
        options,
        allow_third_party=host is not None,
        allow_permanent=not no_permanent,
        lifetime=lifetime,
        check=limits.CHECK if check is None else check,
    )
    return _run(partial(_map_once if once else _map_and_hold, requests, replace(settings, share=share)))


@app.command("unmap")
@click.argument("ports", nargs=-1, metavar="PORT[:EXTERNAL][/PROTOCOL]...")
@click.option("--stale", is_flag=True, help="All that programs of this host left when they died.")
@click.option("--third-party", metavar="ADDRESS", help="Whose they are, if another host's.")
@with_settings
def unmap_command(ports: tuple[str, ...], stale: bool, third_party: str | None, **options: Any) -> int:
    """Close ports that an earlier run left open (map --once, or a crash)."""
    _check_what_to_unmap(ports, stale, options)
    if stale:
        return _run(partial(_unmap_stale, settings_of(options)))
    host = None if third_party is None else parse_host(third_party)
    requests = [parse_port(text, internal_address=host) for text in ports]
    return _run(partial(_unmap, requests, settings_of(options, allow_third_party=host is not None)))


def _check_what_to_unmap(ports: tuple[str, ...], stale: bool, options: dict[str, Any]) -> None:
    if stale and (ports or options["no_state"] or options["simulate"]):
        raise click.UsageError("--stale goes without PORT, --no-state and --simulate")
    if not stale and not ports:
        raise click.UsageError("Missing argument 'PORT[:EXTERNAL][/PROTOCOL]...', or --stale")


@app.command("list")
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
    return _run(partial(_list, settings_of(options)))


@app.command("address")
@with_settings
def address_command(**options: Any) -> int:
    """Print the gateway's external address."""
    return _run(partial(_address, settings_of(options)))


@app.command("gateway")
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


async def _map_and_hold(requests: Sequence[MappingRequest], settings: Settings, tasks: TaskGroup) -> None:
    async with settings.open_mapper(tasks) as mapper:
        for mapping in await _map_all(requests, mapper, settings):
            tasks.start_soon(_follow, mapping, settings.output)
        await anyio.sleep_forever()


async def _map_once(requests: Sequence[MappingRequest], settings: Settings, tasks: TaskGroup) -> None:
    async with settings.open_mapper(tasks) as mapper:
        for mapping in await _map_all(requests, mapper, settings):
            settings.output.event(await anext(mapping.events()))
            mapping.detach()


async def _map_all(requests: Sequence[MappingRequest], mapper: PortMapper, settings: Settings) -> list[Mapping]:
    lifetime = settings.lifetime or mapper.default_lifetime
    async with progress(f"Asking {mapper.gateway} to open {', '.join(str(request) for request in requests)} ..."):
        wanted = [replace(request, lifetime=lifetime) for request in requests]
        return [await mapper.map_request(request, share=settings.share) for request in wanted]


async def _follow(mapping: Mapping, output: Output) -> None:
    async for event in mapping.events():
        output.event(event)


async def _unmap(requests: Sequence[MappingRequest], settings: Settings, tasks: TaskGroup) -> None:
    async with settings.open_mapper(tasks) as mapper, progress(f"Asking {mapper.gateway} ..."):
        for request in requests:
            removed = await mapper.unmap_request(request)
            settings.output.unmapped(request, removed, mapper.gateway)


async def _unmap_stale(settings: Settings, tasks: TaskGroup) -> None:
    async with settings.open_mapper(tasks) as mapper:
        async with progress(f"Asking {mapper.gateway} ..."):
            cleared = await mapper.unmap_stale()
        settings.output.cleared(cleared, mapper.gateway)
    left = [one for one in cleared if one.error is not None and one.note.gateway == mapper.gateway]
    if left:
        raise PortMapperError(f"not removed: {', '.join(str(one.note.request) for one in left)}")


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


def _run(session: Session) -> int:
    return anyio.run(run_until_signal, session)


def exit_code(error: PortMapperError) -> int:
    """Return the exit code that an error stands for."""
    if isinstance(error, (InvalidRequest, UnknownBackend)):
        return EXIT_USAGE
    if isinstance(error, InUseLocally):
        return EXIT_IN_USE
    if isinstance(error, NoGateway):
        return EXIT_NO_GATEWAY
    if isinstance(error, NoService):
        return EXIT_REFUSED if error.refused else EXIT_NO_SERVICE
    return EXIT_OTHER


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and exit the process."""
    logging.getLogger("portmapper").addHandler(logging.NullHandler())  # the command says it in its own words
    for name in ("portmapper.recording", "portmapper.state"):
        logging.getLogger(name).addHandler(Complaints(logging.WARNING))
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        sys.exit(app.main(args=words, prog_name="portmapper", standalone_mode=False))
    except click.ClickException as error:
        click.echo(f"portmapper: {error.format_message()}", err=True)
        sys.exit(EXIT_USAGE)
    except PortMapperError as error:
        Output(as_json="--json" in words).error(error)
        sys.exit(exit_code(error))
