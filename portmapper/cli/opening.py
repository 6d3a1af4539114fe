"""Open everything that was asked for, or nothing."""

from collections.abc import Sequence
from dataclasses import replace

import anyio

from portmapper.cli.ports import Wish
from portmapper.cli.progress import progress
from portmapper.cli.settings import Settings
from portmapper.errors import PortMapperError
from portmapper.mapper import PortMapper
from portmapper.mapping import Mapping

_NAMED = 4  # ports; of more the number is told


async def open_all(wishes: Sequence[Wish], mapper: PortMapper, settings: Settings) -> list[Mapping]:
    """Open all ports side by side; return the mappings in the order of the wishes.

    Raises what the first of them that fails raises, with its name; what was opened is then the mapper's to release.
    """
    opened: dict[Wish, tuple[Mapping, ...]] = {}
    failed: list[tuple[Wish, PortMapperError]] = []

    async def open_one(wish: Wish) -> None:
        try:
            opened[wish] = await _open(wish, mapper, settings)
        except PortMapperError as error:
            failed.append((wish, error))
            tasks.cancel_scope.cancel()

    async with progress(f"Asking {mapper.gateway} to open {_names(wishes)} ..."), anyio.create_task_group() as tasks:
        for wish in wishes:
            tasks.start_soon(open_one, wish)
    if failed:
        raise _naming(*failed[0]) if len(wishes) > 1 else failed[0][1]
    return [mapping for wish in wishes for mapping in opened[wish]]


async def _open(wish: Wish, mapper: PortMapper, settings: Settings) -> tuple[Mapping, ...]:
    request = replace(wish.request, lifetime=settings.lifetime or mapper.default_lifetime)
    if wish.both:
        return await mapper.map_both_request(request, share=settings.share)
    return (await mapper.map_request(request, share=settings.share),)


def _naming(wish: Wish, error: PortMapperError) -> PortMapperError:
    # The error is what it was, with its facts; its text alone does not say which of several ports it is about.
    error.args = (f"{wish} cannot be opened: {error.args[0]}", *error.args[1:])
    return error


def _names(wishes: Sequence[Wish]) -> str:
    more = f" and {len(wishes) - _NAMED} more" if len(wishes) > _NAMED else ""
    return ", ".join(str(wish) for wish in wishes[:_NAMED]) + more
