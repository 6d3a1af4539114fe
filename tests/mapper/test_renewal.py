"""Keeping a mapping: renewals, changes, loss and return."""

import random
import socket

import anyio
import pytest

from portmapper import (
    Changed,
    Event,
    GatewayTimeout,
    Lost,
    Mapped,
    Mapping,
    MappingState,
    PortMapper,
    PortUnavailable,
    Renewed,
    limits,
)
from portmapper.model import IPAddress
from portmapper.testing import PcpSwitches, SimulatedGateway

pytestmark = pytest.mark.anyio
virtual = pytest.mark.usefixtures("virtual_time")

HOUR = 3600


class Fickle(SimulatedGateway):
    """Says nothing, or answers PCP with an error, when told to."""

    silent = False
    result = 0

    def answer_datagram(self, data: bytes, sender: IPAddress) -> list[bytes]:
        replies = [] if self.silent else super().answer_datagram(data, sender)
        return [self._with_result(reply) for reply in replies]

    def _with_result(self, reply: bytes) -> bytes:
        return reply[:3] + bytes([self.result]) + (30).to_bytes(4, "big") + reply[8:] if self.result else reply


async def next_of(mapping: Mapping, kind: type[Event], within: float) -> Event:
    """Wait for an event of a kind."""
    with anyio.fail_after(within):
        async for event in mapping.events():
            if isinstance(event, kind):
                return event
    raise AssertionError("the mapping ended")


async def test_a_lease_is_renewed_on_the_real_clocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Real time, for here the loop and the library have a clock each."""
    monkeypatch.setattr(limits, "MIN_RENEWAL_GAP", 0.1)  # else the shortest lease that is renewed takes 4 s
    async with SimulatedGateway() as simulated, PortMapper(gateway=simulated.gateway, backends=["pcp"]) as mapper:
        mapping = await mapper.map(4001, lifetime=1)
        begin = anyio.current_time()
        await next_of(mapping, Renewed, within=10)
        assert anyio.current_time() - begin > 0.45
        assert mapping.state is MappingState.MAPPED


@virtual
@pytest.mark.conforms("F14", "NP-35", "NP-36", "PC-85", "PC-87")
@pytest.mark.parametrize("backend", ["pcp", "natpmp", "upnp"])
async def test_a_lease_is_renewed_between_a_half_and_five_eighths_of_what_was_granted(backend: str) -> None:
    """UPnP does not tell what it granted: an hour is asked for there."""
    async with (
        SimulatedGateway(max_lifetime=HOUR) as simulated,
        PortMapper(gateway=simulated.gateway, backends=[backend]) as mapper,
    ):
        mapping = await mapper.map(4001, lifetime=HOUR if backend == "upnp" else 2 * HOUR)
        for _ in range(3):
            begin = anyio.current_time()
            await next_of(mapping, Renewed, within=HOUR)
            assert HOUR / 2 <= anyio.current_time() - begin <= HOUR * 5 / 8


@virtual
@pytest.mark.parametrize("backend", ["pcp", "natpmp", "upnp"])
async def test_a_short_lease_is_renewed_before_it_ends(backend: str) -> None:
    async with SimulatedGateway() as simulated, PortMapper(gateway=simulated.gateway, backends=[backend]) as mapper:
        mapping = await mapper.map(4001, lifetime=20)
        (entry,) = simulated.table
        await anyio.sleep(50)
        assert list(simulated.table) == [entry]
        assert mapping.state is MappingState.MAPPED


@virtual
@pytest.mark.conforms("NP-82", "PC-161")
@pytest.mark.parametrize(("silent", "result"), [(True, 0), (False, 8)], ids=["silence", "refusal"])
async def test_one_failed_renewal_loses_nothing(silent: bool, result: int) -> None:
    """F26: the first attempt comes to nothing; the next, at 3/4 of the lifetime at the latest, is through."""
    async with Fickle() as simulated, PortMapper(gateway=simulated.gateway, backends=["pcp"]) as mapper:
        begin = anyio.current_time()
        mapping = await mapper.map(4001, lifetime=HOUR)
        simulated.datagrams.clear()
        simulated.silent, simulated.result = silent, result
        await anyio.sleep(HOUR * 0.7)
        assert simulated.datagrams
        assert mapping.state is MappingState.MAPPED
        simulated.silent, simulated.result = False, 0
        await next_of(mapping, Renewed, within=HOUR)
        assert anyio.current_time() - begin <= HOUR * 13 / 16
        assert len(list(simulated.table)) == 1


@virtual
@pytest.mark.conforms("F26", "NP-82", "PC-161")
@pytest.mark.parametrize("backend", ["pcp", "natpmp"])
async def test_a_lease_is_lost_when_it_ends_and_made_again_when_the_gateway_is_back(backend: str) -> None:
    """At its end, not before; then it is tried for as long as it is wanted."""
    async with Fickle() as simulated, PortMapper(gateway=simulated.gateway, backends=[backend]) as mapper:
        begin = anyio.current_time()
        mapping = await mapper.map(4001, external_port=21236, lifetime=HOUR)
        simulated.silent = True
        lost = await next_of(mapping, Lost, within=2 * HOUR)
        assert anyio.current_time() - begin == pytest.approx(HOUR, abs=0.1)
        assert isinstance(lost, Lost)
        assert isinstance(lost.reason, GatewayTimeout)
        assert mapping.external is None
        await anyio.sleep(3 * HOUR)
        simulated.silent = False
        again = await next_of(mapping, Mapped, within=2 * limits.RETRY_LAST)
        assert isinstance(again, Mapped)
        assert again.lease.external.port == 21236


@virtual
@pytest.mark.conforms("PC-161")
async def test_a_lease_that_is_refused_is_lost_when_it_ends() -> None:
    async with Fickle() as simulated, PortMapper(gateway=simulated.gateway, backends=["pcp"]) as mapper:
        begin = anyio.current_time()
        mapping = await mapper.map(4001, lifetime=HOUR)
        simulated.result = 8
        lost = await next_of(mapping, Lost, within=2 * HOUR)
        assert anyio.current_time() - begin == pytest.approx(HOUR, abs=0.1)
        assert isinstance(lost, Lost)
        assert "NO_RESOURCES" in str(lost.reason)


@virtual
async def test_a_lost_mapping_returns_by_another_backend() -> None:
    async with Fickle() as simulated, PortMapper(gateway=simulated.gateway) as mapper:
        mapping = await mapper.map(4001, lifetime=HOUR)
        assert mapping.backend.name == "pcp"
        simulated.silent = True
        await next_of(mapping, Lost, within=2 * HOUR)
        await next_of(mapping, Mapped, within=limits.RETRY_LAST)
        assert mapping.backend.name == "upnp"


@virtual
@pytest.mark.conforms("F18", "NP-38", "PC-93")
async def test_a_renewal_that_gives_another_port_is_told() -> None:
    """The gateway has rebooted and the port was taken meanwhile."""
    async with SimulatedGateway() as simulated, PortMapper(gateway=simulated.gateway, backends=["natpmp"]) as mapper:
        mapping = await mapper.map(4001, external_port=21237)
        stream = mapping.events()
        simulated.reboot()
        await anyio.sleep(0.05)
        other = await mapper.map(4002, external_port=21237)
        assert other.external_port == 21237
        await mapping.refresh()
        events = [await anext(stream), await anext(stream)]
        assert isinstance(events[1], Changed)
        assert events[1].old.external.port == 21237
        assert events[1].lease.external.port == mapping.external_port != 21237


@pytest.mark.conforms("F39")
@virtual
async def test_a_slow_renewal_delays_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """All three are due at once; one silent mapping must not let the leases of the others run out."""

    class DeafToOne(SimulatedGateway):
        deaf_to: bytes | None = None

        def answer_datagram(self, data: bytes, sender: IPAddress) -> list[bytes]:
            return [] if self.deaf_to and self.deaf_to in data else super().answer_datagram(data, sender)

    monkeypatch.setattr(random, "random", lambda: 0.5)
    async with DeafToOne() as simulated, PortMapper(gateway=simulated.gateway, backends=["pcp"]) as mapper:
        begin = anyio.current_time()
        slow, *others = [await mapper.map(port, lifetime=HOUR) for port in (4001, 4002, 4003)]
        simulated.deaf_to = (4001).to_bytes(2, "big")
        await anyio.sleep(HOUR * 0.6)
        ends = {entry.internal.port: entry.ends - begin for entry in simulated.table}
        assert ends == pytest.approx(
            {4001: HOUR, 4002: HOUR * 25 / 16, 4003: HOUR * 25 / 16}, abs=0.1
        )  # renewed at 9/16
        await next_of(slow, Lost, within=HOUR)
        assert all(other.state is MappingState.MAPPED for other in others)
        await anyio.sleep(2)
        assert sorted(entry.internal.port for entry in simulated.table) == [4002, 4003]


@virtual
@pytest.mark.conforms("NP-45")
async def test_tcp_and_udp_of_one_port_are_renewed_together_in_the_order_they_were_made() -> None:
    """miniupnpd 2.3.1 takes the newest filter rule of the port for the one that is renewed."""
    async with SimulatedGateway() as simulated, PortMapper(gateway=simulated.gateway, backends=["natpmp"]) as mapper:
        await mapper.map(4001, "udp", external_port=21238)
        tcp = await mapper.map(4001, "tcp", external_port=21238)
        await mapper.map(4002, "udp", external_port=21239)
        simulated.datagrams.clear()
        await tcp.refresh()
        renewed = [data[1] for data in simulated.datagrams if len(data) == 12]
        assert renewed == [1, 2]  # UDP was made first; port 4002 is left alone


@virtual
async def test_twins_that_are_due_at_once_are_renewed_in_one_go() -> None:
    """Two attempts side by side could end with the wrong one last."""
    async with SimulatedGateway() as simulated, PortMapper(gateway=simulated.gateway, backends=["natpmp"]) as mapper:
        for protocol in ("udp", "tcp"):
            await mapper.map(4001, protocol, external_port=21238)
        simulated.datagrams.clear()
        mapper._keeper.recover()
        await anyio.sleep(limits.RECOVERY_WAIT + 1)
        renewed = [data[1] for data in simulated.datagrams if len(data) == 12]
        assert renewed in ([1, 2], [1, 2, 1, 2])


@virtual
@pytest.mark.conforms("F18", "PC-124")
@pytest.mark.parametrize("backend", ["pcp", "natpmp"])
async def test_an_exact_mapping_that_is_renewed_to_another_port_is_lost_and_not_kept_there(backend: str) -> None:
    """The gateway has restarted, and somebody else has the port; it comes back when that is free again."""
    switches = PcpSwitches(honours_prefer_failure=False)
    async with SimulatedGateway(pcp_switches=switches) as simulated:
        async with PortMapper(gateway=simulated.gateway, backends=[backend]) as mapper:
            mapping = await mapper.map(4001, external_port=21260, exact=True)
            stream = mapping.events()
            simulated.reboot()
            await anyio.sleep(0.05)
            with socket.socket() as somebody:
                somebody.bind(("127.0.0.1", 21260))
                with pytest.raises(PortUnavailable):
                    await mapping.refresh()
                events = [await anext(stream), await anext(stream)]
                assert isinstance(events[1], Lost)
                assert mapping.external is None
                assert list(simulated.table) == []
            assert isinstance(await anext(stream), Mapped)
            assert mapping.external_port == 21260


@virtual
@pytest.mark.conforms("F37")
@pytest.mark.parametrize(
    ("backend", "lifetime", "begin"), [("upnp", 120, 45), ("upnp", 121, 60.5), ("natpmp", 120, 60)]
)
async def test_a_short_lease_by_upnp_is_renewed_sooner(backend: str, lifetime: int, begin: float) -> None:
    """Several questions by TCP take seconds where packets are lost."""
    async with SimulatedGateway() as simulated:
        async with PortMapper(gateway=simulated.gateway, backends=[backend]) as mapper:
            mapping = await mapper.map(4001, lifetime=lifetime)
            assert begin - 1 <= mapping.next_attempt <= begin * 1.25
