"""The route tables of the Linux kernel, as procfs shows them."""

import sys
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Literal, TypeAlias

from portmapper.gateway.tables import fields
from portmapper.gateway.tables.route import ROUTES, Route, Table

_ByteOrder: TypeAlias = Literal["little", "big"]

_UP, _GATEWAY, _REJECT = 0x1, 0x2, 0x200  # linux/route.h
_WIDE_MASKS = frozenset(("00000000", "00000080", "80000000"))  # of the default route and its halves, in either order
_NOWHERE = "*"  # the interface of blackhole and throw routes, which are up
_HOST_MASK, _WIDE_LENGTH, _HOST_LENGTH = "FFFFFFFF", 3, 128


def parse_proc_net_route(text: str, byteorder: _ByteOrder = sys.byteorder) -> list[Route]:
    """Return the routes in `/proc/net/route`, in its order. Lines that make no sense are skipped."""
    # It shows the main table only; of a multipath route the first next hop, and an IPv6 one as 0.0.0.0; and a link
    # without carrier like any other. `ip route` says all that.
    table = Table()
    for line in text.splitlines():
        if table.full:
            break
        with suppress(ValueError):
            _add_ipv4(table, line.split(), byteorder)
    return table.routes


def parse_proc_net_ipv6_route(text: str) -> list[Route]:
    """Return the routes in `/proc/net/ipv6_route`, in its order. Lines that make no sense are skipped."""
    # It shows those of all tables, and not which: a default route here may hold for what some rule says only.
    table = Table()
    for line in text.splitlines():
        if table.full:
            break
        with suppress(ValueError):
            _add_ipv6(table, line.split())
    return table.routes


def parse_proc_net_if_inet6(text: str) -> list[Route]:
    """Return the networks that this host's addresses in `/proc/net/if_inet6` are on, with the address as source."""
    found: list[Route] = []
    for line in text.splitlines():
        if len(found) == ROUTES:
            break
        with suppress(ValueError):
            number, _, length, _, _, name = line.split()
            found.append(_addressed(int(number, 16), int(length, 16), fields.interface_name(name)))
    return found


def _addressed(number: int, length: int, interface: str) -> Route:
    address = IPv6Address(number)
    network = IPv6Network((number, length), strict=False)
    return Route(network, None, interface, source=fields.zoned(address, interface))


def _add_ipv4(table: Table, columns: list[str], byteorder: _ByteOrder) -> None:
    interface, destination, gateway, flags, _, _, metric, mask = columns[:8]
    bits = int(flags, 16)
    wide = mask in _WIDE_MASKS
    if interface == _NOWHERE or mask == _HOST_MASK or not _leads_somewhere(bits, wide=wide):
        return
    if not table.look(wide=wide):
        return
    name = fields.interface_name(interface)
    length = fields.prefix_length(int(_address(mask, byteorder)))
    network = IPv4Network((int(_address(destination, byteorder)), length))
    hop = fields.next_hop(_address(gateway, byteorder), name) if bits & _GATEWAY else None
    table.add(Route(network, hop, name, fields.metric(metric)))


def _leads_somewhere(flags: int, *, wide: bool) -> bool:
    return flags & (_UP | _REJECT) == _UP and (wide or not flags & _GATEWAY)


def _address(text: str, byteorder: _ByteOrder) -> IPv4Address:
    try:
        return IPv4Address(int(text, 16).to_bytes(4, byteorder))
    except OverflowError as error:
        raise ValueError("no IPv4 address") from error


def _add_ipv6(table: Table, columns: list[str]) -> None:
    destination, length, _, source_length, gateway, metric, _, _, flags, interface = columns
    prefixlen, bits = int(length, 16), int(flags, 16)
    wide = prefixlen <= _WIDE_LENGTH
    if prefixlen == _HOST_LENGTH or not _leads_somewhere(bits, wide=wide) or not table.look(wide=wide):
        return  # blackhole routes are reject ones here
    name = fields.interface_name(interface)
    hop = fields.next_hop(IPv6Address(int(gateway, 16)), name) if bits & _GATEWAY else None
    network = IPv6Network((int(destination, 16), prefixlen))
    for_some = int(source_length, 16) > 0  # a route for packets from one prefix (RFC 8028), where there are several
    table.add(Route(network, hop, name, fields.metric(metric, 16), scoped=for_some))
