"""`portmapper map`: open ports and keep them open."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import anyio
import click
from anyio.abc import TaskGroup

from portmapper import limits
from portmapper.cli.output import Output
from portmapper.cli.ports import parse_port
from portmapper.cli.progress import progress
from portmapper.cli.settings import Settings, settings_of, with_settings
from portmapper.cli.signals import run_session
from portmapper.mapper import PortMapper
from portmapper.mapping import Mapping
from portmapper.model import MappingRequest
from portmapper.request import parse_host, parse_remote


@click.command("map")
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
    return run_session(partial(_map_once if once else _map_and_hold, requests, replace(settings, share=share)))


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
