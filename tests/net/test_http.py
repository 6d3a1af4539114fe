"""HTTP to a device: any framing is read, and no device keeps us longer or makes us take more than the limits say."""

import os
import socket
import time
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from ipaddress import IPv4Address
from typing import TypeVar

import anyio
import httpcore
import httpx
import pytest
import respx
from anyio.abc import SocketListener, SocketStream

from portmapper import limits
from portmapper.errors import GatewayTimeout, GatewayUnreachable, PortMapperError, ProtocolError
from portmapper.net import http
from portmapper.net.http import HttpReply
from portmapper.upnp import soap
from portmapper.upnp.client import IgdClient
from portmapper.upnp.description import Service

pytestmark = pytest.mark.anyio

LIMIT = 64 * 1024
DEADLINE = 0.3
SERVICE = "urn:schemas-upnp-org:service:WANIPConnection:1"

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

C = TypeVar("C")
Script = Callable[[SocketStream], Awaitable[None]]


class Server:
    """What came to a scripted server."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/desc.xml"
        self.connections = 0
        self.requests: list[bytes] = []
        self.sent = 0


@asynccontextmanager
async def serving(script: Script) -> AsyncIterator[Server]:
    """A TCP server that reads one request from each connection and then does as `script` says."""

    async def serve(stream: SocketStream) -> None:
        server.connections += 1
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream):
            async with stream:
                server.requests.append(await read_request(stream))
                await script(stream)

    async def listen() -> None:
        async with await SocketListener.from_socket(sock) as listener:
            await listener.serve(serve)

    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.setblocking(False)
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        server = Server(sock.getsockname()[1])
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listen)
            yield server
            tasks.cancel_scope.cancel()


async def read_request(stream: SocketStream) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        data += await stream.receive()
    head, _, body = data.partition(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
    while len(body) < length:
        body += await stream.receive()
    return head + b"\r\n\r\n" + body


def saying(*parts: bytes) -> Script:
    async def script(stream: SocketStream) -> None:
        for part in parts:
            await stream.send(part)

    return script


def repeating(head: bytes, part: bytes, every: float = 0.0) -> Script:
    """Send `head`, then `part` again and again."""

    async def script(stream: SocketStream) -> None:
        await stream.send(head)
        while True:
            await stream.send(part)
            await anyio.sleep(every)

    return script


def then_nothing(*parts: bytes) -> Script:
    """Send `parts` and keep the connection open."""

    async def script(stream: SocketStream) -> None:
        await saying(*parts)(stream)
        await anyio.sleep_forever()

    return script


async def trap_script(stream: SocketStream) -> None:
    await saying(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\ncaught")(stream)


async def ask(script: Script, *, limit: int = LIMIT) -> HttpReply:
    """Return the answer, or raise the error as it was, outside the group of the server's tasks."""
    async with serving(script) as server:
        try:
            return await http.get(server.url, limit=limit)
        except Exception as error:  # noqa: BLE001 - whatever it is
            caught = error
    raise caught


@asynccontextmanager
async def raising(script: Script, error: type[PortMapperError], *, limit: int = LIMIT) -> AsyncIterator[str]:
    """Ask, expect `error`, and say what its text is."""
    async with serving(script) as server:
        with pytest.raises(error) as caught:
            await http.get(server.url, limit=limit)
        assert type(caught.value) is error
        assert server.url in str(caught.value)
    yield str(caught.value)


async def each(cases: Mapping[str, C], check: Callable[[C], Awaitable[None]]) -> None:
    """Check the cases side by side; fail with the names of those that fail."""
    failures: dict[str, Exception] = {}

    async def one(name: str, case: C) -> None:
        try:
            await check(case)
        except Exception as error:  # noqa: BLE001 - collected
            failures[name] = error

    async with anyio.create_task_group() as tasks:
        for name, case in cases.items():
            tasks.start_soon(one, name, case)
    if failures:
        raise ExceptionGroup(f"in the cases {', '.join(failures)}", list(failures.values()))


def named(*cases: bytes) -> dict[str, bytes]:
    return {repr(case[:40]): case for case in cases}


async def is_a_protocol_error(answer: bytes) -> None:
    async with raising(saying(answer), ProtocolError):
        pass


@pytest.fixture
def short_deadline(monkeypatch: pytest.MonkeyPatch) -> float:
    monkeypatch.setattr(limits, "HTTP_EXCHANGE", DEADLINE)
    return DEADLINE


# --- What devices really send -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nServer: X/1\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nServer: X/1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;ext=1\r\nllo\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nServer: X/1\r\n\r\nhello",
        b"HTTP/1.0 200 OK\r\nServer: X/1\r\n\r\nhello",
        b"HTTP/1.0 200 OK\r\nServer: X/1\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200\r\nserver:X/1\r\ncontent-length:5\r\n\r\nhello",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nServer: X/1\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nServer: X/1\r\nContent-Length: 5\r\n\r\nhello and more than it said",
        b"HTTP/1.1 200 OK\r\nServer: X/1\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello",
    ],
    ids=["length", "chunked", "until-close", "1.0", "1.0-length", "terse", "continue", "more", "claims-gzip"],
)
@pytest.mark.parametrize("piece", [1, 1000])
async def test_every_framing_is_read_also_in_single_bytes(answer: bytes, piece: int) -> None:
    parts = [answer[at : at + piece] for at in range(0, len(answer), piece)]
    assert await ask(saying(*parts)) == HttpReply(200, "X/1", b"hello")


async def test_an_answer_without_server_and_body() -> None:
    assert await ask(saying(b"HTTP/1.1 204 No Content\r\n\r\n")) == HttpReply(204, "", b"")


@pytest.mark.parametrize("status", [400, 404, 500, 503])
async def test_a_status_that_is_no_success_comes_with_its_body(status: int) -> None:
    answer = b"HTTP/1.1 %d Whatever\r\nContent-Length: 5\r\n\r\nfault" % status
    assert await ask(saying(answer)) == HttpReply(status, "", b"fault")


async def test_a_get_asks_for_the_plain_body_and_the_end_of_the_connection_s12() -> None:
    async with serving(saying(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")) as server:
        for _ in range(2):
            await http.get(server.url, limit=LIMIT)
    assert server.connections == 2
    head = server.requests[0].decode().split("\r\n")
    assert head[0] == "GET /desc.xml HTTP/1.1"
    assert {"Host: " + server.url.split("/")[2], "Connection: close", "Accept-Encoding: identity"} <= set(head)
    assert not [line for line in head if line.lower().startswith(("transfer-encoding", "content-length"))]


async def test_a_post_carries_headers_and_body() -> None:
    async with serving(saying(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")) as server:
        reply = await http.post(server.url, {"SOAPACTION": '"x#y"'}, b"<body/>", limit=LIMIT)
    assert reply == HttpReply(200, "", b"ok")
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /desc.xml HTTP/1.1\r\n")
    assert {b'SOAPACTION: "x#y"', b"Content-Length: 7"} <= set(head.split(b"\r\n"))
    assert body == b"<body/>"


# --- Elsewhere --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_returned_and_not_followed_s31(status: int) -> None:
    async with serving(trap_script) as trap:
        answer = f"HTTP/1.1 {status} Go\r\nLocation: {trap.url}\r\nContent-Length: 4\r\n\r\nelse".encode()
        async with serving(saying(answer)) as server:
            assert await http.get(server.url, limit=LIMIT) == HttpReply(status, "", b"else")
            assert await http.post(server.url, {}, b"secret", limit=LIMIT) == HttpReply(status, "", b"else")
    assert (trap.connections, server.connections) == (0, 2)


RUBBISH_LOCATIONS = named(
    *[b"file:///etc/passwd", b"http://[", b"//[", b"http://127.0.0.1:99999/", b"\xff\xfe", b"", b"http://", b"x" * 9000,
     b"gopher://127.0.0.1/", b"//", b"?", b"http:///x", b"https:", b"http://a b/", b":", b"/\x7f",
     b"http://xn--a/", "http://\u00e4\u2028/".encode()]
)  # fmt: skip


async def test_a_redirect_to_rubbish_is_an_answer_like_any_other_s31() -> None:
    async def check(location: bytes) -> None:
        answer = b"HTTP/1.1 302 Go\r\nLocation: " + location + b"\r\nContent-Length: 0\r\n\r\n"
        assert await ask(saying(answer)) == HttpReply(302, "", b"")

    await each(RUBBISH_LOCATIONS, check)


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
async def test_the_proxy_of_the_environment_is_ignored(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(trap_script) as trap:
        monkeypatch.setenv(variable, trap.url.removesuffix("/desc.xml"))
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        reply = await ask(saying(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\ndirect"))
    assert (reply.body, trap.connections) == (b"direct", 0)


@pytest.mark.parametrize(
    "cookie",
    [
        b"a=b; Path=/; Domain=evil",
        b"\xff\xfe=\xfd" + b";" * 500,
        b"a=b; Max-Age=" + b"9" * 400,
    ],
    ids=["foreign", "binary", "overflow"],
)
async def test_cookies_are_of_no_interest(cookie: bytes) -> None:
    answer = b"HTTP/1.1 200 OK\r\nSet-Cookie: " + cookie + b"\r\nContent-Length: 0\r\n\r\n"
    assert await ask(saying(answer)) == HttpReply(200, "", b"")


# --- Too much ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("framing", [b"Content-Length: %d", b"Transfer-Encoding: chunked", b"X-Nothing: %d"])
@pytest.mark.parametrize("excess", [0, 1])
async def test_a_body_may_be_as_long_as_the_limit_and_no_longer_s7(framing: bytes, excess: int) -> None:
    size = 1000 + excess
    body = b"x" * size
    if b"chunked" in framing:
        answer = b"%x\r\n%b\r\n0\r\n\r\n" % (size, body)
    else:
        framing, answer = framing % size, body
    answer = b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n" + answer
    if excess:
        async with raising(saying(answer), ProtocolError, limit=1000) as text:
            assert "sent more than 1000 bytes" in text
    else:
        assert (await ask(saying(answer), limit=1000)).body == body


@pytest.mark.parametrize("framing", ["close", "length", "chunked"])
async def test_a_body_without_end_is_given_up_early_and_costs_no_memory_s7(framing: str) -> None:
    part = bytes(65536)
    headers = {
        "close": b"X: y",
        "length": b"Content-Length: 2000000000",
        "chunked": b"Transfer-Encoding: chunked",
    }
    chunk = b"10000\r\n" + part + b"\r\n" if framing == "chunked" else part
    begin = time.monotonic()
    tracemalloc.start()
    try:
        head = b"HTTP/1.1 200 OK\r\n" + headers[framing] + b"\r\n\r\n"
        async with raising(repeating(head, chunk), ProtocolError) as text:
            assert f"sent more than {LIMIT} bytes" in text
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * 1024 * 1024
    assert time.monotonic() - begin < 2.0


async def test_the_connection_is_closed_when_the_limit_is_reached_s7() -> None:
    closed = anyio.Event()

    async def script(stream: SocketStream) -> None:
        await stream.send(b"HTTP/1.1 200 OK\r\n\r\n")
        try:
            while True:
                await stream.send(bytes(65536))
        except anyio.BrokenResourceError:
            closed.set()

    async with serving(script) as server:
        with pytest.raises(ProtocolError):
            await http.get(server.url, limit=LIMIT)
        with anyio.fail_after(1):
            await closed.wait()


async def test_a_huge_content_length_allocates_nothing_s10(short_deadline: float) -> None:
    tracemalloc.start()
    try:
        script = then_nothing(b"HTTP/1.1 200 OK\r\nContent-Length: 2000000000\r\n\r\nbut little")
        async with raising(script, GatewayTimeout) as text:
            assert f"did not answer within {short_deadline:g} s" in text
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * 1024 * 1024


async def test_a_content_length_that_is_no_number_is_a_protocol_error_s11() -> None:
    async def check(length: bytes) -> None:
        await is_a_protocol_error(b"HTTP/1.1 200 OK\r\nContent-Length: " + length + b"\r\n\r\nhello")

    await each(named(b"9" * 1000, b"-1", b"1e3", b"0x10", b"5, 6", b"", b"\xd9\xa3"), check)


async def test_a_chunk_size_that_is_no_size_is_a_protocol_error_s2() -> None:
    async def check(size: bytes) -> None:
        await is_a_protocol_error(CHUNKED + size + b"\r\nhello\r\n0\r\n\r\n")

    await each(named(b"-1", b"f" * 17, b"f" * 21, b"0x10", b"g", b"", b" "), check)


@pytest.mark.parametrize(
    "part",
    [b"X: y\r\n", b"X-%s: y\r\n" % (b"x" * 2000), b" folded\r\n", b"x" * 5000],
    ids=["short", "long", "fold", "one"],
)
async def test_headers_without_end_are_given_up_early_s7(part: bytes) -> None:
    begin = time.monotonic()
    async with raising(repeating(b"HTTP/1.1 200 OK\r\nA: b\r\n", part * (20000 // len(part))), ProtocolError):
        pass
    assert time.monotonic() - begin < 2.0


async def test_trailers_without_end_are_given_up_s9(short_deadline: float) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
    async with raising(repeating(head, b"X: y\r\n" * 3000), ProtocolError):
        pass


FLOODS: dict[str, Script] = {
    "flood-continue": repeating(b"", CONTINUE * 500),
    "flood-empty-hints": repeating(b"", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * 100),
}


@pytest.mark.parametrize("script", FLOODS.values(), ids=FLOODS.keys())
async def test_interim_answers_without_end_are_given_up_early_s9(script: Script) -> None:
    begin = time.monotonic()
    async with raising(script, ProtocolError) as text:
        assert "sent more than" in text
    assert time.monotonic() - begin < 2.0


# --- Too slow ---------------------------------------------------------------------------------------------------------

SLOW: dict[str, Script] = {
    "silence": then_nothing(),
    "drip": repeating(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", b"x", 0.03),
    "drip-until-close": repeating(b"HTTP/1.1 200 OK\r\n\r\n", b"x", 0.03),
    "drip-chunks": repeating(CHUNKED, b"1\r\nx\r\n", 0.03),
    "drip-in-header": repeating(b"HTTP/1.1 200 OK\r\nX: ", b"x", 0.03),
    "drip-headers": repeating(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n", 0.03),
    "drip-status": repeating(b"HTTP/1.1 200 ", b"x", 0.03),
    "drip-continue": repeating(b"", CONTINUE, 0.03),
    "stalled-body": then_nothing(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"),
    "stalled-header": then_nothing(b"HTTP/1.1 200 OK\r\nContent-Le"),
    "stalled-chunk": then_nothing(CHUNKED, b"ffff\r\nx"),
}


async def test_one_deadline_ends_every_kind_of_slowness_s8_s9(short_deadline: float) -> None:
    async def check(script: Script) -> None:
        begin = time.monotonic()
        async with serving(script) as server:
            with pytest.raises(GatewayTimeout, match=r"did not answer within 0\.3 s") as caught:
                await http.get(server.url, limit=LIMIT)
            seconds = time.monotonic() - begin
        assert (caught.value.sent, caught.value.seconds) == (1, short_deadline)
        assert short_deadline <= seconds < short_deadline + 0.5

    await each(SLOW, check)


async def test_a_drip_of_one_byte_a_second_ends_at_the_deadline_s8(short_deadline: float) -> None:
    begin = time.monotonic()
    async with raising(repeating(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", b"x", 1.0), GatewayTimeout) as text:
        assert "did not answer within 0.3 s" in text
    assert short_deadline <= time.monotonic() - begin < short_deadline + 0.4


async def test_a_peer_that_does_not_read_ends_at_the_deadline_s8(short_deadline: float) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}/"
        begin = time.monotonic()
        with pytest.raises(GatewayTimeout):
            await http.post(url, {}, bytes(16 * 1024 * 1024), limit=LIMIT)
    assert time.monotonic() - begin < short_deadline + 0.4


async def test_twenty_drips_do_not_delay_an_honest_answer_s8(short_deadline: float) -> None:
    async def ask_in_vain(url: str) -> None:
        with pytest.raises(GatewayTimeout):
            await http.get(url, limit=LIMIT)

    async with (
        serving(SLOW["drip"]) as slow,
        serving(saying(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")) as good,
        anyio.create_task_group() as tasks,
    ):
        for _ in range(20):
            tasks.start_soon(ask_in_vain, slow.url)
        await anyio.sleep(0.1)
        begin = time.monotonic()
        assert (await http.get(good.url, limit=LIMIT)).body == b"ok"
        assert time.monotonic() - begin < 0.3
    assert slow.connections == 20


async def test_cancellation_leaves_no_descriptor_s27() -> None:
    async with serving(SLOW["drip"]) as server:
        before = set(os.listdir("/proc/self/fd"))
        with anyio.move_on_after(0.1) as scope:
            await http.get(server.url, limit=LIMIT)
        assert scope.cancelled_caught
        await anyio.wait_all_tasks_blocked()
        after = set(os.listdir("/proc/self/fd"))
    assert len(after - before) <= 1  # the server's end may not have noticed yet


async def test_the_callers_own_deadline_is_not_taken_for_ours() -> None:
    async with serving(SLOW["silence"]) as server:
        with pytest.raises(TimeoutError) as caught, anyio.fail_after(0.05):
            await http.get(server.url, limit=LIMIT)
    assert not isinstance(caught.value, PortMapperError)


# --- Not HTTP ---------------------------------------------------------------------------------------------------------


NOT_HTTP = named(
    b"SSH-2.0-OpenSSH_9.6\r\n",
    b"\x16\x03\x01\x00\x05hello",
    b"<html>hello</html>",
    b"\0" * 1000,
    b"HTTP/2 200 OK\r\n\r\n",
    b"HTTP/1.1 999999 OK\r\n\r\n",
    b"HTTP/1.1 \xd9\xa3 OK\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX\0: y\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n: y\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nends early",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe",
    b"HTTP/1.1 200 OK\r\nX: ",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
    b"",
)


async def test_what_is_not_http_is_a_protocol_error_s4() -> None:
    async def check(answer: bytes) -> None:
        async with raising(saying(answer), ProtocolError) as text:
            assert "does not speak proper HTTP" in text

    await each(NOT_HTTP, check)


async def test_text_of_the_peer_is_shown_without_its_control_characters_s50() -> None:
    answer = b"HTTP/1.1 200 OK\r\n\x1b]0;PWNED\x07\x1b[2J\r\n\r\n"
    async with raising(saying(answer), ProtocolError) as text:
        assert text.isprintable()


async def test_a_reset_is_no_answer() -> None:
    async def script(stream: SocketStream) -> None:
        raw = stream.extra(anyio.abc.SocketAttribute.raw_socket)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    async with serving(script) as server:
        with pytest.raises((ProtocolError, GatewayUnreachable)):
            await http.get(server.url, limit=LIMIT)


async def test_a_refused_port_is_unreachable_at_once() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{sock.getsockname()[1]}/"
    begin = time.monotonic()
    with pytest.raises(GatewayUnreachable, match="cannot connect to"):
        await http.get(url, limit=LIMIT)
    assert time.monotonic() - begin < 0.3


# --- Calls to a service -----------------------------------------------------------------------------------------------

CONTROL = "http://127.0.0.1:5000/ctl"


def a_client() -> IgdClient:
    return IgdClient(Service(SERVICE, CONTROL))


def a_result(name: str, **values: str) -> httpx.Response:
    return httpx.Response(200, content=soap.encode_result(soap.Action(SERVICE, name, {}), values))


async def test_a_call_posts_the_action_and_returns_its_results() -> None:
    with respx.mock(assert_all_mocked=True) as router:
        route = router.post(CONTROL).mock(return_value=a_result("AddPortMapping", NewReservedPort=" 7 "))
        results = await a_client().call("AddPortMapping", NewExternalPort=80, NewDescription="a<b & c>")
    assert results == {"newreservedport": "7"}
    request = route.calls.last.request
    assert request.headers["content-type"] == 'text/xml; charset="utf-8"'
    assert request.headers["soapaction"] == f'"{SERVICE}#AddPortMapping"'
    assert request.headers["connection"] == "close"
    assert request.headers["accept-encoding"] == "identity"
    assert request.headers["content-length"] == str(len(request.content))
    assert request.content == (
        b'<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" '
        b's:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><s:Body>'
        b'<u:AddPortMapping xmlns:u="' + SERVICE.encode() + b'">'
        b"<NewExternalPort>80</NewExternalPort><NewDescription>a&lt;b &amp; c&gt;</NewDescription>"
        b"</u:AddPortMapping></s:Body></s:Envelope>"
    )


@pytest.mark.parametrize("status", [200, 500])
async def test_a_fault_is_a_fault_whatever_its_status(status: int) -> None:
    with respx.mock() as router:
        router.post(CONTROL).mock(return_value=httpx.Response(status, content=soap.encode_fault(718)))
        with pytest.raises(soap.Fault, match="718 ConflictInMappingEntry") as caught:
            await a_client().call("AddPortMapping")
    assert (caught.value.code, caught.value.name) == (718, "ConflictInMappingEntry")


async def test_a_soap_body_is_limited_s7(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SOAP_BODY", 100)
    with respx.mock() as router:
        router.post(CONTROL).mock(return_value=httpx.Response(200, content=b"x" * 101))
        with pytest.raises(ProtocolError, match="sent more than 100 bytes"):
            await a_client().call("GetExternalIPAddress")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (httpcore.ConnectError("refused"), GatewayUnreachable),
        (httpcore.ReadError("reset"), GatewayUnreachable),
        (httpcore.WriteError("reset"), GatewayUnreachable),
        (httpcore.ConnectTimeout("slow"), GatewayTimeout),
        (httpcore.ReadTimeout("slow"), GatewayTimeout),
        (httpcore.RemoteProtocolError("nonsense"), ProtocolError),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
async def test_every_transport_error_is_one_of_ours(error: Exception, expected: type[PortMapperError]) -> None:
    with respx.mock() as router:
        router.post(CONTROL).mock(side_effect=error)
        with pytest.raises(expected) as caught:
            await a_client().call("GetExternalIPAddress")
    assert type(caught.value) is expected
    assert caught.value.__cause__ is error


async def test_one_client_has_one_request_out_at_a_time() -> None:
    active = most = 0

    async def answer(request: httpx.Request) -> httpx.Response:
        nonlocal active, most
        active += 1
        most = max(most, active)
        await anyio.sleep(0.01)
        active -= 1
        return a_result("GetExternalIPAddress", NewExternalIPAddress=str(IPv4Address("192.0.2.7")))

    with respx.mock() as router:
        route = router.post(CONTROL).mock(side_effect=answer)
        client = a_client()
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(client.call, "GetExternalIPAddress")
    assert (most, route.call_count) == (1, 5)


async def test_a_cancelled_or_failed_call_gives_the_turn_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "GRACE", 0.1)

    async def hang(request: httpx.Request) -> httpx.Response:
        await anyio.sleep_forever()
        raise AssertionError

    good = a_result("GetExternalIPAddress", NewExternalIPAddress="192.0.2.7")
    with respx.mock() as router:
        client = a_client()
        router.post(CONTROL).mock(side_effect=hang)
        with anyio.move_on_after(0.02):
            await client.call("GetExternalIPAddress")
        router.post(CONTROL).mock(side_effect=httpcore.ConnectError("refused"))
        with pytest.raises(GatewayUnreachable):
            await client.call("GetExternalIPAddress")
        router.post(CONTROL).mock(return_value=good)
        with anyio.fail_after(1):
            assert await client.call("GetExternalIPAddress") == {"newexternalipaddress": "192.0.2.7"}
