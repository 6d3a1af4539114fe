"""Read the kernel's route tables. Text in, routes out, no I/O."""

import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address
from typing import Literal

from portmapper.model import IPAddress

_UP, _GATEWAY, _REJECT = 0x1, 0x2, 0x200  # linux/route.h


@dataclass(frozen=True, slots=True)
class DefaultRoute:
    """A default route through a gateway. A link-local gateway carries its interface as the zone."""

    gateway: IPAddress
    interface: str
    metric: int


def parse_proc_route(text: str, byteorder: Literal["little", "big"] = sys.byteorder) -> list[DefaultRoute]:
    """Return the default routes in `/proc/net/route`, best first. Lines that make no sense are skipped."""
    return _best_first(_proc_route_line(line.split(), byteorder) for line in text.splitlines())


def parse_proc_links(text: str, byteorder: Literal["little", "big"] = sys.byteorder) -> list[IPv4Network]:
    """Return the networks in `/proc/net/route` that are reached without a gateway, the smallest first."""
    found = (_proc_link_line(line.split(), byteorder) for line in text.splitlines())
    return sorted((one for one in found if one is not None), key=lambda network: -network.prefixlen)


def parse_proc_ipv6_route(text: str) -> list[DefaultRoute]:
    """Return the default routes in `/proc/net/ipv6_route`, best first. Lines that make no sense are skipped."""
    return _best_first(_proc_ipv6_route_line(line.split()) for line in text.splitlines())


def parse_proc_if_inet6(text: str) -> dict[IPv6Address, str]:
    """Return the interface of each address in `/proc/net/if_inet6`. Lines that make no sense are skipped."""
    found: dict[IPv6Address, str] = {}
    for line in text.splitlines():
        with suppress(ValueError):
            address, _, _, _, _, interface = line.split()
            found[IPv6Address(int(address, 16))] = interface
    return found


def _best_first(routes: Iterator[DefaultRoute | None]) -> list[DefaultRoute]:
    return sorted((route for route in routes if route is not None), key=lambda route: route.metric)


def _proc_route_line(fields: list[str], byteorder: Literal["little", "big"]) -> DefaultRoute | None:
    try:
        interface, destination, gateway, flags, _, _, metric, mask = fields[:8]
        if int(destination, 16) or int(mask, 16) or not _usable(flags):
            return None
        address = IPv4Address(int(gateway, 16).to_bytes(4, byteorder))
        return DefaultRoute(address, interface, int(metric) % 2**32) if int(address) else None
    except (ValueError, OverflowError):
        return None


def _proc_link_line(fields: list[str], byteorder: Literal["little", "big"]) -> IPv4Network | None:
    try:
        _, destination, _, flags, _, _, _, mask = fields[:8]
        if int(flags, 16) & (_UP | _GATEWAY | _REJECT) != _UP or not int(mask, 16):
            return None
        address, netmask = (IPv4Address(int(one, 16).to_bytes(4, byteorder)) for one in (destination, mask))
        return IPv4Network(f"{address}/{netmask}")
    except (ValueError, OverflowError):
        return None


def _proc_ipv6_route_line(fields: list[str]) -> DefaultRoute | None:
    try:
        destination, length, _, _, gateway, metric, _, _, flags, interface = fields
        if int(destination, 16) or int(length, 16) or not _usable(flags):
            return None
        address = IPv6Address(int(gateway, 16))
        zoned = IPv6Address(f"{address}%{interface}") if address.is_link_local else address
        return DefaultRoute(zoned, interface, int(metric, 16)) if int(address) else None
    except (ValueError, OverflowError):
        return None


def _usable(flags: str) -> bool:
    return int(flags, 16) & (_UP | _GATEWAY | _REJECT) == _UP | _GATEWAY
