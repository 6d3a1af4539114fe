"""`portmapper unmap`: close what an earlier run left open."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import click
from anyio.abc import TaskGroup

from portmapper.cli.ports import parse_port
from portmapper.cli.progress import progress
from portmapper.cli.settings import Settings, settings_of, with_settings
from portmapper.cli.signals import run_session
from portmapper.errors import PortMapperError
from portmapper.model import MappingRequest
from portmapper.request import parse_host


@click.command("unmap")
@click.argument("ports", nargs=-1, metavar="PORT[:EXTERNAL][/PROTOCOL]...")
@click.option("--stale", is_flag=True, help="All that programs of this host left when they died.")
@click.option("--third-party", metavar="ADDRESS", help="Whose they are, if another host's.")
@with_settings
def unmap_command(ports: tuple[str, ...], stale: bool, third_party: str | None, **options: Any) -> int:
    """Close ports that an earlier run left open (map --once, or a crash)."""
    _check_what_to_unmap(ports, stale, options)
    if stale:
        return run_session(partial(_unmap_stale, settings_of(options)))
    host = None if third_party is None else parse_host(third_party)
    requests = [parse_port(text, internal_address=host) for text in ports]
    return run_session(partial(_unmap, requests, settings_of(options, allow_third_party=host is not None)))


def _check_what_to_unmap(ports: tuple[str, ...], stale: bool, options: dict[str, Any]) -> None:
    if stale and (ports or options["no_state"] or options["simulate"]):
        raise click.UsageError("--stale goes without PORT, --no-state and --simulate")
    if not stale and not ports:
        raise click.UsageError("Missing argument 'PORT[:EXTERNAL][/PROTOCOL]...', or --stale")


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
