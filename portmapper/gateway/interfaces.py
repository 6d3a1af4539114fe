"""The routes that the library netifaces knows, for systems without procfs."""

import socket
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface, ip_address
from typing import Any

from portmapper.errors import GatewayUnreachable
from portmapper.gateway.tables import fields
from portmapper.gateway.tables.fields import Version
from portmapper.gateway.tables.route import Route
from portmapper.model import IPAddress
from portmapper.net.datagram import source_towards

_FAMILIES: dict[Version, int] = {4: socket.AF_INET, 6: socket.AF_INET6}
# For documentation (RFC 5737, RFC 3849): never reached, and nothing is sent there.
_FAR_AWAY: dict[Version, IPAddress] = {4: IPv4Address("192.0.2.1"), 6: IPv6Address("2001:db8::1")}


def read_routes() -> list[Route] | None:
    """Return the default routes and the networks on link; None where the library is missing, or cannot tell."""
    try:
        netifaces = import_module("netifaces")
        told, links = netifaces.gateways(), list(_links(netifaces))
    except (ImportError, OSError):
        return None
    return [*_defaults(told, links), *links]


def _defaults(told: dict[Any, Any], links: list[Route]) -> Iterator[Route]:
    # First of each family what the system would use now: on Windows the library does not see the metrics of interfaces,
    # and marks more than one. Then the one that it calls the default.
    for version, family in _FAMILIES.items():
        used, default = _ways_out(version, links), told.get("default", {}).get(family)
        rows = sorted(told.get(family, ()), key=lambda row: (row[1] not in used, row[:2] != default, not row[2]))
        for gateway, interface, *_ in rows:
            with suppress(ValueError):
                hop = fields.next_hop(ip_address(gateway), interface)
                yield Route(fields.everything(version), hop, interface)


def _ways_out(version: Version, links: list[Route]) -> frozenset[str]:
    with suppress(GatewayUnreachable):
        source = source_towards(_FAR_AWAY[version])
        return frozenset(link.interface for link in links if link.source == source)
    return frozenset()


def _links(netifaces: Any) -> Iterator[Route]:
    for interface in netifaces.interfaces():
        try:
            addresses = netifaces.ifaddresses(interface)
        except (ValueError, OSError):
            continue  # it went away just now
        for row in addresses.get(socket.AF_INET, ()):
            with suppress(ValueError, KeyError):
                link = IPv4Interface(f"{row['addr']}/{row['netmask']}")
                yield Route(link.network, None, interface, source=link.ip)
        for row in addresses.get(socket.AF_INET6, ()):
            with suppress(ValueError, KeyError):
                prefix = str(row["netmask"]).rpartition("/")[2]
                source = fields.zoned(ip_address(row["addr"]), interface)
                link6 = IPv6Interface((int(source), int(prefix) if prefix.isdigit() else 64))
                yield Route(link6.network, None, interface, source=source)
