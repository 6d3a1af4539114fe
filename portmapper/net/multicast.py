"""UDP sockets that ask a multicast group and hear the answers, or hear what is sent to a group."""

import socket
import sys
from ipaddress import IPv4Address, IPv6Address

import anyio

from portmapper import limits
from portmapper.model import Gateway, IPAddress
from portmapper.net.datagram import UdpSocket, parse_address, scope_number, socket_address, translated


class MulticastSocket(UdpSocket):
    """Bound to the address of this host that faces `gateway`: it sends on that interface and hears nothing else."""

    def __init__(self, gateway: Gateway, *, ttl: int) -> None:
        source = gateway.source

        def bind(sock: socket.socket) -> None:
            sock.bind(socket_address(source, 0))
            if isinstance(source, IPv4Address):
                sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, source.packed)
                sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, ttl)
            else:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, interface_index(gateway))
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, ttl)

        super().__init__(source, str(source), bind)

    def send(self, data: bytes, address: IPAddress, port: int) -> None:
        """Send one datagram; a full send buffer loses it, as the network may. Raises GatewayUnreachable."""
        with translated(f"{address} port {port}"):
            try:
                self._socket.sendto(data, socket_address(address, port))
            except BlockingIOError:
                return

    async def receive(self) -> tuple[bytes, IPAddress]:
        """Wait for one datagram and return it with the address it came from. Raises GatewayUnreachable."""
        while True:
            await anyio.wait_readable(self._socket)
            with translated("the local network"):
                try:
                    data, sender = self._socket.recvfrom(limits.RECEIVE_BUFFER)
                except BlockingIOError:
                    continue
            return data, parse_address(sender)


class Listener(UdpSocket):
    """Hears what anybody sends; whoever reads decides how fast, and what is too much is dropped by the system."""

    async def wait(self) -> None:
        """Wait until there may be a datagram."""
        await anyio.wait_readable(self._socket)

    def poll(self) -> tuple[bytes, IPAddress, int] | None:
        """Return the next datagram, if any, with the address and port it came from. Raises GatewayUnreachable."""
        with translated("the local network"):
            try:
                data, sender = self._socket.recvfrom(limits.RECEIVE_BUFFER)
            except BlockingIOError:
                return None
        return data, parse_address(sender), sender[1]


class GroupSocket(Listener):
    """Hears what is sent to a group on one interface, beside other listeners."""

    def __init__(self, group: IPAddress, port: int, gateway: Gateway) -> None:
        def join(sock: socket.socket) -> None:
            _share_port(sock)
            _join(sock, group, port, gateway)

        super().__init__(group, f"the group {group}", join)


class UnicastListener(Listener):
    """Hears what is sent to one address of this host, if no other program that shares the port hears it instead."""

    def __init__(self, source: IPAddress, port: int) -> None:
        def bind(sock: socket.socket) -> None:
            _share_port(sock)
            sock.bind(socket_address(source, port))

        super().__init__(source, f"{source} port {port}", bind)


def _share_port(sock: socket.socket) -> None:
    # RFC 6886 section 3.2.1: several programs on a host listen to the same announcements.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if hasattr(socket, "SO_REUSEPORT"):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)


def _join(sock: socket.socket, group: IPAddress, port: int, gateway: Gateway) -> None:
    # Bound to the group, not to all addresses: unicast datagrams to this port are none of our business.
    if isinstance(group, IPv4Address):
        sock.bind(socket_address(group, port))
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group.packed + gateway.source.packed)
    else:
        index = interface_index(gateway)
        sock.bind((str(group), port, 0, index))
        membership = group.packed + index.to_bytes(4, sys.byteorder)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, membership)


def interface_index(gateway: Gateway) -> int:
    """Return the number of the interface that leads to an IPv6 gateway. Raises OSError when it has none."""
    scope = gateway.address.scope_id if isinstance(gateway.address, IPv6Address) else None
    try:
        return socket.if_nametoindex(gateway.interface or "")
    except OSError:  # on Windows netifaces has names of its own
        return scope_number(scope or "")
