"""Neighbours that answer in the gateway's place: heard is only what fits and comes from its address and port."""

import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from ipaddress import IPv4Address, ip_address
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from portmapper import limits
from portmapper.errors import GatewayTimeout, NoService, UnsupportedVersion
from portmapper.mapper import PortMapper
from portmapper.model import Lease
from portmapper.natpmp import wire as natpmp
from portmapper.pcp import wire as pcp
from portmapper.testing import SimulatedGateway
from portmapper.upnp import ssdp

pytestmark = pytest.mark.anyio

NATPMP, PCP = "natpmp", "pcp"
both = pytest.mark.parametrize("backend", [NATPMP, PCP])
TOO_OLD = natpmp.UnsupportedVersionResponse(epoch=0).encode()
_NONCE = slice(24, 36)
_EXTERNAL_PORT = {NATPMP: 10, PCP: 42}


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch: pytest.MonkeyPatch, virtual_time: None) -> None:
    """The same schedule, faster, and no multicast."""
    for name, value in {
        "FAST_WAITS": (0.1, 0.1),
        "RELEASE_WAITS": (0.05, 0.05),
        "SEARCH_OFFSETS": (0.0, 0.05),
        "DISCOVERY": 0.5,
        "HEAD_START": 0.05,
        "SSDP_GROUP": "127.0.0.77",
    }.items():
        monkeypatch.setattr(limits, name, value)


@contextmanager
def udp_socket(host: str, port: int = 0) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.bind((host, port))
        yield sock


def a_port() -> int:
    """Return a port of this host that nobody has bound."""
    with udp_socket("127.0.0.1") as sock:
        return int(sock.getsockname()[1])


class Wire:
    """Between the client and an honest gateway, where a forger sees every request and is faster."""

    def __init__(self, honest: SimulatedGateway, true: socket.socket) -> None:
        self.gateway = replace(honest.gateway, port=true.getsockname()[1])
        self.true = true
        self.clients: list[Any] = []
        self._honest = honest

    def answers(self, request: bytes, client: Any) -> list[bytes]:
        return self._honest.answer_datagram(request, ip_address(client[0]))


Forger = Callable[[Wire, bytes, Any, bytes], Awaitable[None]]
"""(wire, request, its sender, the honest answer): sends what it likes, before the honest answer goes out."""


@asynccontextmanager
async def forged(forger: Forger, *, maps_answered: bool = True) -> AsyncIterator[tuple[SimulatedGateway, Wire]]:
    """An honest gateway whose every answer has a forger come first."""

    async def serve() -> None:
        while True:
            await anyio.wait_readable(true)
            request, client = true.recvfrom(2000)
            wire.clients.append(client)
            for answer in wire.answers(request, client):
                await forger(wire, request, client, answer)
                if maps_answered or not is_map(request):
                    true.sendto(answer, client)

    async with SimulatedGateway(upnp=False) as honest, anyio.create_task_group() as tasks:
        with udp_socket("127.0.0.1") as true:
            wire = Wire(honest, true)
            tasks.start_soon(serve)
            yield honest, wire
            tasks.cancel_scope.cancel()


def is_map(request: bytes) -> bool:
    return len(request) >= 12 and request[1] != 0


def redirected(backend: str, answer: bytes) -> bytes:
    """Return the answer with another external port, if it has one."""
    at = _EXTERNAL_PORT[backend]
    return answer[:at] + b"\x05\x39" + answer[at + 2 :] if len(answer) > at + 2 else answer


async def map_truly(honest: SimulatedGateway, wire: Wire, *backends: str) -> Lease:
    """Map a port; the lease has to be the one in the honest gateway's table, and nothing may be left."""
    async with PortMapper(gateway=wire.gateway, backends=backends) as mapper:
        with anyio.fail_after(12):
            lease = (await mapper.map(a_port(), "udp")).lease
        (entry,) = honest.table
        assert (entry.external_port, entry.internal) == (lease.external.port, lease.internal)
        assert lease.external.port != 1337
    assert not list(honest.table)
    return lease


async def reason_for_nothing(wire: Wire, backend: str) -> Exception:
    """Map a port in vain; return why not."""
    async with PortMapper(gateway=wire.gateway, backends=[backend]) as mapper:
        with anyio.fail_after(12), pytest.raises(NoService) as caught:
            await mapper.map(a_port(), "udp")
    return caught.value.reasons[backend]


def from_elsewhere(backend: str, host: str) -> Forger:
    """Right bytes with another port in them, from `host` and the gateway's port, or its address and another port."""

    async def forger(wire: Wire, request: bytes, client: Any, answer: bytes) -> None:
        port = wire.true.getsockname()[1] if host != "127.0.0.1" else 0
        with udp_socket(host, port) as sock:
            for _ in range(3):
                sock.sendto(redirected(backend, answer), client)
        await anyio.sleep(0.005)  # the forgery is there first, and alone

    return forger


@pytest.mark.conforms("F57", "NP-30", "NP-31", "PC-35", "PC-158")
@both
@pytest.mark.parametrize("host", ["127.0.0.2", "127.0.0.1"])
async def test_a_faster_answer_from_the_wrong_address_or_port_is_ignored_s33(backend: str, host: str) -> None:
    async with forged(from_elsewhere(backend, host)) as (honest, wire):
        await map_truly(honest, wire, backend)


@pytest.mark.conforms("F57", "NP-30", "NP-31", "PC-35", "PC-158")
@both
@pytest.mark.parametrize("host", ["127.0.0.2", "127.0.0.1"])
async def test_only_answers_from_elsewhere_are_no_answer_s33(backend: str, host: str) -> None:
    async with forged(from_elsewhere(backend, host), maps_answered=False) as (_, wire):
        assert type(await reason_for_nothing(wire, backend)) is GatewayTimeout


@pytest.mark.conforms("NP-33", "PC-41", "PC-91")
@both
async def test_the_forgery_would_work_from_the_gateways_own_address(backend: str) -> None:
    """What the tests above forge is good enough, so that they can fail; a secret nonce is all that is in its way."""

    async def forger(wire: Wire, request: bytes, client: Any, answer: bytes) -> None:
        wire.true.sendto(redirected(backend, answer), client)

    async with forged(forger) as (_, wire), PortMapper(gateway=wire.gateway, backends=[backend]) as mapper:
        assert (await mapper.map(a_port(), "udp")).external_port == 1337


async def guess_1000_nonces(wire: Wire, request: bytes, client: Any, answer: bytes) -> None:
    if not is_map(request):
        return
    for _ in range(1000):
        guess = answer[: _NONCE.start] + os.urandom(pcp.NONCE) + answer[_NONCE.stop :]
        wire.true.sendto(redirected(PCP, guess), client)
        for _ in range(2):  # no more at once than a receive buffer holds: every single one is looked at
            await anyio.lowlevel.checkpoint()


@pytest.mark.conforms("PC-41", "PC-45", "PC-158")
async def test_a_thousand_guessed_nonces_do_not_map_s33(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "FAST_WAITS", (0.8,))
    async with forged(guess_1000_nonces, maps_answered=False) as (_, wire):
        assert type(await reason_for_nothing(wire, PCP)) is GatewayTimeout


@pytest.mark.conforms("PC-45")
async def test_the_true_answer_after_a_thousand_guessed_nonces_is_taken_s33(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "FAST_WAITS", (5.0,))
    monkeypatch.setattr(limits, "RELEASE_WAITS", (5.0,))
    async with forged(guess_1000_nonces) as (honest, wire):
        await map_truly(honest, wire, PCP)


@pytest.mark.conforms("PC-18", "PC-20", "PC-21")
async def test_nonces_differ_and_cannot_be_told_from_the_ones_before_s37() -> None:
    nonces: set[bytes] = set()

    async def watch(wire: Wire, request: bytes, client: Any, answer: bytes) -> None:
        if is_map(request) and request[0] == pcp.VERSION:
            nonces.add(request[_NONCE])

    async with forged(watch) as (_, wire):
        port = a_port()
        for _ in range(2):  # a new mapper has a new key
            async with PortMapper(gateway=wire.gateway, backends=[PCP]) as mapper:
                await mapper.map(port, "udp")
                await mapper.map(port, "tcp")
    assert len(nonces) == 4
    assert all(len(set(nonce)) > 4 for nonce in nonces)


@pytest.mark.conforms("PC-45")
async def test_a_lost_nonce_of_another_mapping_is_no_answer_to_this_one_s33() -> None:
    """An answer recorded earlier does not pass for the answer to the next request."""
    recorded: list[bytes] = []

    async def replay(wire: Wire, request: bytes, client: Any, answer: bytes) -> None:
        for old in recorded:
            wire.true.sendto(redirected(PCP, old), client)
        if is_map(request):
            recorded.append(answer)

    async with forged(replay) as (honest, wire):
        for _ in range(3):
            await map_truly(honest, wire, PCP)


# --- "I do not speak that version" ------------------------------------------------------------------------------------


@pytest.mark.conforms("PC-81")
async def test_the_wrong_version_is_heard_from_the_gateway_as_an_answer_s41() -> None:
    async def downgrade(wire: Wire, request: bytes, client: Any, answer: bytes) -> None:
        if request[0] == pcp.VERSION:
            wire.true.sendto(TOO_OLD, client)

    async with forged(downgrade) as (honest, wire):
        reason = await reason_for_nothing(wire, PCP)
        assert isinstance(reason, UnsupportedVersion)
        assert reason.version == 0
        assert (await map_truly(honest, wire, PCP, NATPMP)).backend == NATPMP


@pytest.mark.conforms("PC-35")
@pytest.mark.parametrize("host", ["127.0.0.2", "127.0.0.1"])
async def test_the_wrong_version_is_not_heard_from_elsewhere_s41(host: str) -> None:
    async def downgrade(wire: Wire, request: bytes, client: Any, answer: bytes) -> None:
        with udp_socket(host, wire.true.getsockname()[1] if host != "127.0.0.1" else 0) as sock:
            sock.sendto(TOO_OLD, client)
        await anyio.sleep(0.005)

    async with forged(downgrade) as (honest, wire):
        assert (await map_truly(honest, wire, PCP, NATPMP)).backend == PCP


@pytest.mark.conforms("PC-17")
async def test_the_wrong_version_is_not_heard_at_the_port_of_an_earlier_request_s33_s41() -> None:
    """Each request has a port of its own, which is closed before the next: what comes there unasked is lost."""

    async def downgrade(wire: Wire, request: bytes, client: Any, answer: bytes) -> None:
        for earlier in {one for one in wire.clients if one != client}:
            wire.true.sendto(TOO_OLD, earlier)
        await anyio.sleep(0.002)

    async with forged(downgrade) as (honest, wire):
        for _ in range(3):
            assert (await map_truly(honest, wire, PCP, NATPMP)).backend == PCP
    assert len(set(wire.clients)) > len(wire.clients) // 2


@pytest.mark.conforms("PC-36", "PC-37")
@pytest.mark.parametrize(
    "unfit",
    [
        TOO_OLD[:3],
        bytes([0, 1, 0, 1]) + bytes(4),  # a request of NAT-PMP
        bytes([0, 0, 1, 1]) + bytes(4),  # result 257
        bytes([2, 1, 0, 1]) + bytes(20),  # a request of PCP
        bytes([255, 127, 0, 1]) + bytes(20),
        b"",
    ],
    ids=["short", "natpmp-request", "result-257", "pcp-request", "request-of-255", "empty"],
)
async def test_the_wrong_version_is_not_heard_in_another_form_s41(unfit: bytes) -> None:
    async def downgrade(wire: Wire, request: bytes, client: Any, answer: bytes) -> None:
        wire.true.sendto(unfit, client)

    async with forged(downgrade) as (honest, wire):
        assert (await map_truly(honest, wire, PCP, NATPMP)).backend == PCP


# --- SSDP -------------------------------------------------------------------------------------------------------------


class Betrayed(SimulatedGateway):
    """A UPnP device; a neighbour answers every search before it does, and invites to itself."""

    def __init__(self, neighbour: socket.socket, trap: socket.socket) -> None:
        super().__init__(pcp=False, natpmp=False)
        self._neighbour = neighbour
        host, port = trap.getsockname()
        location = f"http://{host}:{port}/rootDesc.xml"
        self._invitation = ssdp.encode_answer(ssdp.Answer(location, ssdp.TARGETS[0], "uuid:x", "evil"))

    async def invite(self) -> None:
        """Answer the searches that come by multicast."""
        while True:
            await anyio.wait_readable(self._neighbour)
            _, client = self._neighbour.recvfrom(2000)
            self._neighbour.sendto(self._invitation, client)


async def test_an_invitation_of_a_neighbour_is_not_followed_s34(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SSDP_GROUP", "127.0.0.2")  # the neighbour hears what is sent to all
    with (
        udp_socket("127.0.0.2") as neighbour,
        socket.socket(socket.AF_INET, socket.SOCK_STREAM) as trap,
    ):
        monkeypatch.setattr(limits, "SSDP_PORT", neighbour.getsockname()[1])
        trap.setblocking(False)
        trap.bind(("127.0.0.2", 0))
        trap.listen()
        async with Betrayed(neighbour, trap) as gateway, anyio.create_task_group() as tasks:
            tasks.start_soon(gateway.invite)
            async with PortMapper(gateway=gateway.gateway, backends=["upnp"]) as mapper:
                lease = (await mapper.map(a_port())).lease
                assert lease.internal.address == IPv4Address("127.0.0.1")
                (entry,) = gateway.table
                assert entry.external_port == lease.external.port
            tasks.cancel_scope.cancel()
        with pytest.raises(BlockingIOError):
            trap.accept()


async def test_only_an_invitation_of_a_neighbour_is_no_answer_s34(monkeypatch: pytest.MonkeyPatch) -> None:
    class Mute(Betrayed):
        def answer_search(self, data: bytes) -> list[bytes]:
            return []

    monkeypatch.setattr(limits, "SSDP_GROUP", "127.0.0.2")
    with (
        udp_socket("127.0.0.2") as neighbour,
        socket.socket(socket.AF_INET, socket.SOCK_STREAM) as trap,
    ):
        monkeypatch.setattr(limits, "SSDP_PORT", neighbour.getsockname()[1])
        trap.setblocking(False)
        trap.bind(("127.0.0.2", 0))
        trap.listen()
        async with Mute(neighbour, trap) as gateway, anyio.create_task_group() as tasks:
            tasks.start_soon(gateway.invite)
            async with PortMapper(gateway=gateway.gateway, backends=["upnp"]) as mapper:
                with pytest.raises(NoService) as caught:
                    await mapper.map(a_port())
            tasks.cancel_scope.cancel()
        assert type(caught.value.reasons["upnp"]) is GatewayTimeout
        with pytest.raises(BlockingIOError):
            trap.accept()
