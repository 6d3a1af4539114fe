"""An unconnected UDP socket that asks a multicast group, and single hosts, and hears their answers."""

import socket
from ipaddress import IPv4Address
from types import TracebackType
from typing import Self

import anyio

from portmapper import limits
from portmapper.model import IPAddress
from portmapper.net.datagram import parse_address, socket_address, translated, udp_socket


class MulticastSocket:
    """Bound to one address of this host, so that it sends on that interface and hears nothing meant for another."""

    def __init__(self, source: IPv4Address, *, ttl: int) -> None:
        self._socket = udp_socket(source)
        try:
            with translated(str(source)):
                self._socket.bind(socket_address(source, 0))
                self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, source.packed)
                self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, ttl)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()

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

    def close(self) -> None:
        """Close the socket; twice is fine."""
        self._socket.close()
