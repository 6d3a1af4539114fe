"""`portmapper unmap`: close what an earlier run left open."""

import sys
from collections.abc import Sequence
from functools import partial
from typing import Any

import click
from anyio.abc import TaskGroup

from portmapper.clearing import Swept
from portmapper.cli.commands.show import known_mappings
from portmapper.cli.drawing.progress import progress
from portmapper.cli.options.ports import parse_ports
from portmapper.cli.options.settings import Settings, settings_of, with_settings
from portmapper.cli.output import Output, complain
from portmapper.cli.signals import run_session
from portmapper.cli.words import objects, sentences
from portmapper.errors import PortMapperError
from portmapper.model import Gateway, MappingRequest
from portmapper.request import parse_host
from portmapper.text import safe_text


@click.command("unmap", short_help="Close what earlier runs left open, or all of this host.")
@click.argument("ports", nargs=-1, metavar="PORT[:EXTERNAL][/PROTOCOL]...")
@click.option("--stale", is_flag=True, help="All that programs of this host left when they died.")
@click.option("--all-mine", is_flag=True, help="All that this host has on the gateway, whichever program made it.")
@click.option("--yes", is_flag=True, help="Do not ask before --all-mine.")
@click.option("--third-party", metavar="ADDRESS", help="Whose they are, if another host's.")
@with_settings
def unmap_command(
    *, ports: tuple[str, ...], stale: bool, all_mine: bool, yes: bool, third_party: str | None, **options: Any
) -> int:
    """Close ports that an earlier run left open (map --once, or a crash).

    \b
    portmapper unmap 8080 5000:9000/udp   what leads to two ports of this host; 9000 is the external one
    portmapper unmap 8000-8010 5000/both  ranges, and TCP with UDP
    portmapper unmap --stale              what programs of this host left when they died
    portmapper unmap --all-mine           all of this host: what the gateway lists, what is noted, what NAT-PMP has

    Mappings of other hosts are never touched by --stale and --all-mine.
    """  # noqa: D301 - \b is click's word for "keep these lines"
    _check_what_to_unmap(ports, stale=stale, all_mine=all_mine, options=options)
    if stale:
        return run_session(partial(_unmap_stale, settings_of(options)))
    if all_mine:
        return _unmap_mine(settings_of(options), sure=yes)
    host = None if third_party is None else parse_host(third_party)
    requests = [one for wish in parse_ports(ports, internal_address=host) for one in wish.requests]
    return run_session(partial(_unmap, requests, settings_of(options, allow_third_party=host is not None)))


def _check_what_to_unmap(ports: tuple[str, ...], *, stale: bool, all_mine: bool, options: dict[str, Any]) -> None:
    if stale and (ports or all_mine or options["no_state"] or options["simulate"]):
        raise click.UsageError("--stale goes without PORT, --all-mine, --no-state and --simulate")
    if all_mine and ports:
        raise click.UsageError("--all-mine goes without PORT")
    if not (stale or all_mine or ports):
        raise click.UsageError("Missing argument 'PORT[:EXTERNAL][/PROTOCOL]...', or --stale, or --all-mine")


def _unmap_mine(settings: Settings, *, sure: bool) -> int:
    if sure:
        return run_session(partial(_sweep, settings))
    if settings.output.as_json or not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise click.UsageError("--all-mine asks first, which takes a terminal; --yes goes without")
    looked = run_session(partial(_show_mine, settings))  # apart: a question must not keep an event loop waiting
    if looked:
        return looked
    click.confirm("Remove all that this host has there?", abort=True, err=True)
    return run_session(partial(_sweep, settings))


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


async def _show_mine(settings: Settings, tasks: TaskGroup) -> None:
    async with settings.open_mapper(tasks) as mapper, progress(f"Asking {mapper.gateway} ..."):
        known, _ = await known_mappings(mapper, settings)
    own = [one for one in known if one.own]
    settings.output.listed(own, mapper.gateway)
    busy = {f"{one.noted.program} (process {one.noted.pid})" for one in own if one.noted and one.noted.living}
    for program in sorted(busy):
        complain(f"{safe_text(program)} runs, and will open its ports again")


async def _sweep(settings: Settings, tasks: TaskGroup) -> None:
    async with settings.open_mapper(tasks) as mapper:
        async with progress(f"Asking {mapper.gateway} ..."):
            swept = await mapper.unmap_mine()
        _tell(swept, mapper.gateway, settings.output)
    left = [str(one.note.request) for one in swept.cleared if one.error is not None]
    unseen = [f"what {name} has besides ({problem})" for name, problem in swept.problems.items()]
    if left or unseen:
        raise PortMapperError(f"not removed: {', '.join([*left, *unseen])}")


def _tell(swept: Swept, gateway: Gateway, output: Output) -> None:
    for one in swept.cleared:
        output.write(objects.cleared_object(one), [sentences.cleared_line(one)])
    for protocol, backend in swept.wholesale:
        everything = MappingRequest(protocol=protocol, internal_port=0, all_ports=True)
        output.unmapped(everything, [backend], gateway)
    if not swept.cleared and not swept.wholesale:
        output.remark(f"this host has nothing at {gateway}")
