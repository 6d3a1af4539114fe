"""The first question of PCP and of NAT-PMP, with every byte: neither changes anything on the gateway."""

import errno
from collections.abc import Callable
from dataclasses import dataclass, replace

import anyio

from portmapper import limits
from portmapper.doctor.findings import FirstQuestion, Outcome, Refusal
from portmapper.doctor.sockets import TellingSocket
from portmapper.errors import GatewayUnreachable, ProtocolError
from portmapper.exchange import Exchange, within
from portmapper.model import Gateway, IPAddress
from portmapper.natpmp import wire as natpmp
from portmapper.net import clock
from portmapper.pcp import wire as pcp
from portmapper.pcp.results import Result


@dataclass(frozen=True, slots=True)
class Reading:
    """What the bytes of an answer say."""

    outcome: Outcome
    result: str = ""
    address: IPAddress | None = None


def read_pcp(data: bytes) -> Reading:
    """Return what an answer to PCP's ANNOUNCE says, whatever `data` holds."""
    try:
        response = pcp.decode_response(data)
    except ProtocolError:
        return Reading(Outcome.NONSENSE)
    if isinstance(response, pcp.UnsupportedVersionResponse):
        return Reading(Outcome.OTHER_VERSION, Result.UNSUPP_VERSION.name)
    if not isinstance(response, pcp.AnnounceResponse):
        return Reading(Outcome.NONSENSE)
    return Reading(Outcome.ANSWERED, _name(Result, response.result))


def read_natpmp(data: bytes) -> Reading:
    """Return what an answer to NAT-PMP's question for the external address says, whatever `data` holds."""
    try:
        response = natpmp.decode_response(data)
    except ProtocolError:
        return Reading(Outcome.NONSENSE)
    if isinstance(response, natpmp.UnsupportedVersionResponse):
        return Reading(Outcome.OTHER_VERSION, natpmp.Result.UNSUPPORTED_VERSION.name)
    if isinstance(response, natpmp.MapResponse):
        return Reading(Outcome.NONSENSE)
    result = _name(natpmp.Result, response.result)
    if isinstance(response, natpmp.ErrorResponse) or response.result or not int(response.address):
        return Reading(Outcome.ANSWERED, result)
    return Reading(Outcome.ANSWERED, result, response.address)


READERS: dict[str, Callable[[bytes], Reading]] = {"pcp": read_pcp, "natpmp": read_natpmp}


async def ask_first(gateway: Gateway, backend: str) -> FirstQuestion:
    """Put the first question of `backend`, "pcp" or "natpmp", and return what came back within 2.2 s."""
    request = pcp.AnnounceRequest(client=gateway.source).encode()
    if backend == "natpmp":
        request = natpmp.AddressRequest().encode()
    begin = clock.now()
    asked = FirstQuestion(backend=backend, outcome=Outcome.SILENT, sent=request, times=0, seconds=0.0)
    try:
        with TellingSocket(gateway.address, gateway.port, source=gateway.source) as socket:
            found = await _converse(socket, asked, READERS[backend])
    except GatewayUnreachable as error:  # there is not even a socket to ask with
        found = replace(asked, outcome=_stopped_by(error), refusal=_plain(error))
    return replace(found, seconds=clock.now() - begin)


async def _converse(socket: TellingSocket, asked: FirstQuestion, read: Callable[[bytes], Reading]) -> FirstQuestion:
    exchange: Exchange[FirstQuestion] = Exchange(
        asked.sent, lambda data: _understood(asked, data, read), within(limits.FAST_WAITS, limits.DISCOVERY)
    )
    nonsense = b""
    try:
        while not exchange.spent:
            if (data := exchange.poll(clock.now())) is not None:
                await socket.send(data)
            with anyio.move_on_after(max(exchange.deadline - clock.now(), 0.0)):
                received = await socket.receive()
                if (answer := exchange.receive(received)) is not None:
                    return replace(answer, times=exchange.sent)
                nonsense = nonsense or received
    except GatewayUnreachable as error:
        refused = replace(asked, outcome=_stopped_by(error), refusal=socket.refusal(error))
        return replace(refused, times=exchange.sent, received=nonsense)
    outcome = Outcome.NONSENSE if nonsense else Outcome.SILENT
    return replace(asked, outcome=outcome, received=nonsense, times=exchange.sent)


def _understood(asked: FirstQuestion, data: bytes, read: Callable[[bytes], Reading]) -> FirstQuestion | None:
    reading = read(data)
    if reading.outcome is Outcome.NONSENSE:
        return None
    return replace(asked, outcome=reading.outcome, received=data, result=reading.result, address=reading.address)


def _stopped_by(error: GatewayUnreachable) -> Outcome:
    return Outcome.FORBIDDEN if error.errno in {errno.EPERM, errno.EACCES} else Outcome.REFUSED


def _plain(error: GatewayUnreachable) -> Refusal:
    return Refusal(text=str(error), errno=error.errno or 0)


def _name(names: type[Result] | type[natpmp.Result], code: int) -> str:
    return names(code).name if code in set(names) else f"RESULT_{code}"
