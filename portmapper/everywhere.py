"""One port, open on every gateway of this host at once."""

from collections.abc import Awaitable, Callable, Iterable, Iterator
from collections.abc import Mapping as Dict
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self, TypeAlias

import anyio

from portmapper.errors import InvalidRequest, MapperClosed, NoGateway, PortMapperError
from portmapper.gateway import detect
from portmapper.mapper import PortMapper
from portmapper.mapping import Mapping
from portmapper.model import Gateway, MappingRequest

Results: TypeAlias = dict[Gateway, Mapping | PortMapperError]
"""What each gateway granted, or why it did not."""


class EveryGateway:
    """Maps ports on several gateways at once, as an async context manager; each has a PortMapper of its own.

    `gateways` are those of all default routes if none are given; `options` are those of PortMapper. For hosts with
    several ways out, as IPv4 and IPv6, or two providers.
    """

    def __init__(self, gateways: Iterable[Gateway | str] | None = None, **options: Any) -> None:
        self._wanted = None if gateways is None else tuple(gateways)
        self._options = options
        self._mappers: dict[Gateway, PortMapper] = {}
        self._stack: AsyncExitStack | None = None

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            for made in self._made():
                mapper = await stack.enter_async_context(made)
                self._mappers[mapper.gateway] = mapper
            self._stack = stack.pop_all()
        return self

    def _made(self) -> Iterator[PortMapper]:
        if self._wanted is not None:
            return (PortMapper(gateway=gateway, **self._options) for gateway in self._wanted)
        options = {**self._options}
        return (_following(gateway, options) for gateway in detect.gateways(options.pop("interface", None)))

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        if self._stack is None:
            raise MapperClosed("use it inside its `async with` block")
        stack, self._stack = self._stack, None
        try:
            # All at once: a gateway that is silent must not keep the others waiting.
            with anyio.CancelScope(shield=True):
                async with anyio.create_task_group() as tasks:
                    for mapping in self.mappings:
                        tasks.start_soon(mapping.close)
        finally:
            await stack.aclose()

    @property
    def mappers(self) -> Dict[Gateway, PortMapper]:
        """The mapper of each gateway, by the gateway it began with, in the order of preference."""
        return dict(self._mappers)

    @property
    def mappings(self) -> tuple[Mapping, ...]:
        """The mappings that are wanted, on all gateways."""
        return tuple(mapping for mapper in self._mappers.values() for mapping in mapper.mappings)

    async def map(self, port: int, protocol: str = "tcp", **wishes: Any) -> Results:
        """Ask every gateway at once; return what each granted, or why not. `wishes` are those of PortMapper.map.

        Raises InvalidRequest for what none of them could be asked.
        """
        return await self._ask_all(lambda mapper: mapper.map(port, protocol, **wishes))

    async def map_request(self, request: MappingRequest) -> Results:
        """Do what `map` does, for a request that is made already."""
        return await self._ask_all(lambda mapper: mapper.map_request(request))

    async def _ask_all(self, ask: Callable[[PortMapper], Awaitable[Mapping]]) -> Results:
        if self._stack is None:
            raise MapperClosed("use it inside its `async with` block")
        results: Results = {}

        async def note(gateway: Gateway, mapper: PortMapper) -> None:
            try:
                results[gateway] = await ask(mapper)
            except PortMapperError as problem:
                results[gateway] = problem

        async with anyio.create_task_group() as tasks:
            for gateway, mapper in self._mappers.items():
                tasks.start_soon(note, gateway, mapper)
        invalid = [problem for problem in results.values() if isinstance(problem, InvalidRequest)]
        if invalid and len(invalid) == len(results):
            raise invalid[0]
        return {gateway: results[gateway] for gateway in self._mappers}


def _following(gateway: Gateway, options: Dict[str, Any]) -> PortMapper:
    """Return a mapper that looks `gateway` up again, by its address, when the network changes."""
    try:
        return PortMapper(gateway=str(gateway), interface=gateway.interface, **options)
    except NoGateway:  # only its default route leads there
        return PortMapper(gateway=gateway, **options)
