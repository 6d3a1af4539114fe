"""Ask a NAT-PMP server: one request at a time (RFC 6886 section 3.1)."""

import math
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from ipaddress import IPv4Address
from typing import TypeAlias, TypeVar

import anyio

from portmapper import limits
from portmapper.errors import GatewayTimeout, ProtocolError, RequestRefused, UnsupportedVersion
from portmapper.exchange import Exchange, within
from portmapper.model import Gateway
from portmapper.natpmp import wire
from portmapper.net import clock
from portmapper.net.datagram import converse

R = TypeVar("R", wire.AddressResponse, wire.MapResponse)
_Refusal: TypeAlias = wire.UnsupportedVersionResponse | wire.ErrorResponse

_PASSING = {wire.Result.NETWORK_FAILURE, wire.Result.OUT_OF_RESOURCES}
_MEANING: dict[int, str] = {
    wire.Result.NOT_AUTHORIZED: "the gateway does not allow this mapping, or has the feature switched off",
    wire.Result.NETWORK_FAILURE: "the gateway has no connection to the Internet now",
    wire.Result.OUT_OF_RESOURCES: "the gateway has no room for another mapping now",
    wire.Result.UNSUPPORTED_OPCODE: "the gateway does not know this request",
}


class Turn:
    """Whose turn it is to ask a gateway: one request at a time."""

    def __init__(self) -> None:
        self._lock = anyio.Lock()
        self._asking: anyio.CancelScope | None = None

    def ask_afresh(self) -> None:
        """Have what is under way asked again at once, from the start of its waits."""
        if self._asking is not None:
            self._asking.cancel()

    @asynccontextmanager
    async def taken(self, timeout: float, gateway: Gateway) -> AsyncGenerator[float]:
        """Wait for the turn; give the seconds of `timeout` that are left. Raises GatewayTimeout."""
        begin = clock.now()
        with anyio.move_on_after(timeout) as waiting:
            await self._lock.acquire()
        if waiting.cancelled_caught:
            raise GatewayTimeout(f"{gateway} still owes the answer to an earlier request", seconds=timeout)
        try:
            yield timeout - (clock.now() - begin)
        finally:
            self._lock.release()

    @contextmanager
    def asking(self) -> Generator[None]:
        """Go on after the block, as at its end, when that is to be asked afresh."""
        with anyio.CancelScope() as self._asking:
            yield
        self._asking = None


class NatPmpClient:
    """Requests to one gateway, answered by matched, checked responses.

    `waits` are the seconds to wait after each request; by default the schedule of RFC 6886 section 3.1. Clients of one
    gateway share its `turn`: one request at a time.
    """

    def __init__(
        self,
        gateway: Gateway,
        observe_epoch: Callable[[int], None],
        waits: Sequence[float] = limits.NATPMP_WAITS,
        turn: Turn | None = None,
    ) -> None:
        self._gateway = gateway
        self._observe_epoch = observe_epoch
        self._waits = waits
        self._turn = turn or Turn()

    async def address(self, *, timeout: float = math.inf) -> IPv4Address:
        """Return the external address.

        Raises GatewayTimeout, GatewayUnreachable, UnsupportedVersion, RequestRefused.
        """
        return (await self._ask(wire.AddressRequest(), _match_address, self._waits, timeout=timeout)).address

    async def map(self, request: wire.MapRequest) -> wire.MapResponse:
        """Make, renew or delete a mapping. Raises as `address`."""

        def match(response: wire.Response) -> wire.MapResponse | None:
            return _match_map(request, response)

        return await self._ask(request, match, self._waits if request.lifetime else limits.RELEASE_WAITS)

    async def _ask(
        self,
        request: wire.Request,
        match: Callable[[wire.Response], R | None],
        waits: Sequence[float],
        *,
        timeout: float = math.inf,
    ) -> R:
        def answer(data: bytes) -> R | _Refusal | None:
            return _match(data, wire.opcode_of(request), match)

        async with self._turn.taken(timeout, self._gateway) as left:
            reply = await self._converse(request, answer, waits, left)
        if isinstance(reply, wire.AddressResponse | wire.MapResponse):
            self._observe_epoch(reply.epoch)  # of errors too (section 3.5)
        return _checked(reply, self._gateway)

    async def _converse(
        self,
        request: wire.Request,
        answer: Callable[[bytes], R | _Refusal | None],
        waits: Sequence[float],
        seconds: float,
    ) -> R | _Refusal:
        end = clock.now() + min(seconds, sum(waits))  # however often it is asked afresh
        while True:
            exchange: Exchange[R | _Refusal] = Exchange(request.encode(), answer, within(waits, end - clock.now()))
            with self._turn.asking():
                return await converse(exchange, self._gateway)


def _match(data: bytes, opcode: int, match: Callable[[wire.Response], R | None]) -> R | _Refusal | None:
    try:
        response = wire.decode_response(data)
    except ProtocolError:
        return None
    if isinstance(response, wire.UnsupportedVersionResponse):
        return response
    if isinstance(response, wire.ErrorResponse):
        return response if response.opcode == opcode else None
    return match(response)


def _match_address(response: wire.Response) -> wire.AddressResponse | None:
    return response if isinstance(response, wire.AddressResponse) else None


def _match_map(request: wire.MapRequest, response: wire.Response) -> wire.MapResponse | None:
    # RFC 6886 section 3.5: there is no transaction id; opcode and internal port tell.
    if not isinstance(response, wire.MapResponse) or response.protocol != request.protocol:
        return None
    return response if response.internal_port == request.internal_port else None


def _checked(reply: R | _Refusal, gateway: Gateway) -> R:
    if isinstance(reply, wire.UnsupportedVersionResponse):
        raise UnsupportedVersion(f"{gateway} does not speak NAT-PMP version 0", version=reply.version)
    if isinstance(reply, wire.ErrorResponse) or reply.result != wire.Result.SUCCESS:
        raise refusal(reply.result)
    return reply


def refusal(code: int) -> RequestRefused:
    """Return the error for a result code; an unknown one is fatal for the request too (section 3.5)."""
    name = wire.Result(code).name if code in set(wire.Result) else f"RESULT_{code}"
    meaning = _MEANING.get(code, "the gateway refused, it does not say why")
    return RequestRefused(f"{meaning} ({name})", code=code, name=name, lasting=code not in _PASSING)
