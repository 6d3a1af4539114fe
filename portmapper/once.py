"""One question or one request to a gateway, for programs that keep nothing open."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, TypedDict, Unpack

from portmapper.gateway.detect import locate
from portmapper.mapper import PortMapper
from portmapper.mapping import Mapping
from portmapper.model import Changed, Closed, Event, Gateway, IPAddress, Lease, Lost, Mapped, MappingRequest
from portmapper.state.key import new_key


class OtherOptions(TypedDict, total=False):
    """The options of PortMapper, but for `gateway`."""

    interface: str | None
    backends: Sequence[str] | None
    key: bytes | None
    state: Path | str | bool | None
    allow_third_party: bool
    allow_permanent: bool
    check: float | None


class Options(OtherOptions, total=False):
    """The options of PortMapper."""

    gateway: Gateway | str | None


@cache
def _own_key() -> bytes:
    """Return the key of this process: by PCP only those can change a mapping who have the key it was made with."""
    return new_key()


def open_mapper(**options: Unpack[Options]) -> PortMapper:
    """Return a mapper with the key of this process, unless `options` say otherwise."""
    if options.get("key") is None and not options.get("state"):
        options["key"] = _own_key()
    return PortMapper(**options)


def gateway_address(interface: str | None = None) -> IPAddress:
    """Return the address of the router of the default route, or of that through `interface`. Raises NoGateway."""
    return locate(None, interface).address


async def external_address(**options: Unpack[Options]) -> IPAddress | None:
    """Return the gateway's external address, None when it has none now. `options` are those of PortMapper.

    Raises NoGateway, NoService.
    """
    async with open_mapper(**options) as mapper:
        return await mapper.external_address()


async def map_port(
    port: int,
    protocol: str = "tcp",
    external_port: int = 0,
    lifetime: int | None = None,
    *,
    description: str = "portmapper",
    **options: Unpack[Options],
) -> Lease:
    """Have `port` mapped for `lifetime` seconds (by default 7200, through a tunnel 60), and leave it at that.

    Nothing renews the lease: `refresh` does that once, `unmap` and `unmap_port` end it. `external_port` is a wish, 0
    for none. `options` are those of PortMapper. Raises as PortMapper.map.
    """
    async with open_mapper(**options) as mapper:
        mapping = await mapper.map(
            port, protocol, external_port=external_port, lifetime=lifetime, description=description
        )
        return _leave_there(mapping)


async def refresh(lease: Lease, **options: Unpack[Options]) -> Lease:
    """Have what `map_port` returned extended by its lifetime; return the lease as it is now. Raises NoService.

    It is asked of the same gateway by the same protocol, from this process or with the same `state` or `key`.
    """
    async with open_mapper(**_of(lease, options)) as mapper:
        return _leave_there(await mapper.map_request(_at_its_port(lease)))


async def unmap(lease: Lease, **options: Unpack[Options]) -> None:
    """Remove what `map_port` or `refresh` returned. Raises NoService. From where it was made, as `refresh`."""
    async with open_mapper(**_of(lease, options)) as mapper:
        await mapper.unmap_request(_at_its_port(lease))


async def unmap_port(
    port: int, protocol: str = "tcp", external_port: int = 0, **options: Unpack[Options]
) -> tuple[str, ...]:
    """Remove the mapping of a port of this host by every backend that answers; returns and raises as PortMapper.unmap.

    UPnP finds it by `external_port` (0: the same as `port`).
    """
    async with open_mapper(**options) as mapper:
        return await mapper.unmap(port, protocol, external_port=external_port)


async def unmap_all(protocol: str, **options: Unpack[Options]) -> tuple[str, ...]:
    """Remove every mapping of this host by `protocol`, whichever program made it, as PortMapper.unmap_all."""
    async with open_mapper(**options) as mapper:
        return await mapper.unmap_all(protocol)


@asynccontextmanager
async def keep_mapping(
    port: int,
    protocol: str = "tcp",
    external_port: int = 0,
    lifetime: int | None = None,
    *,
    description: str = "portmapper",
    **options: Unpack[Options],
) -> AsyncGenerator[Mapping]:
    """Keep one port open for the time of an ``async with`` block; arguments and errors as for `map_port`."""
    async with open_mapper(**options) as mapper:
        yield await mapper.map(port, protocol, external_port=external_port, lifetime=lifetime, description=description)


class EndpointChanges:
    """Takes the events of a mapping and tells the lease when the port is to be reached somewhere, None when nowhere."""

    def __init__(self, tell: Callable[[Lease | None], Any]) -> None:
        self._tell = tell
        self._is_there = False

    def __call__(self, event: Event) -> None:
        """Take the next event."""
        if isinstance(event, Mapped | Changed):
            self._is_there = True
            self._tell(event.lease)
        elif isinstance(event, Lost | Closed) and self._is_there:
            self._is_there = False
            self._tell(None)


def _leave_there(mapping: Mapping) -> Lease:
    lease = mapping.lease
    mapping.detach()
    return lease


def _of(lease: Lease, options: Options) -> Options:
    return Options(gateway=lease.gateway, backends=[lease.backend]) | options


def _at_its_port(lease: Lease) -> MappingRequest:
    return replace(lease.request, external_port=lease.external.port)
