"""What this host knows of itself without asking anybody: interfaces, programs that listen, neighbours on the link."""

import socket
import sys
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, ip_address

from portmapper.doctor.findings import Interface, Listener, Neighbour, Network
from portmapper.errors import GatewayUnreachable
from portmapper.gateway import procfs
from portmapper.gateway.detect import survey
from portmapper.gateway.tables.linux import parse_proc_net_if_inet6
from portmapper.model import Endpoint, IPAddress, Protocol
from portmapper.net import links
from portmapper.net.datagram import source_towards

_FAR_AWAY = IPv4Address("192.0.2.1")  # for documentation (RFC 5737): the kernel is asked for a route, nothing is sent
_STATES = {Protocol.TCP: "0A", Protocol.UDP: "07"}  # linux/tcp_states.h: LISTEN; an unconnected UDP socket is CLOSE
_COMPLETE = 0x2  # linux/if_arp.h
_NO_HARDWARE = "00:00:00:00:00:00"


def network(interface: str | None) -> Network:
    """Return how this host is connected, by its own word."""
    return Network(interfaces=_interfaces(), candidates=survey(interface), outward=_outward())


def listeners(protocol: Protocol, port: int) -> tuple[Listener, ...] | None:
    """Return where programs of this host listen on a TCP or UDP port; None where the system does not tell."""
    if sys.platform != "linux" or protocol not in _STATES or not procfs.read_text(str(protocol)):
        return None
    tables = [procfs.read_text(f"{protocol}{family}") for family in ("", "6")]
    ends = [one for text in tables for one in parse_sockets(text, _STATES[protocol]) if one.port == port]
    return tuple(Listener(protocol=protocol, local=one) for one in dict.fromkeys(ends))


def neighbour(address: IPAddress) -> Neighbour:
    """Return whether a gateway has answered on the link layer of late, as far as the system tells."""
    return parse_arp(procfs.read_text("arp") if sys.platform == "linux" else "", address)


def parse_sockets(text: str, state: str) -> Iterator[Endpoint]:
    """Yield the local endpoints of sockets in `state` in a table such as `/proc/net/tcp`; others are passed over."""
    for line in text.splitlines()[1:]:
        columns = line.split()
        if len(columns) > 3 and columns[3] == state:  # noqa: PLR2004
            digits, _, port = columns[1].partition(":")
            try:
                yield Endpoint(_address(bytes.fromhex(digits)), int(port, 16))
            except ValueError:
                continue


def parse_arp(text: str, address: IPAddress) -> Neighbour:
    """Return what `/proc/net/arp` says of an address: nothing, if it is not there."""
    for line in text.splitlines()[1:]:
        columns = line.split()
        if len(columns) > 3 and columns[0] == str(address) and columns[2].startswith("0x"):  # noqa: PLR2004
            alive = bool(int(columns[2], 16) & _COMPLETE)
            return Neighbour(alive=alive, hardware=columns[3] if columns[3] != _NO_HARDWARE else "")
    return Neighbour()


def _address(packed: bytes) -> IPAddress:
    # Words of 32 bits in the order of this machine.
    words = [packed[place : place + 4] for place in range(0, len(packed), 4)]
    turned = b"".join(word[::-1] if sys.byteorder == "little" else word for word in words)
    address = ip_address(turned)
    return getattr(address, "ipv4_mapped", None) or address


def _interfaces() -> tuple[Interface, ...]:
    by_name: dict[str, list[IPAddress]] = {}
    if sys.platform == "linux":
        for route in parse_proc_net_if_inet6(procfs.read_text("if_inet6")):
            by_name.setdefault(route.interface, []).extend([route.source] if route.source else [])
    return tuple(_interface(name, by_name.get(name, ())) for _, name in socket.if_nameindex())


def _interface(name: str, addresses_6: Iterable[IPAddress]) -> Interface:
    flags, address = links.flags_of(name), links.address_of(name)
    return Interface(
        name=name,
        up=links.Flag.UP in flags,
        running=links.Flag.RUNNING in flags,
        loopback=links.Flag.LOOPBACK in flags,
        tunnel=links.Flag.POINT_TO_POINT in flags,
        addresses=(*([address] if address else []), *addresses_6),
    )


def _outward() -> IPAddress | None:
    try:
        return source_towards(_FAR_AWAY)
    except GatewayUnreachable:
        return None
