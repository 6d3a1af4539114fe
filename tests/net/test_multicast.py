"""The socket of a search: it asks a group and single hosts, and says who answered."""

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv6Address
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from portmapper import limits
from portmapper.errors import GatewayUnreachable
from portmapper.model import Gateway
from portmapper.net import datagram, multicast
from portmapper.net.multicast import MulticastSocket, interface_index

pytestmark = pytest.mark.anyio

LOOPBACK, LOOPBACK_6 = IPv4Address("127.0.0.1"), IPv6Address("::1")
GROUP = IPv4Address(limits.SSDP_GROUP)
HERE = Gateway(address=IPv4Address("127.1.0.1"), source=LOOPBACK)
HERE_6 = Gateway(address=LOOPBACK_6, source=LOOPBACK_6, interface="lo")


@contextmanager
def udp_socket(host: str, port: int = 0) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.bind((host, port))
        yield sock


def descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


@pytest.mark.conforms("UP-11")
async def test_asks_two_hosts_and_says_who_answered() -> None:
    with (
        udp_socket("127.0.0.2") as one,
        udp_socket("127.0.0.3") as other,
        MulticastSocket(HERE, ttl=1) as asker,
        anyio.fail_after(2),
    ):
        for host in (one, other):
            address, port = host.getsockname()
            asker.send(b"who?", IPv4Address(address), port)
        for host in (other, one):
            await anyio.wait_readable(host)
            data, sender = host.recvfrom(100)
            assert data == b"who?"
            assert sender[0] == str(LOOPBACK)
            host.sendto(b"me", sender)
            assert await asker.receive() == (b"me", IPv4Address(host.getsockname()[0]))


@pytest.mark.conforms("UP-11", "UP-13")
async def test_a_group_member_on_the_interface_hears_and_is_heard() -> None:
    with udp_socket(str(GROUP)) as member, udp_socket("127.0.0.4") as answerer, anyio.fail_after(2):
        member.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, GROUP.packed + LOOPBACK.packed)
        with MulticastSocket(HERE, ttl=0) as asker:  # 0: not off this host, whatever the routes say
            asker.send(b"all?", GROUP, member.getsockname()[1])
            await anyio.wait_readable(member)
            data, sender = member.recvfrom(100)
            assert data == b"all?"
            answerer.sendto(b"me", sender)
            assert await asker.receive() == (b"me", IPv4Address("127.0.0.4"))


@pytest.mark.conforms("UP-08", "UP-13")
async def test_the_ttl_and_the_interface_are_set() -> None:
    for ttl in (0, 1, 2, 4):
        with MulticastSocket(HERE, ttl=ttl) as asker:
            sock = asker._socket
            assert sock.getsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL) == ttl
            assert sock.getsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, 4) == LOOPBACK.packed
            assert not sock.getblocking()


@pytest.mark.conforms("UP-08", "UP-13", "UP-30")
async def test_by_ipv6_the_hops_and_the_interface_are_set() -> None:
    for ttl in (0, 1, 2, 4):
        with MulticastSocket(HERE_6, ttl=ttl) as asker:
            sock = asker._socket
            assert sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS) == ttl
            assert sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF) == socket.if_nametoindex("lo")
            assert sock.getsockname()[0] == "::1"


@pytest.mark.conforms("UP-11")
async def test_by_ipv6_it_asks_a_host_and_says_who_answered() -> None:
    """On loopback the group has no route."""
    with udp_socket("::1") as host, MulticastSocket(HERE_6, ttl=1) as asker, anyio.fail_after(2):
        asker.send(b"who?", LOOPBACK_6, host.getsockname()[1])
        await anyio.wait_readable(host)
        data, sender = host.recvfrom(100)
        assert (data, sender[0]) == (b"who?", "::1")
        host.sendto(b"me", sender)
        assert await asker.receive() == (b"me", LOOPBACK_6)


@pytest.mark.parametrize(
    ("address", "interface", "index"),
    [
        ("fe80::1%lo", None, 1),
        ("fe80::1%1", None, 1),
        ("fe80::1%7", "lo", 1),
        ("2001:db8::1", "lo", 1),
        ("fe80::1%7", None, 7),
        ("fe80::1%7", "{4D36E972-E325-11CE-BFC1-08002BE10318}", 7),
    ],
)
async def test_the_interface_is_the_one_that_is_named_else_the_zone(
    address: str, interface: str | None, index: int
) -> None:
    gateway = Gateway(address=IPv6Address(address), source=LOOPBACK_6, interface=interface)
    assert interface_index(gateway) == index


@pytest.mark.parametrize("interface", [None, "there-is-none"])
async def test_a_gateway_without_an_interface_is_unreachable_and_leaves_no_descriptor_s27(
    interface: str | None,
) -> None:
    before = descriptors()
    with pytest.raises(GatewayUnreachable):
        MulticastSocket(Gateway(address=IPv6Address("2001:db8::1"), source=LOOPBACK_6, interface=interface), ttl=1)
    assert descriptors() == before


async def test_is_bound_to_the_source_and_a_fresh_port_s34() -> None:
    source = IPv4Address("127.0.0.6")
    gateway = Gateway(address=LOOPBACK, source=source)
    with MulticastSocket(gateway, ttl=1) as one, MulticastSocket(gateway, ttl=1) as other:
        names = {sock._socket.getsockname() for sock in (one, other)}
    assert {name[0] for name in names} == {str(source)}
    assert len(names) == 2


async def test_every_one_of_50_answers_in_a_burst_is_heard_s6() -> None:
    with MulticastSocket(HERE, ttl=1) as asker, udp_socket("127.0.0.2") as host, anyio.fail_after(2):
        for number in range(50):
            host.sendto(b"%d" % number, asker._socket.getsockname())
        assert [(await asker.receive())[0] for _ in range(50)] == [b"%d" % number for number in range(50)]


async def test_empty_and_long_datagrams_are_just_datagrams_s19() -> None:
    with MulticastSocket(HERE, ttl=1) as asker, udp_socket("127.0.0.2") as host, anyio.fail_after(2):
        for size in (0, limits.SSDP_DATAGRAM, limits.SSDP_DATAGRAM + 1, 9000):
            host.sendto(b"x" * size, asker._socket.getsockname())
        sizes = [len((await asker.receive())[0]) for _ in range(4)]
    assert sizes == [0, limits.SSDP_DATAGRAM, limits.RECEIVE_BUFFER, limits.RECEIVE_BUFFER]


async def test_a_host_that_refuses_does_not_end_the_search() -> None:
    with udp_socket("127.0.0.2") as gone:
        address, port = gone.getsockname()
    with MulticastSocket(HERE, ttl=1) as asker, udp_socket("127.0.0.3") as host, anyio.fail_after(2):
        for _ in range(3):
            asker.send(b"who?", IPv4Address(address), port)
        host.sendto(b"me", asker._socket.getsockname())
        assert await asker.receive() == (b"me", IPv4Address("127.0.0.3"))


async def test_cancellation_leaves_the_socket_usable() -> None:
    with MulticastSocket(HERE, ttl=1) as asker, udp_socket("127.0.0.2") as host, anyio.fail_after(2):
        with anyio.move_on_after(0.02) as scope:
            await asker.receive()
        assert scope.cancelled_caught
        host.sendto(b"late", asker._socket.getsockname())
        assert (await asker.receive())[0] == b"late"


async def test_closes_on_the_way_out_and_twice_is_fine_s27() -> None:
    before = descriptors()
    with MulticastSocket(HERE, ttl=1) as asker:
        assert len(descriptors() - before) == 1
    assert descriptors() == before
    asker.close()


async def test_a_source_that_is_not_ours_is_unreachable_and_leaves_no_descriptor_s27() -> None:
    before = descriptors()
    with pytest.raises(GatewayUnreachable) as caught:
        MulticastSocket(Gateway(address=LOOPBACK, source=IPv4Address("192.0.2.77")), ttl=1)
    assert caught.value.errno == errno.EADDRNOTAVAIL
    assert descriptors() == before


class Fragile:
    """Sockets of which one kind of call fails."""

    def __init__(self, name: str, error: int) -> None:
        self.live: set[int] = set()
        owner = self

        def fail_at(call: str) -> None:
            if call == name:
                raise OSError(error, os.strerror(error))

        class Socket(socket.socket):
            def __init__(self, *arguments: Any) -> None:
                fail_at("socket")
                super().__init__(*arguments)
                owner.live.add(id(self))

            def bind(self, address: Any) -> None:
                fail_at("bind")
                super().bind(address)

            def setsockopt(self, *arguments: Any) -> None:
                fail_at("setsockopt")
                super().setsockopt(*arguments)

            def sendto(self, data: Any, address: Any) -> int:  # type: ignore[override]
                fail_at("sendto")
                return super().sendto(data, address)

            def recvfrom(self, size: int, flags: int = 0) -> tuple[bytes, Any]:
                fail_at("recvfrom")
                return super().recvfrom(size, flags)

            def close(self) -> None:
                owner.live.discard(id(self))
                super().close()

        self.module = SimpleNamespace(**{**vars(socket), "socket": Socket})


async def search_once() -> None:
    with MulticastSocket(HERE, ttl=1) as asker, udp_socket("127.0.0.2") as host, anyio.fail_after(2):
        address, port = host.getsockname()
        asker.send(b"who?", IPv4Address(address), port)
        host.sendto(b"me", asker._socket.getsockname())
        await asker.receive()


ERRNOS = [errno.EMFILE, errno.ENOBUFS, errno.EPERM, errno.ENETUNREACH, errno.ENETDOWN, errno.EADDRINUSE, errno.ENODEV]


@pytest.mark.parametrize(
    "call",
    [
        "socket",
        "bind",
        "setsockopt",
        "sendto",
        "recvfrom",
    ],
)
async def test_every_failing_socket_call_is_a_typed_error_and_leaks_nothing_s27(
    call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for error in ERRNOS:
        fragile = Fragile(call, error)
        monkeypatch.setattr(multicast, "socket", fragile.module)
        monkeypatch.setattr(datagram, "socket", fragile.module)
        with pytest.raises(GatewayUnreachable) as caught:
            await search_once()
        assert caught.value.errno == error
        assert not fragile.live


async def test_a_full_send_buffer_loses_the_datagram_as_the_network_may(monkeypatch: pytest.MonkeyPatch) -> None:
    fragile = Fragile("sendto", errno.EAGAIN)
    monkeypatch.setattr(multicast, "socket", fragile.module)
    monkeypatch.setattr(datagram, "socket", fragile.module)
    with MulticastSocket(HERE, ttl=1) as asker:
        asker.send(b"who?", LOOPBACK, 9)
