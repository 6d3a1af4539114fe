"""TCP connections from a chosen address: what the system says is told, and nothing is left behind."""

import errno
import os
import socket
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
from anyio.abc import SocketAttribute

from portmapper.errors import GatewayUnreachable
from portmapper.model import IPAddress
from portmapper.net import stream

pytestmark = pytest.mark.anyio

LOOPBACK, LOOPBACK_6 = IPv4Address("127.0.0.1"), IPv6Address("::1")


@pytest.fixture(params=[LOOPBACK, LOOPBACK_6], ids=["IPv4", "IPv6"])
def listener(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    family = socket.AF_INET if request.param == LOOPBACK else socket.AF_INET6
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.bind((str(request.param), 0))
        sock.listen()
        sock.setblocking(False)
        yield sock


def where(sock: socket.socket) -> tuple[IPAddress, int]:
    host, port = sock.getsockname()[:2]
    return (LOOPBACK_6 if ":" in host else LOOPBACK), port


def descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


async def test_bytes_go_both_ways(listener: socket.socket) -> None:
    address, port = where(listener)
    async with await stream.connect(address, port) as connection:
        peer, _ = listener.accept()
        with peer:
            await connection.send(b"question")
            assert peer.recv(100) == b"question"
            peer.send(b"answer")
            assert await connection.receive() == b"answer"


@pytest.mark.conforms("UP-63")
async def test_it_comes_from_the_source(listener: socket.socket) -> None:
    address, port = where(listener)
    source = IPv4Address("127.0.0.5") if address == LOOPBACK else LOOPBACK_6
    async with await stream.connect(address, port, source=source) as connection:
        assert connection.extra(SocketAttribute.local_address)[0] == str(source)
        peer, sender = listener.accept()
        peer.close()
    assert sender[0] == str(source)


@pytest.mark.conforms("Q-17")
async def test_a_refused_port_has_the_number_of_the_system(listener: socket.socket) -> None:
    address, port = where(listener)
    listener.close()
    before = descriptors()
    with pytest.raises(GatewayUnreachable, match=f"nothing listens on {address} port {port}") as caught:
        await stream.connect(address, port, source=address)
    assert caught.value.errno == errno.ECONNREFUSED
    assert descriptors() == before


async def test_a_source_that_is_not_ours_is_told_and_leaves_no_descriptor_s27() -> None:
    before = descriptors()
    with pytest.raises(GatewayUnreachable) as caught:
        await stream.connect(LOOPBACK, 9, source=IPv4Address("192.0.2.77"))
    assert caught.value.errno == errno.EADDRNOTAVAIL
    assert descriptors() == before


async def test_cancellation_leaves_no_descriptor_s27() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as deaf, socket.socket() as first, socket.socket() as second:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        for sock in (first, second):  # the queue of the listener is full then, and the next is not answered
            sock.setblocking(False)
            sock.connect_ex(deaf.getsockname())
        before = descriptors()
        with anyio.move_on_after(0.1) as scope:
            await stream.connect(LOOPBACK, deaf.getsockname()[1])
        assert scope.cancelled_caught
        assert descriptors() == before


class Recorded(Exception):
    """A socket that was told where to connect."""


@pytest.mark.conforms("Q-10")
@pytest.mark.parametrize("zone", ["1", "lo"])
async def test_the_zone_of_a_link_local_address_is_the_scope_of_the_connection(
    zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Any] = []

    class Socket(socket.socket):
        def bind(self, address: Any) -> None:
            calls.append(address)

        def connect(self, address: Any) -> None:
            calls.append(address)
            raise Recorded

    monkeypatch.setattr(stream, "socket", SimpleNamespace(**{**vars(socket), "socket": Socket}))
    with pytest.raises(Recorded):
        await stream.connect(IPv6Address(f"fe80::1%{zone}"), 5000, source=IPv6Address(f"fe80::2%{zone}"))
    assert calls == [("fe80::2", 0, 0, 1), ("fe80::1", 5000, 0, 1)]


ERRNOS = [errno.EMFILE, errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EPERM, errno.EADDRINUSE, errno.ETIMEDOUT]


@pytest.mark.parametrize("call", ["socket", "bind", "connect", "later"])
async def test_every_failing_call_is_a_typed_error_and_leaks_nothing_s27(
    call: str, listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, port = where(listener)
    for number in ERRNOS:

        def fail_at(name: str, number: int = number) -> None:
            if name == call:
                raise OSError(number, os.strerror(number))

        class Socket(socket.socket):
            def __init__(self, *arguments: Any, fail: Any = fail_at) -> None:
                fail("socket")
                super().__init__(*arguments)
                self._fail = fail

            def bind(self, address: Any) -> None:
                self._fail("bind")
                super().bind(address)

            def connect(self, address: Any) -> None:
                self._fail("connect")
                super().connect(address)
                raise BlockingIOError

            def getsockopt(self, *arguments: Any, number: int = number) -> Any:
                return number if call == "later" else super().getsockopt(*arguments)

        monkeypatch.setattr(stream, "socket", SimpleNamespace(**{**vars(socket), "socket": Socket}))
        before = descriptors()
        with pytest.raises(GatewayUnreachable) as caught:
            await stream.connect(address, port, source=address)
        assert caught.value.errno == number
        assert descriptors() == before


@pytest.mark.usefixtures("virtual_time")
@pytest.mark.parametrize("lost", [0, 1, 2, 7])
async def test_a_connection_whose_first_packet_is_lost_is_tried_again_at_once(
    lost: int, listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system would wait for a second. Never more than four sockets at once."""
    before, finish = descriptors(), stream._finish
    begun, open_now, most = 0, 0, 0

    async def lossy(sock: socket.socket, address: IPAddress, port: int) -> None:
        nonlocal begun, open_now, most
        begun, open_now = begun + 1, open_now + 1
        most = max(most, open_now)
        try:
            await (finish(sock, address, port) if begun > lost else anyio.sleep_forever())
        finally:
            open_now -= 1

    monkeypatch.setattr(stream, "_finish", lossy)
    begin = anyio.current_time()
    async with await stream.connect(*where(listener)):
        assert anyio.current_time() - begin == pytest.approx(0.1 * lost)
        assert begun == lost + 1
        assert most <= 4
    assert descriptors() == before


@pytest.mark.anyio
async def test_a_peer_that_has_broken_it_off_at_once_is_a_typed_error(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the connecting and the first look at it; anyio has a ValueError for that."""

    async def connected_and_reset(sock: socket.socket, address: IPAddress, port: int) -> None:
        pass

    monkeypatch.setattr(stream, "_finish", connected_and_reset)
    with pytest.raises(GatewayUnreachable, match="not connected") as caught:
        await stream.connect(IPv4Address("127.0.0.1"), listener.getsockname()[1])
    assert caught.value.errno == errno.ENOTCONN
