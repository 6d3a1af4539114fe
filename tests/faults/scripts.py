"""Scripted gateways: each does one thing wrong, always the same."""

import random
import socket
import struct
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial

import anyio
from anyio.abc import SocketAttribute, SocketStream

from portmapper.model import IPAddress
from portmapper.testing import SimulatedGateway
from tests.hostile.rude import HTML, LAUGHS, RudeIgd, a_description, an_answer, with_code
from tests.net.http_server import Script, repeating, saying, serving, then_nothing

Twist = Callable[[bytes, list[bytes]], list[bytes]]
"""(request, honest answers) to what is answered instead."""

_PCP_HEAD = 24
_ASKS_TO_MAP = {(2, 1), (0, 1), (0, 2)}  # version and opcode


class Broken(SimulatedGateway):
    """Speaks PCP and NAT-PMP; once it is `broken`, it twists its answers to requests for a mapping."""

    def __init__(self, twist: Twist) -> None:
        super().__init__(upnp=False)
        self._twist = twist
        self.broken = False

    def answer_datagram(self, data: bytes, sender: IPAddress) -> list[bytes]:
        answers = super().answer_datagram(data, sender)
        return self._twist(data, answers) if self.broken and tuple(data[:2]) in _ASKS_TO_MAP else answers


class BrokenIgd(RudeIgd):
    """Speaks UPnP; once it is `broken`, it answers AddPortMapping with an error, or sends to another server."""

    def __init__(self, answer: tuple[int, bytes] | None = None) -> None:
        super().__init__()
        self._answer = answer
        self.elsewhere = ""
        self.broken = False

    def rude(self, method: str, body: bytes, honest: tuple[int, bytes]) -> tuple[int, bytes]:
        if method == "GET" and self.elsewhere:
            return 200, a_description(control=self.elsewhere)
        adds = b"<u:AddPortMapping " in body or b"<u:AddAnyPortMapping " in body
        return self._answer if self.broken and adds and self._answer else honest


class Elsewhere(SimulatedGateway):
    """Answers a search with the place of another server."""

    location = ""
    broken = False

    def __init__(self) -> None:
        super().__init__(pcp=False, natpmp=False)

    def answer_search(self, data: bytes) -> list[bytes]:
        return [an_answer(self.location)]


Scripted = Broken | BrokenIgd | Elsewhere


@dataclass(frozen=True)
class Play:
    """One script: the gateway to enter, the backend to ask it by, and whether it breaks before it is asked to renew."""

    backend: str
    gateway: Callable[[], AbstractAsyncContextManager[Scripted]]
    renewal: bool = False


def plays() -> dict[str, Play]:
    """Return every script by its name."""
    return dict([*_datagram_plays(), *_fault_plays(), *_http_plays()])


# --- PCP and NAT-PMP


def _cut(length: int) -> Twist:
    return lambda _, answers: [one[:length] for one in answers]


def _changed(at: int, *values: int) -> Twist:
    return lambda _, answers: [one[:at] + bytes(values) + one[at + len(values) :] for one in answers]


_TWISTS: dict[str, Twist] = {
    "silent": lambda _, _answers: [],
    "empty": lambda _, _answers: [b""],
    "echo": lambda data, _: [data],
    "nul": lambda _, _answers: [bytes(60)],
    "random": lambda _, _answers: [random.Random(7).randbytes(60)],
    "long": lambda _, answers: [one + bytes(1101) for one in answers],
    "one byte more": lambda _, answers: [one + b"\0" for one in answers],
    "twice": lambda _, answers: answers * 2,
    "junk first": lambda _, answers: [b"junk", *answers],
    "version 1": _changed(0, 1),
    "version 3": _changed(0, 3),
    "opcode 5": _changed(1, 133),
    "no response": _changed(1, 1),
    **{f"cut at {length}": _cut(length) for length in (1, 2, 3, 4, 8, 12, 15, 16, 23, 24, 40, 59)},
}
_PCP_TWISTS: dict[str, Twist] = {
    "other nonce": _changed(_PCP_HEAD, 1, 2, 3),
    "other protocol": _changed(_PCP_HEAD + 12, 99),
    "other internal port": _changed(_PCP_HEAD + 16, 9, 9),
    "external port 0": _changed(_PCP_HEAD + 18, 0, 0),
    "lifetime 0": _changed(4, 0, 0, 0, 0),
    **{f"result {code}": _changed(3, code) for code in (*range(1, 16), 100, 255)},
}
_NATPMP_TWISTS: dict[str, Twist] = {
    "other internal port": _changed(8, 9, 9),
    "external port 0": _changed(10, 0, 0),
    "lifetime 0": _changed(12, 0, 0, 0, 0),
    **{f"result {code}": _changed(2, code >> 8, code & 255) for code in (1, 2, 3, 4, 5, 6, 100, 65535)},
}


def _datagram_plays() -> Iterator[tuple[str, Play]]:
    for backend, own in (("pcp", _PCP_TWISTS), ("natpmp", _NATPMP_TWISTS)):
        for name, twist in {**_TWISTS, **own}.items():
            for renewal in (False, True):
                yield _title(backend, name, renewal), Play(backend, partial(Broken, twist), renewal)


# --- UPnP

_CODES = (
    401, 402, 403, 404, 501, 600, 601, 602, 603, 604, 605, 606, 607, 612, 701, 702, 713, 714, 715, 716, 718, 724, 725,
    726, 727, 728, 729, 730, 731, 732, 733, 800, 899, 0, -911, 99999,
)  # fmt: skip
_ANSWERS = {
    **{f"code {code}": (500, with_code(str(code))) for code in (*_CODES, "", "seven")},
    **{f"status {status}": (status, b"") for status in (100, 200, 204, 301, 302, 400, 401, 403, 404, 500, 503)},
    "HTML": (200, HTML),
    "HTML with 500": (500, HTML),
    "laughs": (200, LAUGHS),
}


def _fault_plays() -> Iterator[tuple[str, Play]]:
    for name, answer in _ANSWERS.items():
        for renewal in (False, True):
            yield _title("upnp", name, renewal), Play("upnp", partial(BrokenIgd, answer), renewal)


async def _reset(stream: SocketStream) -> None:
    raw: socket.socket = stream.extra(SocketAttribute.raw_socket)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    await anyio.aclose_forcefully(stream)


async def _late(stream: SocketStream) -> None:
    await anyio.sleep(10)


_HEAD = b"HTTP/1.1 200 OK\r\n"
_HTTP: dict[str, Script] = {
    "reset": _reset,
    "closed at once": saying(),
    "silent": then_nothing(),
    "late": _late,
    "drip": repeating(_HEAD + b"\r\n<root>", b" ", every=0.1),
    "dripping head": repeating(_HEAD, b"X: y\r\n", every=0.1),
    "endless head": repeating(_HEAD, b"X: y\r\n" * 100),
    "endless body": repeating(_HEAD + b"\r\n", b"<a>" * 1000),
    "endless 100": repeating(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "cut head": saying(b"HTTP/1.1 200"),
    "cut body": saying(_HEAD + b"Content-Length: 100\r\n\r\n<root>"),
    "cut chunk": saying(_HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n<r"),
    "bad chunk": saying(_HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"),
    "two lengths": saying(_HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
    "negative length": saying(_HEAD + b"Content-Length: -1\r\n\r\n"),
    "no HTTP": saying(b"220 smtp.example ESMTP\r\n"),
    "HTTP/0.9": saying(HTML),
    "redirect": saying(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n"),
    "upgrade": saying(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"),
    "empty": saying(_HEAD + b"Content-Length: 0\r\n\r\n"),
}


@asynccontextmanager
async def _describing(script: Script) -> AsyncGenerator[Elsewhere]:
    async with serving(script) as server, Elsewhere() as gateway:
        gateway.location = server.url
        yield gateway


@asynccontextmanager
async def _controlling(script: Script) -> AsyncGenerator[BrokenIgd]:
    async with serving(script) as server, BrokenIgd() as gateway:
        gateway.elsewhere = f"http://{server.host}/ctl"
        yield gateway


def _http_plays() -> Iterator[tuple[str, Play]]:
    for name, script in _HTTP.items():
        yield f"upnp, description: {name}", Play("upnp", partial(_describing, script))
        yield f"upnp, control: {name}", Play("upnp", partial(_controlling, script))
    yield "pcp, nothing listens", Play("pcp", BrokenIgd)
    yield "natpmp, nothing listens", Play("natpmp", BrokenIgd)
    yield "upnp, nothing listens", Play("upnp", partial(Broken, _cut(0)))


def _title(backend: str, name: str, renewal: bool) -> str:
    return f"{backend}, {'renewal' if renewal else 'new'}: {name}"
