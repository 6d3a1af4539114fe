"""One question or one request to a gateway, without await: for scripts, and programs that keep nothing open."""

from functools import partial
from typing import Unpack

from portmapper import once
from portmapper.background.calls import run
from portmapper.model import IPAddress, Lease
from portmapper.once import Options, gateway_address

__all__ = ["external_address", "gateway_address", "map_port", "refresh", "unmap", "unmap_all", "unmap_port"]


def external_address(*, timeout: float | None = None, **options: Unpack[Options]) -> IPAddress | None:
    """Return the gateway's external address, None when it has none now. `options` are those of PortMapper.

    Raises NoGateway, NoService; GatewayTimeout after `timeout` seconds.
    """
    return run(partial(once.external_address, **options), timeout)


def map_port(
    port: int,
    protocol: str = "tcp",
    external_port: int = 0,
    lifetime: int | None = None,
    *,
    description: str = "portmapper",
    timeout: float | None = None,
    **options: Unpack[Options],
) -> Lease:
    """Have `port` mapped for `lifetime` seconds (by default 7200, through a tunnel 60), and leave it at that.

    Nothing renews the lease: `refresh` does that once, `unmap` and `unmap_port` end it. `external_port` is a wish, 0
    for none. `options` are those of PortMapper. Raises as PortMapper.map; GatewayTimeout after `timeout` seconds.
    """
    ask = partial(once.map_port, port, protocol, external_port, lifetime, description=description, **options)
    return run(ask, timeout)


def refresh(lease: Lease, *, timeout: float | None = None, **options: Unpack[Options]) -> Lease:
    """Have what `map_port` returned extended by its lifetime; return the lease as it is now.

    It is asked of the same gateway by the same protocol, from this process or with the same `state` or `key`.
    Raises NoService; GatewayTimeout after `timeout` seconds.
    """
    return run(partial(once.refresh, lease, **options), timeout)


def unmap(lease: Lease, *, timeout: float | None = None, **options: Unpack[Options]) -> None:
    """Remove what `map_port` or `refresh` returned. From where it was made, as `refresh`.

    Raises NoService; GatewayTimeout after `timeout` seconds.
    """
    return run(partial(once.unmap, lease, **options), timeout)


def unmap_port(
    port: int,
    protocol: str = "tcp",
    external_port: int = 0,
    *,
    timeout: float | None = None,
    **options: Unpack[Options],
) -> tuple[str, ...]:
    """Remove the mapping of a port of this host by every backend that answers; returns and raises as PortMapper.unmap.

    UPnP finds it by `external_port` (0: the same as `port`). Raises GatewayTimeout after `timeout` seconds.
    """
    return run(partial(once.unmap_port, port, protocol, external_port, **options), timeout)


def unmap_all(protocol: str, *, timeout: float | None = None, **options: Unpack[Options]) -> tuple[str, ...]:
    """Remove every mapping of this host by `protocol`, whichever program made it, as PortMapper.unmap_all.

    Raises GatewayTimeout after `timeout` seconds.
    """
    return run(partial(once.unmap_all, protocol, **options), timeout)
