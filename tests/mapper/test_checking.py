"""The periodic look: what a gateway lost without a word is made again, for one small exchange per interval."""

import inspect
from ipaddress import IPv4Address

import anyio
import pytest

from portmapper import Changed, InvalidRequest, Mapped, MappingState, PortMapper, Renewed, Restored, limits
from portmapper.errors import GatewayTimeout
from portmapper.model import IPAddress
from portmapper.testing import SimulatedGateway

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("virtual_time")]

PROTOCOLS = ["pcp", "natpmp", "upnp"]
every_protocol = pytest.mark.parametrize("backend", PROTOCOLS)
MINUTE = 60
HOUR = 3600
ELSEWHERE = IPv4Address("198.51.100.77")


class Quiet(SimulatedGateway):
    """Says nothing, or no, when told to."""

    silent = False
    refuses = False
    refused = 0

    def answer_datagram(self, data: bytes, sender: IPAddress) -> list[bytes]:
        replies = [] if self.silent else super().answer_datagram(data, sender)
        if self.refuses and data[1]:
            self.refused += 1
            self.table.clear()
            return [reply[:3] + b"\x02" + bytes(4) + reply[8:] for reply in replies]  # NOT_AUTHORIZED
        return replies

    def answer_search(self, data: bytes) -> list[bytes]:
        return [] if self.silent else super().answer_search(data)

    def answer_http(self, method: str, path: str, body: bytes, sender: IPAddress) -> tuple[int, bytes]:
        return (503, b"") if self.silent else super().answer_http(method, path, body, sender)


class Readdressed(SimulatedGateway):
    """Has another external address when told to."""

    moved = False

    def answer_datagram(self, data: bytes, sender: IPAddress) -> list[bytes]:
        return [self._with_address(reply) for reply in super().answer_datagram(data, sender)]

    def answer_http(self, method: str, path: str, body: bytes, sender: IPAddress) -> tuple[int, bytes]:
        status, answer = super().answer_http(method, path, body, sender)
        told, new = (f"<NewExternalIPAddress>{one}<".encode() for one in ("127.0.0.1", ELSEWHERE))
        return status, answer.replace(told, new) if self.moved else answer

    def _with_address(self, reply: bytes) -> bytes:
        at = {12: 8, 60: 56}.get(len(reply), len(reply))  # NAT-PMP's answer to an address request, PCP's to a MAP
        return reply[:at] + ELSEWHERE.packed + reply[at + 4 :] if self.moved and at < len(reply) else reply


class Choosy(SimulatedGateway):
    """Refuses what is asked for the internal port 4001 when told to: as gone, or (PCP) for so many seconds."""

    refuses: int | None = None

    def answer_datagram(self, data: bytes, sender: IPAddress) -> list[bytes]:
        replies = super().answer_datagram(data, sender)
        at = 40 if data[0] else 4  # a MAP of PCP, a mapping request of NAT-PMP
        if self.refuses is None or not data[1] or data[at : at + 2] != (4001).to_bytes(2, "big"):
            return replies
        left = [entry for entry in self.table if entry.internal.port == 4001]
        for entry in left if self.refuses == 0 else []:
            self.table.remove(entry)
        return [reply[:3] + b"\x02" + self.refuses.to_bytes(4, "big") + reply[8:] for reply in replies]


def open_mapper(simulated: SimulatedGateway, backend: str, check: float | None = MINUTE) -> PortMapper:
    return PortMapper(gateway=simulated.gateway, backends=[backend], check=check)


def requests(simulated: SimulatedGateway) -> int:
    return len(simulated.datagrams) + len(simulated.calls)


async def test_every_minute_is_the_default() -> None:
    """The fixture of these tests switches it off, so that the signature in the source is what tells."""
    assert "check: float | None = limits.CHECK" in inspect.getsource(PortMapper.__init__)
    assert limits.CHECK == MINUTE


@pytest.mark.parametrize("check", [0, 4.9, -1, float("nan")])
async def test_an_interval_that_would_be_a_flood_is_refused(check: float) -> None:
    with pytest.raises(InvalidRequest, match="check must be at least 5 seconds"):
        PortMapper(check=check)


@pytest.mark.conforms("F3")
@every_protocol
@pytest.mark.parametrize("lost", [0, 1, 2])
async def test_a_mapping_that_vanished_without_a_word_is_back_within_a_minute_for_each_held(
    backend: str, lost: int
) -> None:
    """The gateway's epoch and its other mappings stay as they are."""
    async with SimulatedGateway() as simulated, open_mapper(simulated, backend) as mapper:
        for port in (4001, 4002, 4003):
            await mapper.map(port, external_port=port + 17000)
        await anyio.sleep(30)
        simulated.table.remove(list(simulated.table)[lost])
        await anyio.sleep(3 * MINUTE)
        assert sorted(entry.external_port for entry in simulated.table) == [21001, 21002, 21003]


@pytest.mark.conforms("F3")
@pytest.mark.parametrize("backend", ["pcp", "natpmp"])
async def test_one_that_is_lost_and_refused_keeps_no_other_from_being_looked_at(backend: str) -> None:
    """It was the one asked for longest ago, at each look, until it was granted: no other had its turn."""
    async with Choosy() as simulated, open_mapper(simulated, backend) as mapper:
        refused = await mapper.map(4001, lifetime=120)
        await mapper.map(4002, external_port=21002)
        simulated.refuses = 0
        await anyio.sleep(4 * MINUTE)
        assert refused.state is MappingState.LOST
        simulated.table.clear()
        await anyio.sleep(MINUTE + 5)
        assert [entry.external_port for entry in simulated.table] == [21002]


@pytest.mark.conforms("F3")
async def test_one_whose_renewal_is_refused_keeps_no_other_from_being_looked_at() -> None:
    """Until the refusal lapses, what it is told at each look comes from memory."""
    async with Choosy() as simulated, open_mapper(simulated, "pcp") as mapper:
        refused, _ = await mapper.map(4001, external_port=21001), await mapper.map(4002, external_port=21002)
        simulated.refuses = HOUR
        await anyio.sleep(10 * MINUTE)
        assert refused.state is MappingState.MAPPED
        simulated.table.clear()
        await anyio.sleep(2 * MINUTE + 5)
        assert [entry.external_port for entry in simulated.table] == [21002]


@pytest.mark.conforms("F3")
async def test_upnp_shows_what_was_lost_so_that_it_is_said_once() -> None:
    async with SimulatedGateway() as simulated, open_mapper(simulated, "upnp") as mapper:
        mapping = await mapper.map(4001, external_port=21001)
        events = mapping.events()
        await anyio.sleep(MINUTE + 1)  # it is seen once, so that it is known to show
        simulated.table.clear()
        await anyio.sleep(10 * MINUTE)
        assert [type(await anext(events)) for _ in range(2)] == [Mapped, Restored]
        with anyio.move_on_after(1) as waiting:
            await anext(events)
        assert waiting.cancelled_caught


@pytest.mark.conforms("F1")
@every_protocol
@pytest.mark.parametrize("check", [5, 30])
async def test_a_restart_that_nobody_announces_is_found_within_the_interval_and_5_s(backend: str, check: int) -> None:
    async with SimulatedGateway() as simulated, open_mapper(simulated, backend, check) as mapper:
        mappings = [await mapper.map(port, external_port=port + 17000) for port in (4001, 4002, 4003)]
        await anyio.sleep(check + 1)
        simulated.reboot()
        await anyio.sleep(check + limits.RECOVERY_WAIT + 0.5)
        assert sorted(entry.external_port for entry in simulated.table) == [21001, 21002, 21003]
        assert {mapping.state for mapping in mappings} == {MappingState.MAPPED}


@every_protocol
async def test_it_costs_one_small_exchange_per_interval_however_many_mappings_there_are(backend: str) -> None:
    """B27. NAT-PMP asks for the mapping and the address; UPnP looks for the mapping and asks for the address."""
    async with SimulatedGateway() as simulated, open_mapper(simulated, backend) as mapper:
        for port in range(4001, 4011):
            await mapper.map(port)
        before = requests(simulated)
        await anyio.sleep(10 * MINUTE + 1)
        assert requests(simulated) - before == (10 if backend == "pcp" else 20)


@every_protocol
async def test_without_it_nothing_is_asked_between_renewals(backend: str) -> None:
    async with SimulatedGateway() as simulated, open_mapper(simulated, backend, None) as mapper:
        await mapper.map(4001)
        before = requests(simulated)
        await anyio.sleep(50 * MINUTE)
        assert requests(simulated) == before


@pytest.mark.conforms("F26")
@pytest.mark.parametrize("backend", ["pcp", "natpmp"])
async def test_a_gateway_that_is_silent_is_asked_every_5_s_and_found_when_it_is_back(backend: str) -> None:
    """It may have started in between. Meanwhile the lease is believed."""
    async with Quiet() as simulated, open_mapper(simulated, backend) as mapper:
        mapping = await mapper.map(4001, external_port=21001)
        simulated.silent = True
        await anyio.sleep(3 * MINUTE)
        assert mapping.state is MappingState.MAPPED
        assert isinstance(mapping.problem, GatewayTimeout)
        before = len(simulated.datagrams)
        await anyio.sleep(5 * MINUTE)
        a_minute = (len(simulated.datagrams) - before) / 5
        assert 10 <= a_minute <= 60  # NAT-PMP repeats each question, a renewal by PCP is one datagram
        simulated.reboot()
        simulated.silent = False
        await anyio.sleep(10 + limits.RECOVERY_WAIT)
        assert [entry.external_port for entry in simulated.table] == [21001]
        assert mapping.problem is None


@pytest.mark.conforms("F26")
@every_protocol
async def test_what_was_lost_to_a_long_silence_is_back_a_minute_after_it(backend: str) -> None:
    """Nothing announces the end of it, and the searches have become rare."""
    async with Quiet() as simulated, open_mapper(simulated, backend) as mapper:
        mapping = await mapper.map(4001, external_port=21001, lifetime=120)
        simulated.silent = True
        await anyio.sleep(3 * HOUR)
        assert mapping.external is None
        simulated.silent = False
        await anyio.sleep(1.5 * MINUTE)
        assert mapping.state is MappingState.MAPPED
        assert [entry.external_port for entry in simulated.table] == [21001]


@pytest.mark.parametrize("backend", ["pcp", "natpmp"])
async def test_what_was_refused_is_not_asked_for_more_often_for_that(backend: str) -> None:
    async with Quiet() as simulated, open_mapper(simulated, backend) as mapper:
        mapping = await mapper.map(4001, lifetime=120)
        simulated.refuses = True
        await anyio.sleep(2 * HOUR)
        assert mapping.state is MappingState.LOST
        before = simulated.refused
        await anyio.sleep(3 * HOUR)
        assert simulated.refused - before < 3 * HOUR / limits.RETRY_LAST * (1 + limits.RETRY_JITTER) * 2


@pytest.mark.conforms("F5")
@every_protocol
async def test_another_external_address_is_told_once_within_a_minute(backend: str) -> None:
    async with Readdressed() as simulated, open_mapper(simulated, backend) as mapper:
        mapping = await mapper.map(4001)
        events = mapping.events()
        assert isinstance(await anext(events), Mapped)
        simulated.moved = True
        with anyio.fail_after(MINUTE + 6):
            changed = await anext(events)
        assert isinstance(changed, Changed)
        assert changed.lease.external.address == ELSEWHERE
        assert changed.old.external.port == changed.lease.external.port
        with anyio.move_on_after(10 * MINUTE):
            async for event in events:
                assert isinstance(event, Renewed)


@every_protocol
async def test_a_mapping_is_renewed_in_its_time_all_the_same(backend: str) -> None:
    """A look by UPnP extends nothing."""
    async with SimulatedGateway() as simulated, open_mapper(simulated, backend, 7) as mapper:
        mapping = await mapper.map(4001, lifetime=20)
        for _ in range(100):
            await anyio.sleep(3)
            assert len(list(simulated.table)) == 1
        assert mapping.state is MappingState.MAPPED
