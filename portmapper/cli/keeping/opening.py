"""Open everything that was asked for, or nothing."""

from collections.abc import Sequence
from dataclasses import replace

import anyio

from portmapper.cli.drawing.progress import progress
from portmapper.cli.options.ports import Wish
from portmapper.cli.options.settings import Settings
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

    async def try_one(wish: Wish) -> None:
        try:
            opened[wish] = await open_one(wish, mapper, settings)
        except PortMapperError as error:
            failed.append((wish, error))
            tasks.cancel_scope.cancel()

    async with progress(f"Asking {mapper.gateway} to open {names(wishes)} ..."), anyio.create_task_group() as tasks:
        for wish in wishes:
            tasks.start_soon(try_one, wish)
    if failed:
        wish, error = failed[0]
        raise about(f"{wish} cannot be opened", error) if len(wishes) > 1 else error
    return [mapping for wish in wishes for mapping in opened[wish]]


async def open_one(wish: Wish, mapper: PortMapper, settings: Settings) -> tuple[Mapping, ...]:
    """Open the ports of one wish. Raises PortMapperError."""
    request = replace(wish.request, lifetime=settings.lifetime or mapper.default_lifetime)
    if wish.both:
        return await mapper.map_both_request(request, share=settings.share)
    return (await mapper.map_request(request, share=settings.share),)


def about(what: str, error: PortMapperError) -> PortMapperError:
    """Return an error with `what` it is about before its text; the error itself, with its class and its facts."""
    error.args = (f"{what}: {error.args[0]}", *error.args[1:])
    return error


def names(wishes: Sequence[Wish]) -> str:
    """Return what is opened, in a few words."""
    more = f" and {len(wishes) - _NAMED} more" if len(wishes) > _NAMED else ""
    return ", ".join(str(wish) for wish in wishes[:_NAMED]) + more
