"""One port, open on every gateway of this host at once, without await."""

from collections.abc import Awaitable, Callable, Iterable
from collections.abc import Mapping as Dict
from types import TracebackType
from typing import Any, Self, TypeAlias

from portmapper import everywhere as asynchronous
from portmapper.background.calls import check_may_wait
from portmapper.background.residence import Residence
from portmapper.errors import MapperClosed, PortMapperError
from portmapper.model import Gateway, MappingRequest
from portmapper.sync.mapper import EnteredMapper, PortMapper
from portmapper.sync.mapping import Mapping

Results: TypeAlias = dict[Gateway, Mapping | PortMapperError]
"""What each gateway granted, or why it did not."""


class EveryGateway:
    """Maps ports on several gateways at once, as a context manager; each has a PortMapper of its own.

    `gateways` are those of all default routes if none are given; `options` are those of PortMapper. For hosts with
    several ways out, as IPv4 and IPv6, or two providers. It can be entered once. A call takes `timeout` seconds at
    most, if that is given, and raises GatewayTimeout then.
    """

    def __init__(self, gateways: Iterable[Gateway | str] | None = None, **options: Any) -> None:
        self._residence: Residence[Any] | None = None
        self._every = asynchronous.EveryGateway(gateways, **options)

    def __enter__(self) -> Self:
        check_may_wait()
        if self._residence is not None:
            raise MapperClosed("it can be entered once; make another")
        self._residence = Residence(self._every, "portmapper.sync.EveryGateway")
        self._residence.enter()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._entered().leave()

    @property
    def mappers(self) -> Dict[Gateway, PortMapper]:
        """The mapper of each gateway, by the gateway it began with, in the order of preference."""
        if (residence := self._residence) is None:
            return {}
        return {gateway: EnteredMapper(residence, mapper) for gateway, mapper in self._every.mappers.items()}

    @property
    def mappings(self) -> tuple[Mapping, ...]:
        """The mappings that are wanted, on all gateways."""
        return tuple(mapping for mapper in self.mappers.values() for mapping in mapper.mappings)

    def map(self, port: int, protocol: str = "tcp", *, timeout: float | None = None, **wishes: Any) -> Results:
        """Ask every gateway at once; return what each granted, or why not. `wishes` are those of PortMapper.map.

        Raises InvalidRequest for what none of them could be asked, GatewayTimeout after `timeout` seconds.
        """
        return self._ask_all(lambda: self._every.map(port, protocol, **wishes), timeout)

    def map_request(self, request: MappingRequest, *, timeout: float | None = None) -> Results:
        """Do what `map` does, for a request that is made already."""
        return self._ask_all(lambda: self._every.map_request(request), timeout)

    def _ask_all(self, ask: Callable[[], Awaitable[asynchronous.Results]], timeout: float | None) -> Results:
        residence = self._entered()
        results = residence.call(ask, timeout)
        return {
            gateway: result if isinstance(result, PortMapperError) else Mapping(residence, result)
            for gateway, result in results.items()
        }

    def _entered(self) -> Residence[Any]:
        if self._residence is None:
            raise MapperClosed("use it inside its `with` block")
        return self._residence
