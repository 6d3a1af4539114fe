"""A UDP socket that talks to several gateways and still hears what the network says about each."""

import errno
import os
import socket
import struct
import sys
from ipaddress import IPv4Address
from typing import Any

import anyio

from portmapper import limits
from portmapper.errors import GatewayUnreachable
from portmapper.model import Endpoint, IPAddress
from portmapper.net.datagram import UdpSocket, parse_address, socket_address, translated

# linux/in.h, linux/in6.h and linux/errqueue.h; Python has no names for them.
_IP_RECVERR, _IPV6_RECVERR, _MSG_ERRQUEUE = 11, 25, 0x2000
_EXTENDED_ERROR = struct.Struct("=I")  # the errno comes first


class UnconnectedSocket(UdpSocket):
    """Bound to one address of this host, or to all of one family, at a port of the system's choice."""

    def __init__(self, source: IPAddress) -> None:
        def bind(sock: socket.socket) -> None:
            _report_errors(sock, source)
            sock.bind(socket_address(source, 0))

        super().__init__(source, str(source), bind)

    @property
    def port(self) -> int:
        """The port that answers come to."""
        number: int = self._socket.getsockname()[1]
        return number

    async def send(self, data: bytes, address: IPAddress, port: int) -> None:
        """Send one datagram. Raises GatewayUnreachable; what the network says about it later is told by `receive`."""
        with translated(f"{address} port {port}"):
            try:
                await self._send(data, address, port)
            except OSError:
                # Perhaps the error of an earlier datagram, which the system tells at the next call, whatever it is.
                await self._send(data, address, port)

    async def _send(self, data: bytes, address: IPAddress, port: int) -> None:
        while True:
            try:
                self._socket.sendto(data, socket_address(address, port))
            except BlockingIOError:
                await anyio.wait_writable(self._socket)
            else:
                return

    async def receive(self) -> tuple[bytes, Endpoint]:
        """Wait for one datagram and return it with where it came from.

        Raises GatewayUnreachable when the network refused one that was sent; on Linux the text says which.
        """
        while True:
            await anyio.wait_readable(self._socket)
            self._raise_reported()
            with translated("a gateway"):
                try:
                    data, sender = self._socket.recvfrom(limits.RECEIVE_BUFFER)
                except BlockingIOError:
                    continue
            return data, Endpoint(parse_address(sender), sender[1])

    def _raise_reported(self) -> None:
        if sys.platform != "linux":
            return
        try:
            _, ancillary, _, peer = self._socket.recvmsg(1, 512, _MSG_ERRQUEUE)
        except BlockingIOError:
            return
        self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)  # the same error, told a second time
        number = _reported_errno(ancillary)
        address = f"{parse_address(peer)} port {peer[1]}" if peer else "a gateway"
        text = f"nothing listens on {address} (refused)" if number == errno.ECONNREFUSED else None
        raise GatewayUnreachable(text or f"cannot reach {address}: {os.strerror(number)}", errno=number)


def _report_errors(sock: socket.socket, source: IPAddress) -> None:
    # Without this an unconnected socket is never told of ICMP errors.
    if sys.platform == "linux":
        if isinstance(source, IPv4Address):
            sock.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)


def _reported_errno(ancillary: list[tuple[int, int, bytes]] | list[Any]) -> int:
    for _, _, data in ancillary:
        if len(data) >= _EXTENDED_ERROR.size:
            number: int = _EXTENDED_ERROR.unpack_from(data)[0]
            return number
    return errno.EHOSTUNREACH
