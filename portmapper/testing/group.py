"""The SSDP group on the loopback interface: nothing leaves this host."""

import socket
import sys
from ipaddress import IPv4Address

from portmapper import limits
from portmapper.model import IPAddress
from portmapper.net.datagram import family_of

_GROUP_6 = "ff02::c"  # UDA 2.0 annex A


def send(data: bytes, source: IPAddress) -> None:
    """Send one datagram from `source`, a loopback address, to the group."""
    with socket.socket(family_of(source), socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.bind((str(source), 0))
        if isinstance(source, IPv4Address):
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, source.packed)
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 0)
            sock.sendto(data, (limits.SSDP_GROUP, limits.SSDP_PORT))
        else:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, _loopback())
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 0)
            sock.sendto(data, (_GROUP_6, limits.SSDP_PORT, 0, _loopback()))


def listen(like: IPAddress) -> socket.socket:
    """Return a socket that hears what is sent to the group of the family of `like` on the loopback interface."""
    sock = socket.socket(family_of(like), socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "SO_REUSEPORT"):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        _join(sock, like)
    except OSError:
        sock.close()
        raise
    return sock


def _join(sock: socket.socket, like: IPAddress) -> None:
    if isinstance(like, IPv4Address):
        group = IPv4Address(limits.SSDP_GROUP)
        sock.bind((str(group), limits.SSDP_PORT))
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group.packed + like.packed)
    else:
        sock.bind((_GROUP_6, limits.SSDP_PORT, 0, _loopback()))
        packed = socket.inet_pton(socket.AF_INET6, _GROUP_6)
        membership = packed + _loopback().to_bytes(4, sys.byteorder)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, membership)


def _loopback() -> int:
    return socket.if_nametoindex("lo")
