"""Open what is wanted on the gateway, and with --ipv6 in the firewall of the IPv6 gateway too."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, nullcontext
from dataclasses import replace

import anyio
from anyio.abc import TaskGroup

from portmapper.cli.drawing.progress import progress
from portmapper.cli.keeping.opening import about, names, open_all, open_one
from portmapper.cli.keeping.wanted import Wanted
from portmapper.cli.options.ports import Wish
from portmapper.errors import PortMapperError
from portmapper.mapping import Mapping
from portmapper.model import MappingRequest

_IPV4, _IPV6 = 4, 6

Opened = Callable[[Sequence[Mapping]], Awaitable[None]]
"""Take note of mappings that are open now."""


async def open_wanted(wanted: Wanted, stack: AsyncExitStack, tasks: TaskGroup, opened: Opened) -> list[Mapping]:
    """Open what is wanted until `stack` is left, and return the mappings in the order of the wishes, IPv6's last.

    `opened` gets those of each family before the next is asked: an IPv6 gateway that is silent takes seconds. Raises
    what the first port that fails raises; then nothing stays open. What fails by IPv6 beside IPv4 is told alone.
    """
    async with AsyncExitStack() as attempt:
        mapper = await attempt.enter_async_context(wanted.settings.open_mapper(tasks))
        version = mapper.gateway.address.version
        wishes = [replace(wish, request=of_family(wish.request, version)) for wish in wanted.wishes]
        mappings = await open_all(wishes if wanted.ipv6 else wanted.wishes, mapper, wanted.settings)
        stack.push_async_exit(attempt.pop_all())
    await opened(mappings)
    if wanted.ipv6 and version == _IPV4:
        others = await _open_by_ipv6(wanted, stack, tasks)
        mappings += others
        stack.push_async_callback(_close_all, mappings)
        await opened(others)
    return mappings


def of_family(request: MappingRequest, version: int) -> MappingRequest:
    """Return `request` with the filters for peers of a family alone; if there are none, as it is: it is refused then.

    By IPv6 nothing is translated: there is no other external port to wish for.
    """
    remote = tuple(one for one in request.remote if one.network.version == version)
    kept = replace(request, remote=remote or request.remote)
    return replace(kept, external_port=0, exact=False) if version == _IPV6 else kept


async def _open_by_ipv6(wanted: Wanted, stack: AsyncExitStack, tasks: TaskGroup) -> list[Mapping]:
    output = wanted.settings.output
    try:
        settings = wanted.settings.by_ipv6()
        mapper = await stack.enter_async_context(settings.open_mapper(tasks))
    except PortMapperError as error:
        output.mention(about("nothing is open by IPv6", error))
        return []
    wishes = [Wish(of_family(request, _IPV6)) for wish in wanted.wishes for request in wish.requests]
    opened: dict[Wish, tuple[Mapping, ...]] = {}

    async def try_one(wish: Wish) -> None:
        try:
            opened[wish] = await open_one(wish, mapper, settings)
        except PortMapperError as error:
            output.mention(about(f"{wish} is not open by IPv6", error))

    asking = f"Asking {mapper.gateway} to open {names(wishes)} ..."
    # The table of what is open by IPv4 is drawn already.
    async with nullcontext() if wanted.live else progress(asking), anyio.create_task_group() as each:
        for wish in wishes:
            each.start_soon(try_one, wish)
    return [mapping for wish in wishes for mapping in opened.get(wish, ())]


async def _close_all(mappings: Sequence[Mapping]) -> None:
    """Close them side by side: a gateway that is silent must not keep the other waiting."""
    with anyio.CancelScope(shield=True):
        async with anyio.create_task_group() as tasks:
            for mapping in mappings:
                tasks.start_soon(mapping.close)
