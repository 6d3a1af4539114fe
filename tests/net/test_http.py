"""HTTP to a device: any framing is read, nothing else than the device is asked, and errors are ours."""

import errno
import os
import socket
import time
from ipaddress import IPv4Address, IPv6Address

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream

from portmapper.errors import GatewayUnreachable, ProtocolError
from portmapper.net import http, stream
from portmapper.net.http import HttpReply, Route
from tests.cases import each, named
from tests.net.http_server import HERE, LIMIT, ask, raising, saying, serving, then_nothing

pytestmark = pytest.mark.anyio


async def trap_script(stream: SocketStream) -> None:
    await saying(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\ncaught")(stream)


# --- What devices really send -----------------------------------------------------------------------------------------


HELLO = b"Content-Length: 5\r\n\r\nhello"
FRAMINGS = [
    pytest.param(b"HTTP/1.1 200 OK\r\nServer: X/1\r\n" + HELLO, id="length"),
    pytest.param(
        b"HTTP/1.1 200 OK\r\nServer: X/1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
        id="chunks",
    ),
    pytest.param(b"HTTP/1.1 200 OK\r\nServer: X/1\r\n\r\nhello", id="until close", marks=pytest.mark.conforms("UP-61")),
    pytest.param(b"HTTP/1.0 200 OK\r\nServer: X/1\r\n\r\nhello", id="1.0", marks=pytest.mark.conforms("UP-61")),
    pytest.param(b"HTTP/1.0 200 OK\r\nServer: X/1\r\n" + HELLO, id="1.0 length"),
    pytest.param(b"HTTP/1.1 200\r\nserver:X/1\r\ncontent-length:5\r\n\r\nhello", id="terse"),
    pytest.param(
        b"HTTP/1.1 200 OK\r\nServer: X/1\r\nConnection: close\r\n" + HELLO,
        id="close",
        marks=pytest.mark.conforms("UP-61"),
    ),
    pytest.param(
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nServer: X/1\r\n" + HELLO,
        id="continue",
        marks=pytest.mark.conforms("UP-61"),
    ),
    pytest.param(b"HTTP/1.1 200 OK\r\nServer: X/1\r\nContent-Encoding: gzip\r\n" + HELLO, id="claims gzip"),
    pytest.param(
        b"HTTP/1.0 200 OK\r\nServer: X/1\r\nContent-Type: application/octet-stream\r\n\r\nhello",
        id="octet stream",
        marks=pytest.mark.conforms("Q-47"),
    ),
    pytest.param(b"HTTP1.1 200 OK\r\nServer: X/1\r\n" + HELLO, id="HTTP1.1", marks=pytest.mark.conforms("Q-48")),
    pytest.param(b"HTTP1.0 200 OK\r\nServer: X/1\r\n\r\nhello", id="HTTP1.0", marks=pytest.mark.conforms("Q-48")),
    pytest.param(
        b"HTTP/1.1 200 OK\r\nServer: X/1\r\nServer: X/1\r\nContent-Length: 5\r\n" + HELLO,
        id="headers twice",
        marks=pytest.mark.conforms("Q-48"),
    ),
    pytest.param(
        b"HTTP/1.1 200 OK\r\nServer: X/1\r\n" + HELLO + b" and more than it said",
        id="bytes after the end",
        marks=pytest.mark.conforms("Q-48"),
    ),
    *(
        pytest.param(
            b"HTTP/1.1 200 OK\r\nServer: X/1\r\nContent-Type: " + name + b"\r\n" + HELLO,
            id=name.decode(),
            marks=pytest.mark.conforms("Q-49"),
        )
        for name in (b"text/soap+xml", b"application/soap+xml", b"application/xml", b"text/html", b"")
    ),
    pytest.param(
        b"HTTP/1.1 200 OK\nServer: X/1\nContent-Length: 5\n\nhello", id="LF alone", marks=pytest.mark.conforms("Q-50")
    ),
    pytest.param(
        b"HTTP/1.1 200 OK\r\nServer: X/1\r\nTransfer-Encoding: chunked\r\n\r\n"
        b'2;a=b\r\nhe\r\n3; c="d"\r\nllo\r\n0;e\r\n\r\n',
        id="chunk extensions",
        marks=pytest.mark.conforms("Q-50"),
    ),
]


@pytest.mark.conforms("F58", "UP-33")
@pytest.mark.parametrize("answer", FRAMINGS)
@pytest.mark.parametrize("piece", [1, 3, 1000])
async def test_every_framing_is_read_also_in_single_bytes(answer: bytes, piece: int) -> None:
    parts = [answer[at : at + piece] for at in range(0, len(answer), piece)]
    assert await ask(saying(*parts)) == HttpReply(200, "X/1", b"hello")


@pytest.mark.conforms("Q-48")
@pytest.mark.parametrize("answer", [b"HTTP1.1 200 OK\r\n\r\n" + body for body in (b"HTTP1.1", b"x HTTP1.1 y")])
async def test_only_the_status_line_is_spelt_right_and_not_what_follows(answer: bytes) -> None:
    assert (await ask(saying(answer))).body == answer.partition(b"\r\n\r\n")[2]
    well_spelt = answer.replace(b"HTTP1.1 200", b"HTTP/1.1 200")
    assert (await ask(saying(well_spelt))).body == answer.partition(b"\r\n\r\n")[2]


async def test_an_answer_without_server_and_body() -> None:
    assert await ask(saying(b"HTTP/1.1 204 No Content\r\n\r\n")) == HttpReply(204, "", b"")


@pytest.mark.parametrize("status", [400, 404, 500, 503])
async def test_a_status_that_is_no_success_comes_with_its_body(status: int) -> None:
    answer = b"HTTP/1.1 %d Whatever\r\nContent-Length: 5\r\n\r\nfault" % status
    assert await ask(saying(answer)) == HttpReply(status, "", b"fault")


@pytest.mark.conforms("UP-33", "Q-52")
async def test_a_get_asks_for_the_plain_body_and_the_end_of_the_connection_s12() -> None:
    async with serving(saying(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")) as server:
        for _ in range(2):
            await http.get(server.url, HERE, limit=LIMIT)
    assert server.connections == 2
    head = server.requests[0].decode().split("\r\n")
    assert head[0] == "GET /desc.xml HTTP/1.1"
    assert {"Host: " + server.url.split("/")[2], "Connection: close", "Accept-Encoding: identity"} <= set(head)
    assert not [line for line in head if line.lower().startswith(("transfer-encoding", "content-length"))]


@pytest.mark.conforms("UP-50", "Q-38", "Q-42", "Q-52")
async def test_a_post_carries_headers_and_body() -> None:
    async with serving(saying(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")) as server:
        reply = await http.post(server.url, HERE, {"SOAPAction": '"x#y"'}, b"<body/>", limit=LIMIT)
    assert reply == HttpReply(200, "", b"ok")
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /desc.xml HTTP/1.1\r\n")
    assert {b'SOAPAction: "x#y"', b"Content-Length: 7"} <= set(head.split(b"\r\n"))
    assert b"chunked" not in head
    assert body == b"<body/>"


@pytest.mark.conforms("UP-53")
async def test_a_post_may_have_another_method_and_no_body() -> None:
    async with serving(saying(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")) as server:
        await http.post(server.url, HERE, {}, b"", limit=LIMIT, method="M-POST")
    assert server.requests[0].startswith(b"M-POST /desc.xml HTTP/1.1\r\n")
    assert b"Content-Length: 0" in server.requests[0].split(b"\r\n")


# --- The route --------------------------------------------------------------------------------------------------------

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
LOOPBACK_6 = IPv6Address("::1")


@pytest.mark.conforms("UP-32", "Q-06", "Q-10", "Q-32")
@pytest.mark.parametrize("host", ["192.0.2.1", "router.example", "[fe80::1]", "[2001:db8::1]"])
async def test_the_connection_goes_to_the_route_whatever_the_url_says(host: str) -> None:
    async with serving(saying(OK)) as server:
        assert (await http.get(f"http://{host}:{server.port}/x", HERE, limit=LIMIT)).body == b"ok"
        await http.post(f"http://{host}:{server.port}/x", HERE, {}, b"", limit=LIMIT)
    assert [request.partition(b"\r\n")[0] for request in server.requests] == [b"GET /x HTTP/1.1", b"POST /x HTTP/1.1"]
    assert f"Host: {host}:{server.port}".encode() in server.requests[0].split(b"\r\n")


@pytest.mark.conforms("UP-63", "UP-131", "Q-68")
@pytest.mark.parametrize("source", ["127.0.0.1", "127.0.0.5"])
async def test_the_connection_comes_from_the_address_of_the_route(source: str) -> None:
    route = Route(HERE.address, IPv4Address(source))
    async with serving(saying(OK)) as server:
        await http.get(server.url, route, limit=LIMIT)
        await http.post(server.url, route, {}, b"", limit=LIMIT)
    assert server.peers == [IPv4Address(source)] * 2


@pytest.mark.conforms("UP-131", "Q-53")
@pytest.mark.parametrize("source", [None, LOOPBACK_6], ids=["any", "bound"])
async def test_ipv6_has_brackets_in_host(source: IPv6Address | None) -> None:
    async with serving(saying(OK), LOOPBACK_6) as server:
        await http.get(server.url, Route(LOOPBACK_6, source), limit=LIMIT)
    assert f"Host: [::1]:{server.port}".encode() in server.requests[0].split(b"\r\n")
    assert server.peers == [LOOPBACK_6]


async def test_a_url_without_a_port_means_port_80(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, int]] = []

    async def connect(address: IPv4Address, port: int, *, source: IPv4Address | None = None) -> SocketStream:
        asked.append((str(address), port))
        raise GatewayUnreachable("recorded")

    monkeypatch.setattr(stream, "connect", connect)
    for url in ("http://192.168.1.1/x", "http://192.168.1.1:/x", "http://192.168.1.1:8080/x"):
        with pytest.raises(GatewayUnreachable, match="recorded"):
            await http.get(url, HERE, limit=LIMIT)
    assert asked == [("127.0.0.1", 80), ("127.0.0.1", 80), ("127.0.0.1", 8080)]


# --- Elsewhere --------------------------------------------------------------------------------------------------------


@pytest.mark.conforms("UP-32")
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_returned_and_not_followed_s31(status: int) -> None:
    async with serving(trap_script) as trap:
        answer = f"HTTP/1.1 {status} Go\r\nLocation: {trap.url}\r\nContent-Length: 4\r\n\r\nelse".encode()
        async with serving(saying(answer)) as server:
            assert await http.get(server.url, HERE, limit=LIMIT) == HttpReply(status, "", b"else")
            assert await http.post(server.url, HERE, {}, b"secret", limit=LIMIT) == HttpReply(status, "", b"else")
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


# --- Not HTTP ---------------------------------------------------------------------------------------------------------


NOT_HTTP = named(
    b"SSH-2.0-OpenSSH_9.6\r\n",
    b"\x16\x03\x01\x00\x05hello",
    b"<html>hello</html>",
    b"\0" * 1000,
    b"HTTP/2 200 OK\r\n\r\n",
    b"ICY 200 OK\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n",
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
)


@pytest.mark.conforms("F58")
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
        raw = stream.extra(SocketAttribute.raw_socket)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    async with serving(script) as server:
        with pytest.raises(GatewayUnreachable, match="broke the connection off"):
            await http.get(server.url, HERE, limit=LIMIT)


async def test_a_connection_that_ends_without_a_word_is_no_answer() -> None:
    async with serving(saying()) as server:
        with pytest.raises(GatewayUnreachable, match="broke the connection off"):
            await http.get(server.url, HERE, limit=LIMIT)


@pytest.mark.conforms("Q-17")
async def test_a_refused_port_is_told_at_once_and_as_such() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{sock.getsockname()[1]}/"
    begin = time.monotonic()
    with pytest.raises(GatewayUnreachable, match="refused") as caught:
        await http.get(url, HERE, limit=LIMIT)
    assert caught.value.errno == errno.ECONNREFUSED
    assert time.monotonic() - begin < 0.3


async def test_cancellation_leaves_no_descriptor_s27() -> None:
    async with serving(then_nothing(b"HTTP/1.1 200 OK\r\n")) as server:
        before = set(os.listdir("/proc/self/fd"))
        with anyio.move_on_after(0.1) as scope:
            await http.get(server.url, HERE, limit=LIMIT)
        assert scope.cancelled_caught
        await anyio.wait_all_tasks_blocked()
        after = set(os.listdir("/proc/self/fd"))
    assert len(after - before) <= 1  # the server's end may not have noticed yet
