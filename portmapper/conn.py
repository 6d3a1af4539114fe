"""The low-level door: NAT-PMP and PCP messages over one UDP socket, to any number of gateways."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from ipaddress import IPv4Address
from typing import TypeAlias

from portmapper import limits
from portmapper.errors import ProtocolError
from portmapper.model import Endpoint, Gateway, IPAddress
from portmapper.natpmp import wire as natpmp
from portmapper.net.unconnected import UnconnectedSocket
from portmapper.pcp import wire as pcp

Message: TypeAlias = natpmp.Request | natpmp.Response | pcp.Request | pcp.Response
"""Every message of both protocols; each has `encode()`."""

_ANY = IPv4Address(0)
_RESPONSE = 128
_REFUSED_VERSION = 8  # bytes: the one response whose opcode is that of a request (RFC 6886 section 3.5)


def parse_message(data: bytes) -> Message:
    """Return the message in `data`. Raises ProtocolError, and nothing else, whatever `data` holds."""
    if len(data) < 2:  # noqa: PLR2004 - version and opcode
        raise ProtocolError("shorter than any message")
    if data[0] == natpmp.VERSION:
        is_request = data[1] < _RESPONSE and not (data[1] == 0 and len(data) >= _REFUSED_VERSION)
        return natpmp.decode_request(data) if is_request else natpmp.decode_response(data)
    return pcp.decode_request(data) if data[1] < _RESPONSE else pcp.decode_response(data)


class Conn:
    """Sends and receives messages, as they are: no retransmission, no matching, any number in flight.

    Made by `Conn.open`.
    """

    def __init__(self, socket: UnconnectedSocket) -> None:
        self._socket = socket
        self._asked: dict[tuple[bytes, int], None] = {}

    @classmethod
    @asynccontextmanager
    async def open(cls, source: IPAddress = _ANY) -> AsyncGenerator["Conn"]:
        """Open a socket at `source`, an address of this host; by default at all IPv4 addresses.

        Raises GatewayUnreachable.
        """
        with UnconnectedSocket(source) as socket:
            yield cls(socket)

    @property
    def port(self) -> int:
        """The local port."""
        return self._socket.port

    async def send(self, message: Message, gateway: Gateway) -> None:
        """Send a message. Raises InvalidRequest if it cannot be encoded, GatewayUnreachable."""
        await self.send_raw(message.encode(), gateway)

    async def send_raw(self, data: bytes, gateway: Gateway) -> None:
        """Send any bytes. Raises GatewayUnreachable."""
        key = (gateway.address.packed, gateway.port)
        self._asked.pop(key, None)
        self._asked[key] = None
        while len(self._asked) > limits.CONN_GATEWAYS:
            del self._asked[next(iter(self._asked))]
        await self._socket.send(data, gateway.address, gateway.port)

    async def receive(self) -> tuple[Message, Endpoint]:
        """Wait for a message from a gateway that was asked; anything else is left out.

        Raises GatewayUnreachable when the network refused what was sent (ICMP); the socket stays of use.
        """
        while True:
            data, source = await self._socket.receive()
            if source.address is None or (source.address.packed, source.port) not in self._asked:
                continue
            try:
                return parse_message(data), source
            except ProtocolError:
                continue

    async def receive_raw(self) -> tuple[bytes, Endpoint]:
        """Wait for one datagram, whoever sent it; one longer than 2049 bytes is cut. Raises GatewayUnreachable."""
        return await self._socket.receive()
