"""Tell what happens to mappings to all who want to know, until the last one is closed."""

from collections import deque
from collections.abc import Sequence
from typing import Protocol as Interface

import anyio
from anyio.abc import TaskGroup

from portmapper import limits
from portmapper.cli.output import Output, mention
from portmapper.errors import LocalError, PortMapperError
from portmapper.holding import EventStream
from portmapper.mapping import Mapping
from portmapper.model import Closed, Event, Lost, MappingState


class Attendant(Interface):
    """Somebody who wants to know, and has work of its own."""

    def tell(self, mapping: Mapping, event: Event, /) -> None:
        """Take note of an event; returns at once. Where each mapping stands comes first, in their order."""
        ...

    async def run(self, mappings: Sequence[Mapping], /) -> None:
        """Work until all of them are closed. Called again for mappings that come later, with those alone."""
        ...


class Printing:
    """Prints the events; while nobody takes them the latest are kept."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._unprinted: deque[Event] = deque(maxlen=limits.UNDRAWN)
        self._told = anyio.Event()

    def tell(self, _mapping: Mapping, event: Event) -> None:
        """Print it, now or later; what cannot be printed is open all the same."""
        self._unprinted.append(event)
        self._print()
        if self._unprinted or isinstance(event, Closed):
            self._told.set()

    async def run(self, mappings: Sequence[Mapping]) -> None:
        """Print what nobody took when it was told, until all of them are closed."""
        while not _all_closed(mappings):
            if self._told.is_set():  # not one that another run of this waits for
                self._told = anyio.Event()
            await self._told.wait()
            while self._unprinted and not _all_closed(mappings):
                await anyio.sleep(limits.REDRAW_GAP)
                self._print()
        if self._unprinted:
            await anyio.sleep(limits.LAST_WORDS)
            self._print()

    def _print(self) -> None:
        while self._unprinted and self._output.takes_more():
            try:
                self._output.event(self._unprinted.popleft())
            except LocalError as error:
                mention(str(error))


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


def _all_closed(mappings: Sequence[Mapping]) -> bool:
    return all(mapping.state is MappingState.CLOSED for mapping in mappings)


async def _follow(mapping: Mapping, stream: EventStream, attendants: Sequence[Attendant]) -> None:
    async for event in stream:
        for attendant in attendants:
            attendant.tell(mapping, event)
