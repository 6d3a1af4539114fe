"""Forward an external port to an internal one in user space, TCP and UDP."""

import socket
from collections.abc import Callable
from contextlib import suppress
from ipaddress import IPv4Address

import anyio
from anyio.abc import ByteStream, SocketAttribute, SocketListener, SocketStream, TaskGroup

from portmapper.errors import PortMapperError
from portmapper.model import Protocol
from portmapper.net.datagram import Datagram

_CHUNK = 65536
_UDP_PEERS = 64
_UDP_IDLE = 60.0

Target = Callable[[], tuple[IPv4Address, int]]
"""Where to forward to, asked for each connection and each datagram."""

Admits = Callable[[IPv4Address, int], bool]
"""Whether a remote peer may come in, asked for each connection and each datagram."""


class Forward:
    """One external port that leads to an internal one until it is closed."""

    def __init__(self, protocol: Protocol, address: IPv4Address, port: int, target: Target, admits: Admits) -> None:
        """Bind the external port. Raises OSError when it is taken; port 0 takes any."""
        self._protocol = protocol
        self._target = target
        self._admits = admits
        self._started = False
        self._scope = anyio.CancelScope()
        self._socket = _bound_socket(protocol, address, port)
        self.port: int = self._socket.getsockname()[1]

    def start(self, tasks: TaskGroup) -> None:
        """Forward from now on, in `tasks`."""
        self._started = True
        tasks.start_soon(self._run)

    def close(self) -> None:
        """Forward no more; the port is free as soon as the task has noticed."""
        self._scope.cancel()
        if not self._started:
            self._socket.close()

    async def _run(self) -> None:
        try:
            with self._scope:
                await (self._accept_tcp() if self._protocol == Protocol.TCP else self._serve_udp())
        finally:
            self._socket.close()

    async def _accept_tcp(self) -> None:
        async with await SocketListener.from_socket(self._socket) as listener:
            await listener.serve(self._serve_tcp)

    async def _serve_tcp(self, outer: SocketStream) -> None:
        peer = outer.extra(SocketAttribute.raw_socket).getpeername()
        if not self._admits(IPv4Address(peer[0]), peer[1]):
            await outer.aclose()
            return
        address, port = self._target()
        # Either side may go away at any time: that ends the connection, not the forwarding.
        with suppress(OSError, anyio.BrokenResourceError, anyio.ClosedResourceError):
            async with outer, await anyio.connect_tcp(str(address), port) as inner, anyio.create_task_group() as both:
                both.start_soon(_copy, outer, inner)
                both.start_soon(_copy, inner, outer)

    async def _serve_udp(self) -> None:
        peers: dict[tuple[str, int], Datagram] = {}
        async with anyio.create_task_group() as tasks:
            while True:
                await anyio.wait_readable(self._socket)
                try:
                    data, peer = self._socket.recvfrom(_CHUNK)
                except OSError:
                    continue  # an ICMP error for something sent earlier
                if not self._admits(IPv4Address(peer[0]), peer[1]):
                    continue
                if peer not in peers and len(peers) < _UDP_PEERS:
                    peers[peer] = Datagram(*self._target())
                    tasks.start_soon(self._answer_udp, peers, peer)
                if peer in peers:
                    with suppress(PortMapperError):
                        await peers[peer].send(data)

    async def _answer_udp(self, peers: dict[tuple[str, int], Datagram], peer: tuple[str, int]) -> None:
        try:
            with peers[peer] as inner, suppress(PortMapperError):
                while True:
                    with anyio.fail_after(_UDP_IDLE):
                        answer = await inner.receive()
                    self._socket.sendto(answer, peer)
        except TimeoutError:
            return
        finally:
            del peers[peer]


async def _copy(source: ByteStream, sink: ByteStream) -> None:
    # A half-closed connection stays open in the other direction.
    with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
        async for chunk in source:
            await sink.send(chunk)
        await sink.send_eof()


def _bound_socket(protocol: Protocol, address: IPv4Address, port: int) -> socket.socket:
    kind = socket.SOCK_STREAM if protocol == Protocol.TCP else socket.SOCK_DGRAM
    sock = socket.socket(socket.AF_INET, kind)
    try:
        sock.setblocking(False)
        if kind == socket.SOCK_STREAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((str(address), port))
        if kind == socket.SOCK_STREAM:
            sock.listen()
    except OSError:
        sock.close()
        raise
    return sock
