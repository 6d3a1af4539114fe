"""TCP connections to a device on the local network, from a chosen address of this host.

A raw socket first: a literal address with a zone would start a resolver thread on asyncio, and only the system's own
number tells a refused port from a silent one.
"""

import errno
import math
import os
import socket

import anyio
from anyio.abc import SocketStream

from portmapper import limits
from portmapper.model import IPAddress
from portmapper.net.datagram import family_of, socket_address, translated
from portmapper.net.tasks import first_of


async def connect(address: IPAddress, port: int, *, source: IPAddress | None = None) -> SocketStream:
    """Return a connection. Raises GatewayUnreachable, with the system's number; how long to wait is the caller's.

    While the first attempt waits, others are made beside it: the system would repeat a lost packet after a second.
    """

    async def attempt(number: int) -> socket.socket | None:
        with anyio.move_on_after(limits.CONNECT_TRY if number else math.inf):
            return await _connected(address, port, source)
        return None

    with translated(f"{address} port {port}"):
        sock = await first_of(attempt, limits.CONNECT_AGAIN, socket.socket.close)
        try:
            return await _stream_of(sock)
        except BaseException:
            sock.close()
            raise


async def _stream_of(sock: socket.socket) -> SocketStream:
    try:
        return await SocketStream.from_socket(sock)
    except ValueError as error:  # what anyio says of a peer that has broken it off already
        raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN)) from error


async def _connected(address: IPAddress, port: int, source: IPAddress | None) -> socket.socket:
    sock = socket.socket(family_of(address), socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        if source is not None:
            sock.bind(socket_address(source, 0))
        await _finish(sock, address, port)
    except BaseException:
        sock.close()
        raise
    return sock


async def _finish(sock: socket.socket, address: IPAddress, port: int) -> None:
    try:
        sock.connect(socket_address(address, port))
    except BlockingIOError:
        await anyio.wait_writable(sock)
        number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number:
            raise OSError(number, os.strerror(number)) from None
