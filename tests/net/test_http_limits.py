"""HTTP to a device: none keeps us longer or makes us take more than the limits say."""

import socket
import time
import traceback
import tracemalloc

import anyio
import pytest
from anyio.abc import SocketStream

from portmapper import limits
from portmapper.errors import GatewayTimeout, PortMapperError, ProtocolError
from portmapper.net import http
from tests.cases import each, named
from tests.net.http_server import (
    HERE,
    LIMIT,
    Script,
    ask,
    is_a_protocol_error,
    raising,
    repeating,
    saying,
    serving,
    then_nothing,
)

pytestmark = pytest.mark.anyio

DEADLINE = 0.3
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture
def short_deadline(monkeypatch: pytest.MonkeyPatch) -> float:
    monkeypatch.setattr(limits, "HTTP_EXCHANGE", DEADLINE)
    return DEADLINE


# --- Too much ---------------------------------------------------------------------------------------------------------


@pytest.mark.conforms("UP-32")
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


async def test_the_error_of_a_body_without_end_keeps_nothing_of_it_s7() -> None:
    """Until it is collected: each request of a mapping leaves such an error behind."""
    async with serving(repeating(CHUNKED, b"10000\r\n" + bytes(65536) + b"\r\n")) as server:
        with pytest.raises(ProtocolError) as caught:
            await http.get(server.url, HERE, limit=1000)
    values = [value for frame, _ in traceback.walk_tb(caught.value.__traceback__) for value in frame.f_locals.values()]
    assert max((len(value) for value in values if isinstance(value, bytes | bytearray)), default=0) < 2000


@pytest.mark.conforms("UP-32")
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
            await http.get(server.url, HERE, limit=LIMIT)
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


@pytest.mark.conforms("F58")
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


@pytest.mark.conforms("UP-32")
async def test_one_deadline_ends_every_kind_of_slowness_s8_s9(short_deadline: float) -> None:
    async def check(script: Script) -> None:
        begin = time.monotonic()
        async with serving(script) as server:
            with pytest.raises(GatewayTimeout, match=r"did not answer within 0\.3 s") as caught:
                await http.get(server.url, HERE, limit=LIMIT)
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
            await http.post(url, HERE, {}, bytes(16 * 1024 * 1024), limit=LIMIT)
    assert time.monotonic() - begin < short_deadline + 0.4


async def test_twenty_drips_do_not_delay_an_honest_answer_s8(short_deadline: float) -> None:
    async def ask_in_vain(url: str) -> None:
        with pytest.raises(GatewayTimeout):
            await http.get(url, HERE, limit=LIMIT)

    async with (
        serving(SLOW["drip"]) as slow,
        serving(saying(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")) as good,
        anyio.create_task_group() as tasks,
    ):
        for _ in range(20):
            tasks.start_soon(ask_in_vain, slow.url)
        await anyio.sleep(0.1)
        begin = time.monotonic()
        assert (await http.get(good.url, HERE, limit=LIMIT)).body == b"ok"
        assert time.monotonic() - begin < 0.3
    assert slow.connections == 20


async def test_the_callers_own_deadline_is_not_taken_for_ours() -> None:
    async with serving(SLOW["silence"]) as server:
        with pytest.raises(TimeoutError) as caught, anyio.fail_after(0.05):
            await http.get(server.url, HERE, limit=LIMIT)
    assert not isinstance(caught.value, PortMapperError)
