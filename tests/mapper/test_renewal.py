"""Keeping a mapping: renewals, changes, loss and return. Real time, short leases."""

import anyio
import pytest

from portmapper import Changed, Event, Lost, Mapped, Mapping, MappingState, PortMapper, Renewed, limits
from portmapper.model import IPAddress
from portmapper.testing import SimulatedGateway

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases of one second are renewed at 0.5 s and 0.75 s; a lost mapping is tried again soon."""
    monkeypatch.setattr(limits, "MIN_RENEWAL_GAP", 0.1)
    monkeypatch.setattr(limits, "RETRY_FIRST", 0.2)
    monkeypatch.setattr(limits, "DISCOVERY", 0.5)
    monkeypatch.setattr(limits, "RECOVERY_WAIT", 0.1)
    monkeypatch.setattr(limits, "RECOVERY_PACE", 0.0)
    monkeypatch.setattr(limits, "FAST_WAITS", (0.05, 0.05, 0.1))


class Mute(SimulatedGateway):
    """Stops answering when told to."""

    silent = False

    def answer_datagram(self, data: bytes, sender: IPAddress) -> list[bytes]:
        return [] if self.silent else super().answer_datagram(data, sender)


async def next_of(mapping: Mapping, kind: type[Event], within: float = 3) -> Event:
    """Wait for an event of a kind."""
    with anyio.fail_after(within):
        async for event in mapping.events():
            if isinstance(event, kind):
                return event
    raise AssertionError("the mapping ended")


@pytest.mark.parametrize("backend", ["pcp", "natpmp", "upnp"])
async def test_a_short_lease_is_renewed_before_it_ends(backend: str) -> None:
    async with SimulatedGateway() as simulated, PortMapper(gateway=simulated.gateway, backends=[backend]) as mapper:
        mapping = await mapper.map(4001, lifetime=1)
        (entry,) = simulated.table
        await anyio.sleep(2.5)
        assert list(simulated.table) == [entry]
        assert mapping.state is MappingState.MAPPED


async def test_one_failed_renewal_loses_nothing() -> None:
    """F26, PC-161: silent for the first attempt, back for the second."""
    async with Mute() as simulated, PortMapper(gateway=simulated.gateway, backends=["pcp"]) as mapper:
        mapping = await mapper.map(4001, lifetime=2)
        simulated.silent = True
        await anyio.sleep(1.4)
        assert mapping.state is MappingState.MAPPED
        simulated.silent = False
        assert isinstance(await next_of(mapping, Renewed), Renewed)
        assert len(list(simulated.table)) == 1


async def test_a_lease_that_ends_is_lost_and_made_again_when_the_gateway_is_back() -> None:
    """NP-82: lost at its end, not before; then it is tried again for as long as it is wanted."""
    async with Mute() as simulated, PortMapper(gateway=simulated.gateway, backends=["pcp"]) as mapper:
        mapping = await mapper.map(4001, external_port=41236, lifetime=1)
        begin = anyio.current_time()
        simulated.silent = True
        lost = await next_of(mapping, Lost)
        assert 0.95 < anyio.current_time() - begin < 1.5
        assert isinstance(lost, Lost)
        assert "no answer" in str(lost.reason)
        assert mapping.external is None
        simulated.silent = False
        again = await next_of(mapping, Mapped)
        assert isinstance(again, Mapped)
        assert again.lease.external.port == 41236


async def test_a_lost_mapping_returns_by_another_backend() -> None:
    class NoPcpLater(SimulatedGateway):
        refuses = False

        def answer_datagram(self, data: bytes, sender: IPAddress) -> list[bytes]:
            return [] if self.refuses else super().answer_datagram(data, sender)

    async with NoPcpLater() as simulated, PortMapper(gateway=simulated.gateway) as mapper:
        mapping = await mapper.map(4001, lifetime=1)
        assert mapping.backend.name == "pcp"
        simulated.refuses = True
        await next_of(mapping, Lost)
        await next_of(mapping, Mapped, within=5)
        assert mapping.backend.name == "upnp"


async def test_a_renewal_that_gives_another_port_is_told() -> None:
    """PC-93: the gateway has rebooted and the port was taken meanwhile."""
    async with SimulatedGateway() as simulated, PortMapper(gateway=simulated.gateway, backends=["natpmp"]) as mapper:
        mapping = await mapper.map(4001, external_port=41237)
        stream = mapping.events()
        simulated.reboot()
        await anyio.sleep(0.05)
        other = await mapper.map(4002, external_port=41237)
        assert other.external_port == 41237
        await mapping.refresh()
        events = [await anext(stream), await anext(stream)]
        assert isinstance(events[1], Changed)
        assert events[1].old.external.port == 41237
        assert events[1].lease.external.port == mapping.external_port != 41237


async def test_a_slow_renewal_delays_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """One silent mapping must not let the leases of the others run out."""

    class DeafToOne(SimulatedGateway):
        deaf_to: bytes | None = None

        def answer_datagram(self, data: bytes, sender: IPAddress) -> list[bytes]:
            return [] if self.deaf_to and self.deaf_to in data else super().answer_datagram(data, sender)

    monkeypatch.setattr(limits, "FAST_WAITS", (0.25,) * 8)
    async with DeafToOne() as simulated, PortMapper(gateway=simulated.gateway, backends=["pcp"]) as mapper:
        slow = await mapper.map(4001, lifetime=1)
        others = [await mapper.map(port, lifetime=1) for port in (4002, 4003)]
        simulated.deaf_to = (4001).to_bytes(2, "big")
        await next_of(slow, Lost)
        await anyio.sleep(0.5)
        assert all(other.state is MappingState.MAPPED for other in others)
        assert sorted(entry.internal.port for entry in simulated.table) == [4002, 4003]


async def test_tcp_and_udp_of_one_port_are_renewed_together_in_the_order_they_were_made() -> None:
    """miniupnpd 2.3.1 takes the newest filter rule of the port for the one that is renewed."""
    async with SimulatedGateway() as simulated, PortMapper(gateway=simulated.gateway, backends=["natpmp"]) as mapper:
        await mapper.map(4001, "udp", external_port=41238)
        tcp = await mapper.map(4001, "tcp", external_port=41238)
        await mapper.map(4002, "udp", external_port=41239)
        simulated.datagrams.clear()
        await tcp.refresh()
        renewed = [data[1] for data in simulated.datagrams if len(data) == 12]
        assert renewed == [1, 2]  # UDP was made first; port 4002 is left alone


async def test_twins_that_are_due_at_once_are_renewed_in_one_go() -> None:
    """Two attempts side by side could end with the wrong one last."""
    async with SimulatedGateway() as simulated, PortMapper(gateway=simulated.gateway, backends=["natpmp"]) as mapper:
        for protocol in ("udp", "tcp"):
            await mapper.map(4001, protocol, external_port=41238)
        simulated.datagrams.clear()
        mapper._keeper._engine.recover()
        await anyio.sleep(limits.RECOVERY_PACE + 0.4)
        renewed = [data[1] for data in simulated.datagrams if len(data) == 12]
        assert renewed in ([1, 2], [1, 2, 1, 2])
