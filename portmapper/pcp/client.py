"""Ask a PCP server (RFC 6887 section 8)."""

import math
from collections.abc import Callable, Iterable
from typing import TypeVar

from portmapper import limits
from portmapper.errors import ProtocolError, UnsupportedVersion
from portmapper.exchange import Exchange, within
from portmapper.model import Gateway
from portmapper.net.datagram import converse
from portmapper.pcp import wire
from portmapper.pcp.results import Result, refusal

R = TypeVar("R", wire.AnnounceResponse, wire.MapResponse)


class PcpClient:
    """Requests to one gateway, answered by matched, checked responses. Any number may be in flight."""

    def __init__(self, gateway: Gateway, observe_epoch: Callable[[int], None]) -> None:
        self._gateway = gateway
        self._observe_epoch = observe_epoch

    async def announce(self, *, timeout: float = math.inf) -> wire.AnnounceResponse:
        """Return the server's answer, whatever its result: that it answers at all says it speaks PCP.

        Raises GatewayTimeout, GatewayUnreachable, UnsupportedVersion.
        """
        request = wire.AnnounceRequest(client=self._gateway.source)
        return await self._ask(request.encode(), _match_announce, within(limits.FAST_WAITS, timeout))

    async def map(self, request: wire.MapRequest) -> wire.MapResponse:
        """Make, renew or delete a mapping. Raises as `announce`, and RequestRefused."""

        def match(response: wire.Response) -> wire.MapResponse | None:
            return _match_map(request, response)

        waits = limits.FAST_WAITS if request.lifetime else limits.RELEASE_WAITS
        response = await self._ask(request.encode(), match, waits)
        if response.result != Result.SUCCESS:
            raise refusal(response.result, response.lifetime)
        return response

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


def _match_map(request: wire.MapRequest, response: wire.Response) -> wire.MapResponse | None:
    # RFC 6887 section 11.4: nonce, protocol and internal port; the internal address is the connected socket's own.
    if not isinstance(response, wire.MapResponse):
        return None
    asked = (request.nonce, request.protocol, request.internal_port)
    return response if (response.nonce, response.protocol, response.internal_port) == asked else None


def _unsupported(version: int) -> UnsupportedVersion:
    speaks = "NAT-PMP" if version == 0 else f"PCP version {version}"
    return UnsupportedVersion(f"the gateway does not speak PCP version 2, but {speaks}", version=version)
