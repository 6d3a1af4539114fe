"""Tell what happens to mappings to all who want to know, until the last one is closed."""

from collections.abc import Sequence
from typing import Protocol as Interface

from anyio.abc import TaskGroup

from portmapper.cli.output import Output, complain
from portmapper.errors import LocalError, PortMapperError
from portmapper.holding import EventStream
from portmapper.mapping import Mapping
from portmapper.model import Event, Lost, MappingState


class Attendant(Interface):
    """Somebody who wants to know, and has work of its own."""

    def tell(self, mapping: Mapping, event: Event, /) -> None:
        """Take note of an event; returns at once. Where each mapping stands comes first, in their order."""
        ...

    async def run(self, mappings: Sequence[Mapping], /) -> None:
        """Work until all of them are closed. Called again for mappings that come later, with those alone."""
        ...


class Printing:
    """Prints the events."""

    def __init__(self, output: Output) -> None:
        self._output = output

    def tell(self, _mapping: Mapping, event: Event) -> None:
        """Print it; what cannot be printed is open all the same."""
        try:
            self._output.event(event)
        except LocalError as error:
            complain(str(error))

    async def run(self, _mappings: Sequence[Mapping]) -> None:
        """Do nothing: it is printed when it is told."""


async def follow(mappings: Sequence[Mapping], attendants: Sequence[Attendant], tasks: TaskGroup) -> None:
    """Tell the attendants where the mappings stand, in their order, and go on in `tasks` with what becomes of them."""
    streams = {mapping: mapping.events() for mapping in mappings}
    for attendant in attendants:
        tasks.start_soon(attendant.run, mappings)
    for mapping, stream in streams.items():
        event = await standing(mapping, stream)
        for attendant in attendants:
            attendant.tell(mapping, event)
    for mapping, stream in streams.items():
        tasks.start_soon(_follow, mapping, stream, attendants)


async def standing(mapping: Mapping, stream: EventStream) -> Event:
    """Return the event for where a mapping stands; the first of a stream, which has none of one that is lost."""
    if mapping.state is MappingState.LOST:
        return Lost(mapping.lease, mapping.problem or PortMapperError("the lease ended"))
    return await anext(stream)


async def _follow(mapping: Mapping, stream: EventStream, attendants: Sequence[Attendant]) -> None:
    async for event in stream:
        for attendant in attendants:
            attendant.tell(mapping, event)
