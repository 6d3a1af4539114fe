"""What a gateway says unasked: it makes us ask, and what the gateway answers is told."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import IPv4Address
from itertools import pairwise

import anyio
import pytest

from portmapper import Changed, Event, Lost, Mapped, Mapping, MappingState, PortMapper, Renewed, limits
from portmapper.holding import EventStream
from portmapper.model import IPAddress
from portmapper.natpmp import wire as natpmp
from portmapper.net import clock
from portmapper.pcp import wire as pcp
from portmapper.testing import SimulatedGateway
from portmapper.testing.pcp_server import mapping_update
from portmapper.testing.table import Entry
from tests.announcing import announce
from tests.sockets import quiet_port

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("virtual_time")]

HOUR = 3600
ROUND = limits.RECOVERY_WAIT + 1
"""Long enough for everything to be renewed."""

ELSEWHERE = IPv4Address("127.0.0.7")


@pytest.fixture(autouse=True)
def own_port(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a port for notifications that no other program listens on: the system gives a datagram to one of them."""
    assert limits.ANNOUNCEMENT_PORT == 5350
    monkeypatch.setattr(limits, "ANNOUNCEMENT_PORT", quiet_port())


class Router(SimulatedGateway):
    """Refuses everything for two hours, or says nothing, when told to; notes when it is asked."""

    refusing = False
    silent = False

    def __init__(self) -> None:
        super().__init__()
        self.times: list[float] = []

    def answer_datagram(self, data: bytes, sender: IPAddress) -> list[bytes]:
        self.times.append(anyio.current_time())
        replies = [] if self.silent else super().answer_datagram(data, sender)
        if not self.refusing:
            return replies
        return [reply[:3] + b"\2" + (2 * HOUR).to_bytes(4, "big") + reply[8:] for reply in replies]


@asynccontextmanager
async def mapped(backend: str = "pcp") -> AsyncIterator[tuple[Router, PortMapper, Mapping, Entry]]:
    """Map a port, some time ago; the gateway has heard nothing since."""
    async with Router() as simulated, PortMapper(gateway=simulated.gateway, backends=[backend]) as mapper:
        mapping = await mapper.map(4001, lifetime=HOUR)
        (entry,) = simulated.table
        await anyio.sleep(600)
        simulated.datagrams.clear()
        simulated.times.clear()
        yield simulated, mapper, mapping, entry


def told(stream: EventStream) -> list[Event]:
    """Return the events that are there."""
    events = list(stream._events)
    stream._events.clear()
    return events


def renumber(simulated: SimulatedGateway) -> None:
    """Give the gateway another external address; it keeps its mappings."""
    simulated._external_address = simulated._control.external_address = ELSEWHERE
    simulated._control.pcp.external_address = ELSEWHERE


@pytest.mark.conforms("PC-153")
@pytest.mark.parametrize("what", ["port", "address"])
async def test_an_update_makes_us_ask_and_what_has_changed_is_told(what: str) -> None:
    async with mapped() as (simulated, _, mapping, entry):
        stream = mapping.events()
        if what == "port":
            entry.external_port = 21001
        else:
            renumber(simulated)
        simulated.send_update(entry)
        await anyio.sleep(0.1)
        assert [data[1] for data in simulated.datagrams] == [pcp.Opcode.MAP]
        _, changed = told(stream)
        assert isinstance(changed, Changed)
        assert mapping.external == changed.lease.external != changed.old.external
        assert mapping.external_port == entry.external_port
        assert mapping.external_address() == simulated._external_address


@pytest.mark.conforms("PC-154")
async def test_an_update_that_comes_three_times_is_one() -> None:
    async with mapped() as (simulated, _, mapping, entry):
        stream = mapping.events()
        entry.external_port = 21001
        for _ in range(3):
            simulated.send_update(entry)
            await anyio.sleep(0.25)
        await anyio.sleep(10)
        assert len(simulated.datagrams) == 1
        assert [type(event) for event in told(stream)] == [Mapped, Changed]


@pytest.mark.conforms("PC-155")
async def test_an_update_for_a_mapping_that_was_closed_is_ignored() -> None:
    async with mapped() as (simulated, mapper, mapping, entry):
        await mapper.map(4002)
        await mapping.close()
        simulated.datagrams.clear()
        entry.external_port = 21001
        simulated.send_update(entry)
        await anyio.sleep(10)
        assert simulated.datagrams == []


@pytest.mark.conforms("PC-44")
async def test_an_error_that_comes_unasked_is_nothing_when_the_gateway_extends_the_mapping() -> None:
    async with mapped() as (simulated, _, mapping, entry):
        stream = mapping.events()
        simulated.send_update(entry, result=2)
        await anyio.sleep(10)
        assert len(simulated.datagrams) == 1
        assert [type(event) for event in told(stream)] == [Mapped, Renewed]


@pytest.mark.conforms("PC-44", "PC-161")
async def test_an_error_that_comes_unasked_and_again_when_asked_ends_the_mapping_with_its_lease() -> None:
    async with mapped() as (simulated, _, mapping, entry):
        stream = mapping.events()
        simulated.refusing = True
        simulated.send_update(entry, result=2)
        await anyio.sleep(HOUR - 600 - 1)
        assert len(simulated.datagrams) == 1
        assert mapping.state is MappingState.MAPPED
        await anyio.sleep(2)
        _, lost = told(stream)
        assert isinstance(lost, Lost)
        assert "NOT_AUTHORIZED" in str(lost.reason)


@pytest.mark.conforms("PC-44", "PC-150")
@pytest.mark.parametrize("forgery", ["none", "nonce", "port", "host"])
async def test_an_update_with_another_nonce_or_from_elsewhere_is_ignored(forgery: str) -> None:
    async with mapped() as (simulated, _, _, entry):
        entry.external_port = 21001
        if forgery == "nonce":
            entry.nonce = bytes(12)
        update = mapping_update(entry, IPv4Address("127.0.0.1"), lifetime=HOUR, epoch=simulated.epoch).encode()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind(("127.0.0.2", simulated.gateway.port) if forgery == "host" else ("127.0.0.1", 0))
            sender = other if forgery in {"host", "port"} else simulated.control_socket
            sender.sendto(update, ("127.0.0.1", limits.ANNOUNCEMENT_PORT))
            await anyio.sleep(10)
        assert len(simulated.datagrams) == (1 if forgery == "none" else 0)


@pytest.mark.conforms("PC-88")
async def test_updates_that_do_not_end_make_us_ask_every_4_s_at_most() -> None:
    """Be it a gateway that goes wrong, or somebody who knows the nonce."""
    async with mapped() as (simulated, _, _, entry):
        for _ in range(30):
            simulated.send_update(entry, result=2)
            await anyio.sleep(1.3)
        gaps = [later - earlier for earlier, later in pairwise(simulated.times)]
        assert gaps
        assert min(gaps) >= limits.MIN_RENEWAL_GAP


@pytest.mark.conforms("F5", "NP-70")
async def test_a_new_external_address_that_is_announced_is_told_once() -> None:
    """All ten announcements tell it, and the gateway has lost nothing."""
    async with mapped("natpmp") as (simulated, _, mapping, _):
        stream = mapping.events()
        renumber(simulated)
        for wait in (0.25 * 2**k for k in range(10)):
            announce(simulated, natpmp.AddressResponse(result=0, epoch=simulated.epoch, address=ELSEWHERE).encode())
            await anyio.sleep(wait)
        _, changed = told(stream)
        assert isinstance(changed, Changed)
        assert changed.lease.external.address == mapping.external_address() == ELSEWHERE


@pytest.mark.conforms("NP-70", "NP-81")
async def test_a_new_external_address_that_the_gateway_does_not_confirm_is_none() -> None:
    async with mapped("natpmp") as (simulated, _, mapping, _):
        stream = mapping.events()
        announce(simulated, natpmp.AddressResponse(result=0, epoch=simulated.epoch, address=ELSEWHERE).encode())
        await anyio.sleep(ROUND)
        assert simulated.datagrams == [natpmp.AddressRequest().encode()]
        assert [type(event) for event in told(stream)] == [Mapped]


@pytest.mark.conforms("F5", "PC-77", "PC-78")
@pytest.mark.parametrize("heard", [True, False])
async def test_a_new_external_address_begins_an_epoch_of_pcp_and_is_told_for_each_mapping(heard: bool) -> None:
    """Seen after the announcement, or in the answer to a renewal of one of them."""
    async with mapped() as (simulated, mapper, mapping, _):
        mappings = [mapping, await mapper.map(4002), await mapper.map(4003)]
        streams = [one.events() for one in mappings]
        renumber(simulated)
        simulated._begin = clock.now()
        if heard:
            announce(simulated, pcp.AnnounceResponse(result=0, lifetime=0, epoch=0).encode())
        else:
            await mapping.refresh()
        await anyio.sleep(ROUND)
        assert [[type(event) for event in told(stream)] for stream in streams] == [[Mapped, Changed]] * 3
        assert {one.external_address() for one in mappings} == {ELSEWHERE}


async def assert_a_restart_is_heard(simulated: Router) -> None:
    simulated.silent = False
    simulated.reboot()
    announce(simulated, pcp.AnnounceResponse(result=0, lifetime=0, epoch=0).encode())
    await anyio.sleep(ROUND)
    assert [entry.internal.port for entry in simulated.table] == [4001]


@pytest.mark.conforms("NP-69", "PC-151")
@pytest.mark.parametrize("backend", ["pcp", "natpmp"])
async def test_a_question_without_answer_does_not_hold_up_the_next_announcement(backend: str) -> None:
    """For a mapping that was lost and came back, whose requests are repeated as slowly as the RFCs recommend."""
    async with mapped(backend) as (simulated, _, mapping, _):
        simulated.silent = True
        await anyio.sleep(HOUR)
        simulated.silent = False
        await anyio.sleep(2 * limits.RETRY_LAST)
        assert mapping.state is MappingState.MAPPED
        simulated.silent = True
        announce(simulated, pcp.AnnounceResponse(result=0, lifetime=0, epoch=0).encode())
        await anyio.sleep(70)
        await assert_a_restart_is_heard(simulated)


@pytest.mark.conforms("F1", "NP-69", "PC-151")
@pytest.mark.parametrize("backend", ["pcp", "natpmp"])
async def test_nor_does_a_renewal_without_answer(backend: str) -> None:
    """The gateway restarts while one is under way, which is repeated more and more slowly."""
    async with mapped(backend) as (simulated, _, _, _):
        simulated.silent = True
        while not simulated.times:
            await anyio.sleep(0.1)
        await anyio.sleep(9)
        await assert_a_restart_is_heard(simulated)
