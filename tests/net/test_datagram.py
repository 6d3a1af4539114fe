"""UDP to one peer: what the network says is reported at once, and rubbish neither ends nor confuses a wait."""

import errno
import os
import random
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from ipaddress import IPv4Address, IPv6Address, ip_address
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from portmapper import limits
from portmapper.errors import GatewayTimeout, GatewayUnreachable
from portmapper.exchange import Exchange
from portmapper.model import Gateway, IPAddress
from portmapper.net import datagram
from portmapper.net.datagram import Datagram, converse, parse_address, socket_address, source_towards, translated

pytestmark = pytest.mark.anyio

LOOPBACK = IPv4Address("127.0.0.1")
GOOD = b"the answer"
JUNK_SIZES = (0, 1, 3, 7, 11, 15, 59, 61, 1101, 2000)
ERRNOS = (
    errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EPERM, errno.EACCES, errno.ENETUNREACH,
    errno.EHOSTUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL, errno.EADDRINUSE, errno.ECONNREFUSED, errno.ENODEV,
)  # fmt: skip

Send = Callable[[bytes], None]


def a_gateway(port: int) -> Gateway:
    return Gateway(address=LOOPBACK, source=LOOPBACK, port=port)


def an_exchange(*waits: float) -> Exchange[bytes]:
    return Exchange(b"the question", lambda data: data if data == GOOD else None, waits)


@contextmanager
def udp_socket(host: str = "127.0.0.1", port: int = 0) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.bind((host, port))
        yield sock


@contextmanager
def a_closed_port() -> Iterator[int]:
    """A port that refuses and that nobody else is given meanwhile: its socket hears itself alone."""
    with udp_socket() as sock:
        sock.connect(sock.getsockname())
        yield int(sock.getsockname()[1])


@asynccontextmanager
async def peer(*turns: Iterable[bytes], repeat: bool = False) -> AsyncIterator[tuple[Gateway, list[bytes]]]:
    """A UDP server that answers the n-th request with the n-th of `turns`; yields it and the requests it got."""
    requests: list[bytes] = []

    async def serve(sock: socket.socket) -> None:
        script = list(turns)
        while True:
            await anyio.wait_readable(sock)
            data, sender = sock.recvfrom(4096)
            requests.append(data)
            replies = () if not script else script[0] if repeat else script.pop(0)
            for number, reply in enumerate(replies):
                if number % 50 == 49:  # no more at once than a receive buffer holds
                    await anyio.sleep(0.002)
                sock.sendto(reply, sender)

    with udp_socket() as sock:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(serve, sock)
            yield a_gateway(sock.getsockname()[1]), requests
            tasks.cancel_scope.cancel()


def descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


# --- The conversation -------------------------------------------------------------------------------------------------


@pytest.mark.conforms("F31", "NP-24")
async def test_a_refused_port_is_reported_at_once() -> None:
    begin = time.monotonic()
    refused = r"nothing listens on 127\.0\.0\.1 port \d+ \(refused\)"
    with a_closed_port() as port, pytest.raises(GatewayUnreachable, match=refused) as caught:
        await converse(an_exchange(2.0, 2.0), a_gateway(port))
    assert time.monotonic() - begin < 0.2
    assert caught.value.errno == errno.ECONNREFUSED


@pytest.mark.conforms("NP-23", "PC-67")
async def test_silence_is_a_time_out_that_says_how_often_and_how_long() -> None:
    async with peer() as (gateway, requests):
        with pytest.raises(GatewayTimeout, match=r"3 requests in 0\.\d s") as caught:
            await converse(an_exchange(0.05, 0.1, 0.1), gateway)
    assert caught.value.sent == 3
    assert 0.25 <= caught.value.seconds < 0.6
    assert requests == [b"the question"] * 3


async def test_one_request_is_not_called_requests() -> None:
    async with peer() as (gateway, _):
        with pytest.raises(GatewayTimeout, match=r"\(one request in 0\.\d s\)") as caught:
            await converse(an_exchange(0.02), gateway)
    assert caught.value.sent == 1


async def test_no_wait_at_all_sends_nothing() -> None:
    async with peer() as (gateway, requests):
        with pytest.raises(GatewayTimeout) as caught:
            await converse(an_exchange(), gateway)
    assert (caught.value.sent, requests) == (0, [])


async def test_a_lost_answer_is_asked_for_again() -> None:
    async with peer([], [GOOD]) as (gateway, requests):
        assert await converse(an_exchange(0.05, 2.0), gateway) == GOOD
    assert len(requests) == 2


async def test_an_answer_ends_the_wait() -> None:
    async with peer([GOOD]) as (gateway, requests):
        begin = time.monotonic()
        assert await converse(an_exchange(5.0), gateway) == GOOD
    assert time.monotonic() - begin < 0.5
    assert len(requests) == 1


async def test_junk_of_any_size_before_the_answer_does_not_end_the_exchange_s18() -> None:
    for size in JUNK_SIZES:
        async with peer([bytes(size), random.Random(size).randbytes(size), GOOD]) as (gateway, requests):
            assert await converse(an_exchange(2.0), gateway) == GOOD
        assert len(requests) == 1  # nor does it make us ask again


async def test_junk_does_not_stop_the_retransmissions_s18() -> None:
    async with peer([b"", b"junk"], [b"\0" * 16], [GOOD]) as (gateway, requests):
        assert await converse(an_exchange(0.05, 0.05, 2.0), gateway) == GOOD
    assert len(requests) == 3


async def test_the_answer_after_200_junk_datagrams_is_heard_s6() -> None:
    junk = [random.Random(number).randbytes(number % 64) for number in range(200)]
    async with peer([*junk, GOOD]) as (gateway, requests):
        assert await converse(an_exchange(3.0), gateway) == GOOD
    assert len(requests) == 1


async def test_the_answer_after_150_junk_datagrams_that_came_in_one_burst_is_heard_s6() -> None:
    with udp_socket() as server, Datagram(LOOPBACK, server.getsockname()[1]) as client:
        await client.send(b"?")
        _, sender = server.recvfrom(10)
        for reply in [*([b"junk"] * 150), GOOD]:
            server.sendto(reply, sender)
        assert [await client.receive() for _ in range(151)][-1] == GOOD


async def test_junk_without_end_does_not_move_the_deadline_s5() -> None:
    async def flood() -> None:
        await anyio.wait_readable(server)
        _, sender = server.recvfrom(100)
        while True:
            for _ in range(20):
                server.sendto(b"junk", sender)
            await anyio.sleep(0.001)

    with udp_socket() as server:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(flood)
            begin = time.monotonic()
            with pytest.raises(GatewayTimeout) as caught:
                await converse(an_exchange(0.1, 0.1), a_gateway(server.getsockname()[1]))
            tasks.cancel_scope.cancel()
    assert caught.value.sent == 2
    assert 0.2 <= time.monotonic() - begin < 0.6


async def test_a_flood_does_not_keep_the_event_loop_from_others_s5() -> None:
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            await anyio.sleep(0)
            turns += 1

    with udp_socket() as server, Datagram(LOOPBACK, server.getsockname()[1]) as client:
        for _ in range(100):
            server.sendto(b"junk", client._socket.getsockname())
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(count_turns)
            for _ in range(100):
                await client.receive()
            tasks.cancel_scope.cancel()
    assert turns >= 90


@pytest.mark.conforms("F57", "NP-30", "NP-31", "PC-35")
@pytest.mark.parametrize("host", ["127.0.0.2", "127.0.0.1"])
async def test_an_answer_from_another_address_or_port_is_ignored_s33(host: str) -> None:
    async def answer() -> None:
        await anyio.wait_readable(server)
        _, sender = server.recvfrom(100)
        forger.sendto(GOOD, sender)
        forger.sendto(GOOD + b", forged", sender)
        server.sendto(b"true " + GOOD, sender)

    with udp_socket() as server:
        port = server.getsockname()[1]
        with udp_socket(host, port if host != "127.0.0.1" else 0) as forger:
            exchange: Exchange[bytes] = Exchange(b"?", lambda data: data if GOOD in data else None, (2.0,))
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(answer)
                assert await converse(exchange, a_gateway(port)) == b"true " + GOOD


@pytest.mark.conforms("F23", "PC-17", "PC-158")
async def test_each_exchange_has_a_source_port_of_its_own_s33() -> None:
    ports = set()
    with udp_socket() as server:
        for _ in range(5):
            with pytest.raises(GatewayTimeout):
                await converse(an_exchange(0.001), a_gateway(server.getsockname()[1]))
            ports.add(server.recvfrom(100)[1])
    assert len(ports) > 1


@pytest.mark.conforms("PC-99")
async def test_the_request_comes_from_the_gateways_source_s34() -> None:
    with udp_socket() as server:
        source = IPv4Address("127.0.0.5")
        gateway = Gateway(address=LOOPBACK, source=source, port=server.getsockname()[1])
        with pytest.raises(GatewayTimeout):
            await converse(an_exchange(0.001), gateway)
        assert server.recvfrom(100)[1][0] == str(source)


async def test_cancellation_leaves_no_descriptor_s27() -> None:
    async with peer() as (gateway, requests):
        before = descriptors()
        with anyio.move_on_after(0.05) as scope:
            await converse(an_exchange(5.0), gateway)
        assert scope.cancelled_caught
        assert descriptors() == before
    assert len(requests) == 1


@pytest.mark.parametrize("after", [0.0, 0.001])
async def test_cancellation_while_flooded_leaves_no_descriptor_s27(after: float) -> None:
    async with peer([b"junk"] * 100, repeat=True) as (gateway, _):
        before = descriptors()
        with anyio.move_on_after(after) as scope:
            await converse(an_exchange(*[0.01] * 500), gateway)
        assert scope.cancelled_caught
        assert descriptors() == before


async def test_a_source_that_is_not_ours_leaves_no_descriptor_s27() -> None:
    before = descriptors()
    with pytest.raises(GatewayUnreachable) as caught:
        Datagram(LOOPBACK, 9, source=IPv4Address("192.0.2.1"))
    assert caught.value.errno == errno.EADDRNOTAVAIL
    assert descriptors() == before


async def test_a_longer_datagram_is_cut_where_that_shows_s19() -> None:
    async with peer([b"x" * 4000]) as (gateway, _):
        with Datagram(gateway.address, gateway.port) as client:
            await client.send(b"?")
            received = await client.receive()
    assert len(received) == limits.RECEIVE_BUFFER > max(limits.PCP_DATAGRAM, limits.SSDP_DATAGRAM)


async def test_closing_twice_is_fine() -> None:
    client = Datagram(LOOPBACK, 9)
    client.close()
    client.close()


# --- What the system refuses ------------------------------------------------------------------------------------------


class Fragile:
    """Sockets of which the `nth` call of `name` fails."""

    def __init__(self, name: str, error: int, nth: int = 1) -> None:
        self._name, self._error, self._left = name, error, nth
        self.live: set[object] = set()
        owner = self

        class Socket(socket.socket):
            def __init__(self, *arguments: Any) -> None:
                owner.fail_at("socket")
                super().__init__(*arguments)
                owner.live.add(id(self))

            def bind(self, address: Any) -> None:
                owner.fail_at("bind")
                super().bind(address)

            def connect(self, address: Any) -> None:
                owner.fail_at("connect")
                super().connect(address)

            def send(self, data: Any, flags: int = 0) -> int:
                owner.fail_at("send")
                return super().send(data, flags)

            def recv(self, size: int, flags: int = 0) -> bytes:
                owner.fail_at("recv")
                return super().recv(size, flags)

            def close(self) -> None:
                owner.live.discard(id(self))
                super().close()

        self.module = SimpleNamespace(**{**vars(socket), "socket": Socket})

    def fail_at(self, name: str) -> None:
        if name == self._name:
            self._left -= 1
            if self._left == 0:
                raise OSError(self._error, os.strerror(self._error))


@pytest.mark.parametrize("call", ["socket", "bind", "connect", "send", "recv"])
async def test_every_failing_socket_call_is_a_typed_error_and_leaks_nothing_s27(
    call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with peer([GOOD], repeat=True) as (gateway, _):
        for error in ERRNOS:
            fragile = Fragile(call, error)
            monkeypatch.setattr(datagram, "socket", fragile.module)
            with pytest.raises(GatewayUnreachable) as caught:
                await converse(an_exchange(2.0), gateway)
            assert caught.value.errno == error
            assert isinstance(caught.value.__cause__, OSError)
            assert not fragile.live


async def test_a_wakeup_for_a_datagram_with_a_bad_checksum_is_not_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    fragile = Fragile("recv", errno.EAGAIN)
    async with peer([GOOD]) as (gateway, _):
        monkeypatch.setattr(datagram, "socket", fragile.module)
        assert await converse(an_exchange(2.0), gateway) == GOOD


async def test_a_full_send_buffer_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    fragile = Fragile("send", errno.EAGAIN)
    async with peer([GOOD]) as (gateway, requests):
        monkeypatch.setattr(datagram, "socket", fragile.module)
        assert await converse(an_exchange(2.0), gateway) == GOOD
    assert len(requests) == 1


@pytest.mark.conforms("F35")
@pytest.mark.parametrize(
    ("number", "text"),
    [
        (errno.ECONNREFUSED, "nothing listens on 192.0.2.1 port 5351 (refused)"),
        (errno.EPERM, "sending to 192.0.2.1 port 5351 was forbidden on this host; look at its firewall"),
        (errno.EACCES, "sending to 192.0.2.1 port 5351 was forbidden on this host; look at its firewall"),
        (errno.ENETUNREACH, "cannot reach 192.0.2.1 port 5351: Network is unreachable"),
        (errno.EHOSTUNREACH, "cannot reach 192.0.2.1 port 5351: No route to host"),
    ],
)
def test_system_errors_are_told_in_words_a_person_can_use(number: int, text: str) -> None:
    with pytest.raises(GatewayUnreachable) as caught, translated("192.0.2.1 port 5351"):
        raise OSError(number, "the system's words")
    assert str(caught.value) == text
    assert caught.value.errno == number


def test_an_error_without_a_number_is_told_in_its_own_words() -> None:
    with pytest.raises(GatewayUnreachable, match="cannot reach it: strange") as caught, translated("it"):
        raise OSError("strange")
    assert caught.value.errno is None


def test_would_block_is_translated_too() -> None:
    """Linux says so of a socket for which no port is left; where it means "later" it does not get so far."""
    with pytest.raises(GatewayUnreachable), translated("it"):
        raise BlockingIOError(errno.EAGAIN, "again")


def test_what_is_no_system_error_passes_unchanged() -> None:
    with pytest.raises(KeyError), translated("it"):
        raise KeyError("ours")


# --- Addresses --------------------------------------------------------------------------------------------------------


@pytest.mark.conforms("PC-16")
@pytest.mark.parametrize("address", [IPv4Address("127.0.0.1"), IPv6Address("::1")])
def test_the_source_towards_loopback_is_loopback(address: IPAddress) -> None:
    if address.version == 6 and not os.path.exists("/proc/net/if_inet6"):
        pytest.skip("no IPv6 here")
    before = descriptors()
    assert source_towards(address) == address
    assert descriptors() == before


def test_the_source_towards_another_loopback_address_is_the_kernels_choice() -> None:
    assert source_towards(IPv4Address("127.0.0.9")) in {IPv4Address("127.0.0.1"), IPv4Address("127.0.0.9")}


def test_asking_for_the_source_sends_nothing() -> None:
    with udp_socket() as server:
        with Datagram(LOOPBACK, server.getsockname()[1]) as client:
            assert client.source == LOOPBACK
        with pytest.raises(BlockingIOError):
            server.recvfrom(10)


def test_the_source_towards_nowhere_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datagram, "socket", Fragile("connect", errno.ENETUNREACH).module)
    with pytest.raises(GatewayUnreachable) as caught:
        source_towards(LOOPBACK)
    assert caught.value.errno == errno.ENETUNREACH


@pytest.mark.conforms("PC-103")
@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1", ("127.0.0.1", 7)),
        ("2001:db8::1", ("2001:db8::1", 7, 0, 0)),
        ("fe80::1%3", ("fe80::1", 7, 0, 3)),
        ("fe80::1%lo", ("fe80::1", 7, 0, socket.if_nametoindex("lo"))),
    ],
)
def test_a_socket_address_has_the_zone_as_a_number(address: str, expected: tuple[object, ...]) -> None:
    assert socket_address(ip_address(address), 7) == expected


def test_a_zone_that_does_not_exist_is_unreachable() -> None:
    before = descriptors()
    with pytest.raises(GatewayUnreachable):
        Datagram(IPv6Address("fe80::1%nosuchzone"), 7)
    assert descriptors() == before


@pytest.mark.parametrize(
    ("sockname", "expected"),
    [
        (("192.0.2.1", 7), "192.0.2.1"),
        (("2001:db8::1", 7, 0, 0), "2001:db8::1"),
        (("fe80::1", 7, 0, 3), "fe80::1%3"),
        (("fe80::1%lo", 7, 0, 3), "fe80::1%3"),
        (("fe80::1%lo", 7, 0, 0), "fe80::1"),
    ],
)
def test_a_parsed_address_keeps_its_zone(sockname: tuple[str, int] | tuple[str, int, int, int], expected: str) -> None:
    assert parse_address(sockname) == ip_address(expected)


@pytest.mark.parametrize("address", ["127.0.0.1", "2001:db8::1", "fe80::1%3"])
def test_socket_address_and_parse_address_are_inverse(address: str) -> None:
    assert parse_address(socket_address(ip_address(address), 7)) == ip_address(address)


def test_an_unused_port_can_be_bound() -> None:
    port = datagram.unused_udp_port(LOOPBACK)
    with udp_socket(port=port):
        assert 0 < port < 65536
