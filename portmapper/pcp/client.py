"""Ask a PCP server (RFC 6887 section 8)."""

import math
import random
from collections.abc import Callable, Iterable
from typing import TypeAlias, TypeVar

from portmapper import limits
from portmapper.errors import ProtocolError, UnsupportedVersion
from portmapper.exchange import Exchange, within
from portmapper.model import Gateway
from portmapper.net.datagram import converse
from portmapper.pcp import wire
from portmapper.pcp.options import ThirdParty
from portmapper.pcp.results import Result, refusal
from portmapper.pcp.retransmission import retransmission_waits

R = TypeVar("R", wire.AnnounceResponse, wire.MapResponse, wire.PeerResponse)
Waits: TypeAlias = Callable[[], Iterable[float]]
"""The seconds to wait after each request, drawn afresh for each exchange."""


def rfc_waits() -> Iterable[float]:
    """Return the waits of RFC 6887 section 8.1.1."""
    return retransmission_waits(random.random)


def probe_waits() -> Iterable[float]:
    """Return the waits for when nothing is known to be there."""
    return limits.PROBE_WAITS


def fast_waits() -> Iterable[float]:
    """Return the waits for when a person is waiting."""
    return limits.FAST_WAITS


class PcpClient:
    """Requests to one gateway, answered by matched, checked responses. Any number may be in flight."""

    def __init__(self, gateway: Gateway, observe_epoch: Callable[[int], None], waits: Waits = rfc_waits) -> None:
        self._gateway = gateway
        self._observe_epoch = observe_epoch
        self._waits = waits

    async def announce(self, *, timeout: float = math.inf) -> wire.AnnounceResponse:
        """Return the server's answer, whatever its result: that it answers at all says it speaks PCP.

        Raises GatewayTimeout, GatewayUnreachable, UnsupportedVersion.
        """
        request = wire.AnnounceRequest(client=self._gateway.source)
        return await self._ask(request.encode(), _match_announce, within(self._waits(), timeout))

    async def map(self, request: wire.MapRequest, *, renewal: bool = False) -> wire.MapResponse:
        """Make, renew or delete a mapping. Raises as `announce`, and RequestRefused."""

        def match(response: wire.Response) -> wire.MapResponse | None:
            return response if isinstance(response, wire.MapResponse) and answers(request, response) else None

        waits = self._mapping_waits(renewal) if request.lifetime else limits.RELEASE_WAITS
        return _granted(await self._ask(request.encode(), match, waits), deleting=not request.lifetime)

    async def peer(self, request: wire.PeerRequest, *, renewal: bool = False) -> wire.PeerResponse:
        """Make or renew an outbound mapping. Raises as `map`."""

        def match(response: wire.Response) -> wire.PeerResponse | None:
            return response if isinstance(response, wire.PeerResponse) and answers(request, response) else None

        return _granted(await self._ask(request.encode(), match, self._mapping_waits(renewal)), deleting=False)

    def _mapping_waits(self, renewal: bool) -> Iterable[float]:
        return limits.RENEWAL_WAITS if renewal else self._waits()

    async def _ask(self, request: bytes, match: Callable[[wire.Response], R | None], waits: Iterable[float]) -> R:
        def answer(data: bytes) -> R | wire.UnsupportedVersionResponse | None:
            try:
                response = wire.decode_response(data)
            except ProtocolError:
                return None
            if not isinstance(response, wire.UnsupportedVersionResponse):
                return match(response)
            return response if response.version != wire.VERSION else None  # it cannot refuse the one it names

        exchange: Exchange[R | wire.UnsupportedVersionResponse] = Exchange(request, answer, waits)
        reply = await converse(exchange, self._gateway)
        if isinstance(reply, wire.UnsupportedVersionResponse):
            raise _unsupported(reply.version)
        self._observe_epoch(reply.epoch)  # of errors too (section 8.3)
        return reply


def _match_announce(response: wire.Response) -> wire.AnnounceResponse | None:
    return response if isinstance(response, wire.AnnounceResponse) else None


def answers(request: wire.Mapping, response: wire.MapResponse | wire.PeerResponse) -> bool:
    """Whether a response belongs to a request (sections 11.4 and 12.4).

    The internal address is that of the connected socket, or that in THIRD_PARTY.
    """
    if not response.result and _third_party(request) != _third_party(response):
        return False
    return _identity(request) == _identity(response)


def _third_party(message: wire.Mapping) -> tuple[ThirdParty, ...]:
    return tuple(option for option in message.options if isinstance(option, ThirdParty))


def _identity(message: wire.Mapping) -> tuple[object, ...]:
    common = (message.nonce, message.protocol, message.internal_port)
    if isinstance(message, wire.PeerRequest | wire.PeerResponse):
        return (*common, message.remote_port, message.remote_address)
    return common


G = TypeVar("G", wire.MapResponse, wire.PeerResponse)


def _granted(response: G, *, deleting: bool) -> G:
    if response.result != Result.SUCCESS:
        raise refusal(response.result, response.lifetime, deleting=deleting)
    return response


def _unsupported(version: int) -> UnsupportedVersion:
    speaks = "NAT-PMP" if version == 0 else f"PCP version {version}"
    return UnsupportedVersion(f"the gateway does not speak PCP version 2, but {speaks}", version=version)
