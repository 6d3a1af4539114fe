"""UDP sockets that report what the network says about them.

Raw non-blocking sockets with `anyio.wait_readable`: anyio's own UDP streams turn a refused port, a local firewall and a
missing route into full time-outs on asyncio, and start a resolver thread for an IP literal.
"""

import os
import socket
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from ipaddress import IPv4Address, IPv6Address, ip_address
from types import TracebackType
from typing import Self, TypeVar

import anyio

from portmapper import limits
from portmapper.errors import GatewayTimeout, GatewayUnreachable
from portmapper.exchange import Exchange
from portmapper.model import Gateway, IPAddress
from portmapper.net import clock

T = TypeVar("T")


class UdpSocket:
    """A non-blocking UDP socket of the family of `like`, closed at the end of a ``with`` block.

    `prepare` binds and connects it as wanted; `peer` is what errors call the other side. Raises GatewayUnreachable.
    """

    def __init__(self, like: IPAddress, peer: str, prepare: Callable[[socket.socket], None]) -> None:
        with translated(peer):
            self._socket = socket.socket(family_of(like), socket.SOCK_DGRAM)
        try:
            self._socket.setblocking(False)
            with translated(peer):
                prepare(self._socket)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket; twice is fine."""
        self._socket.close()


class Datagram(UdpSocket):
    """A UDP socket connected to one port of one peer: the kernel drops what comes from elsewhere."""

    def __init__(
        self, remote: IPAddress, port: int, *, source: IPAddress | None = None, interface: str | None = None
    ) -> None:
        def connect(sock: socket.socket) -> None:
            if interface is not None:
                _bind_to_interface(sock, interface)
            if source is not None:
                sock.bind(socket_address(source, 0))
            sock.connect(socket_address(remote, port))

        self._peer = f"{remote} port {port}"
        super().__init__(remote, self._peer, connect)

    @property
    def source(self) -> IPAddress:
        """The address of this host that the peer sees (if no NAT is between)."""
        return parse_address(self._socket.getsockname())

    async def send(self, data: bytes) -> None:
        """Send one datagram. Raises GatewayUnreachable."""
        while True:
            with translated(self._peer):
                try:
                    self._socket.send(data)
                except BlockingIOError:
                    await anyio.wait_writable(self._socket)
                    continue
            return

    def send_at_once(self, data: bytes) -> None:
        """Send one datagram without waiting for room. Raises GatewayUnreachable."""
        with translated(self._peer), suppress(BlockingIOError):
            self._socket.send(data)

    async def receive(self) -> bytes:
        """Wait for one datagram; one longer than any protocol allows is cut. Raises GatewayUnreachable."""
        while True:
            # Waiting first, always: a peer that floods us must not keep the event loop from everybody else.
            await anyio.wait_readable(self._socket)
            with translated(self._peer):
                try:
                    return self._socket.recv(limits.RECEIVE_BUFFER)
                except BlockingIOError:
                    continue  # the kernel dropped it: bad checksum


async def converse(exchange: Exchange[T], gateway: Gateway) -> T:
    """Run one exchange with the gateway's port mapping server, from a fresh source port.

    Raises GatewayTimeout when the exchange is spent, GatewayUnreachable when the network says no.
    """
    begin = clock.now()
    with Datagram(gateway.address, gateway.port, source=gateway.source) as datagram:
        while True:
            data = exchange.poll(clock.now())
            if data is not None:
                await datagram.send(data)
            if exchange.spent:
                raise _timeout(exchange, gateway, clock.now() - begin)
            with anyio.move_on_after(exchange.deadline - clock.now()):
                reply = exchange.receive(await datagram.receive())
                if reply is not None:
                    return reply


def send_unanswered(data: bytes, gateway: Gateway) -> None:
    """Send one datagram to the gateway's port mapping server, at once and without an event loop.

    Raises GatewayUnreachable.
    """
    with Datagram(gateway.address, gateway.port, source=gateway.source) as datagram:
        datagram.send_at_once(data)


def _timeout(exchange: Exchange[T], gateway: Gateway, seconds: float) -> GatewayTimeout:
    times = "one request" if exchange.sent == 1 else f"{exchange.sent} requests"
    return GatewayTimeout(
        f"no answer from {gateway} UDP port {gateway.port} ({times} in {seconds:.1f} s)",
        sent=exchange.sent,
        seconds=seconds,
    )


def source_towards(address: IPAddress, interface: str | None = None) -> IPAddress:
    """Return the address of this host from which the kernel would reach `address`; sends nothing.

    On Linux through `interface`, if one is given. Raises GatewayUnreachable when there is no route.
    """
    with Datagram(address, limits.SERVER_PORT, interface=interface) as datagram:
        return datagram.source


def _bind_to_interface(sock: socket.socket, interface: str) -> None:
    if sys.platform == "linux":
        with suppress(PermissionError):  # Linux before 5.7 keeps that for root
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())


@contextmanager
def translated(peer: str) -> Generator[None]:
    """Turn the system's errors into GatewayUnreachable, with words a person can use."""
    try:
        yield
    except ConnectionRefusedError as error:
        raise GatewayUnreachable(f"nothing listens on {peer} (refused)", errno=error.errno) from error
    except PermissionError as error:
        text = f"sending to {peer} was forbidden on this host; look at its firewall"
        raise GatewayUnreachable(text, errno=error.errno) from error
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise GatewayUnreachable(f"cannot reach {peer}: {reason}", errno=error.errno) from error


def family_of(address: IPAddress) -> socket.AddressFamily:
    """Return the socket family of an address."""
    return socket.AF_INET if isinstance(address, IPv4Address) else socket.AF_INET6


def socket_address(address: IPAddress, port: int) -> tuple[str, int] | tuple[str, int, int, int]:
    """Return what the socket calls want; a zone id becomes a scope number."""
    if isinstance(address, IPv4Address):
        return (str(address), port)
    scope = address.scope_id
    plain = str(address).partition("%")[0]
    return (plain, port, 0, scope_number(scope) if scope else 0)


def scope_number(scope: str) -> int:
    """Return the number of a zone, given by number or by interface name. Raises OSError if there is no such one."""
    return int(scope) if scope.isascii() and scope.isdigit() else socket.if_nametoindex(scope)


def parse_address(sockname: tuple[str, int] | tuple[str, int, int, int]) -> IPAddress:
    """Return the address in what `getsockname` or `recvfrom` gave, with its zone."""
    address = ip_address(sockname[0].partition("%")[0])
    if isinstance(address, IPv6Address) and len(sockname) == 4 and sockname[3]:  # noqa: PLR2004
        return IPv6Address(f"{address}%{sockname[3]}")
    return address


def unused_udp_port(source: IPAddress) -> int:
    """Return a UDP port of `source` that no program has bound."""
    with translated(str(source)), socket.socket(family_of(source), socket.SOCK_DGRAM) as sock:
        sock.bind(socket_address(source, 0))
        port: int = sock.getsockname()[1]
        return port
