"""The routes that the library netifaces knows, for systems without procfs."""

import socket
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from ipaddress import IPv4Interface, IPv6Interface, ip_address, ip_network
from typing import Any

from portmapper.gateway.tables.route import Address, Route

_FAMILIES = (socket.AF_INET, socket.AF_INET6)


def read_routes() -> list[Route] | None:
    """Return the default routes and the networks on link; None where the library is missing."""
    try:
        netifaces = import_module("netifaces")
    except ImportError:
        return None
    return [*_defaults(netifaces), *_links(netifaces)]


def _defaults(netifaces: Any) -> Iterator[Route]:
    # Of each family the one that the system calls the default first.
    told = netifaces.gateways()
    for family in _FAMILIES:
        everything = ip_network("0.0.0.0/0" if family == socket.AF_INET else "::/0")
        rows = sorted(told.get(family, ()), key=lambda row: not row[2])
        for place, (gateway, interface, *_) in enumerate(rows):
            with suppress(ValueError):
                yield Route(everything, _address(gateway, interface), interface, metric=place)


def _links(netifaces: Any) -> Iterator[Route]:
    for interface in netifaces.interfaces():
        addresses = netifaces.ifaddresses(interface)
        for row in addresses.get(socket.AF_INET, ()):
            with suppress(ValueError, KeyError):
                link = IPv4Interface(f"{row['addr']}/{row['netmask']}")
                yield Route(link.network, None, interface, source=link.ip)
        for row in addresses.get(socket.AF_INET6, ()):
            with suppress(ValueError, KeyError):
                prefix = str(row["netmask"]).rpartition("/")[2]
                link6 = IPv6Interface(f"{str(row['addr']).partition('%')[0]}/{prefix if prefix.isdigit() else 64}")
                yield Route(link6.network, None, interface, source=_address(str(link6.ip), interface))


def _address(text: str, interface: str) -> Address:
    address = ip_address(text.partition("%")[0])
    return ip_address(f"{address}%{interface}") if address.version == 6 and address.is_link_local else address  # noqa: PLR2004
