"""The SSDP group on the loopback interface: nothing leaves this host. IPv4 only, as multicast routes there are."""

import socket
from ipaddress import IPv4Address

from portmapper import limits


def send(data: bytes, source: IPv4Address) -> None:
    """Send one datagram from `source`, a loopback address, to the group."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.bind((str(source), 0))
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, source.packed)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 0)
        sock.sendto(data, (limits.SSDP_GROUP, limits.SSDP_PORT))


def listen(member: IPv4Address) -> socket.socket:
    """Return a socket that hears what is sent to the group on the interface of `member`."""
    group = IPv4Address(limits.SSDP_GROUP)
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "SO_REUSEPORT"):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind((str(group), limits.SSDP_PORT))
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group.packed + member.packed)
    except OSError:
        sock.close()
        raise
    return sock
