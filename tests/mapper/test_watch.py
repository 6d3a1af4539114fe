"""What a mapper does when the network changes under it, or the machine was asleep."""

import time
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import anyio
import pytest

from portmapper import Lost, Mapped, PortMapper, limits
from portmapper.engine.events import TakenBack
from portmapper.model import IPAddress, MappingState
from portmapper.net import clock
from portmapper.testing import SimulatedGateway
from tests.announcing import ANNOUNCEMENTS, announce
from tests.moving import Network

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("virtual_time")]


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Network:
    return Network(monkeypatch)


@pytest.mark.conforms("F6")
async def test_a_mapping_moves_to_the_new_gateway_and_the_old_one_hears_nothing(network: Network) -> None:
    async with SimulatedGateway() as old, SimulatedGateway() as new:
        network.gateway = old.gateway
        async with PortMapper() as mapper:
            mapping = await mapper.map(4001, external_port=4101)
            events = mapping.events()
            await anyio.sleep(1)
            old.datagrams.clear()
            (entry,) = old.table
            old.table.remove(entry)  # its port is needed here
            network.become(new.gateway)
            assert isinstance(await anext(events), Mapped)
            begin = anyio.current_time()
            lost, mapped = await anext(events), await anext(events)
            assert isinstance(lost, Lost)
            assert "the network changed: " in str(lost.reason)
            assert isinstance(mapped, Mapped)
            assert anyio.current_time() - begin < 2
            assert mapping.gateway == new.gateway == mapper.gateway
            assert mapping.external_port == 4101
        assert old.datagrams == []
        assert list(new.table) == []


@pytest.mark.conforms("F6")
async def test_all_mappings_follow_also_when_a_search_for_a_lost_one_notices_first(network: Network) -> None:
    """No bell rings here."""
    async with SimulatedGateway() as old, SimulatedGateway() as new:
        network.gateway = old.gateway
        async with PortMapper() as mapper:
            held, lost = await mapper.map(4001), await mapper.map(4002)
            mapper._keeper._renewer._tell(TakenBack(lost._holding, 20))
            await anyio.sleep(5)
            network.gateway = new.gateway
            await anyio.sleep(30)
            assert held.gateway == lost.gateway == new.gateway
            assert {held.state, lost.state} == {MappingState.MAPPED}


async def test_announcements_of_the_new_gateway_are_heard_and_those_of_the_old_one_not(network: Network) -> None:
    async with SimulatedGateway() as old, SimulatedGateway() as new:
        network.gateway = old.gateway
        async with PortMapper() as mapper:
            await mapper.map(4001)
            network.become(new.gateway)
            await anyio.sleep(3)
            for simulated, heard in ((old, False), (new, True)):
                simulated.datagrams.clear()
                announce(simulated, ANNOUNCEMENTS["pcp"])
                await anyio.sleep(2)
                assert bool(simulated.datagrams) is heard


@pytest.mark.conforms("F6")
@pytest.mark.parametrize("backend", list(ANNOUNCEMENTS))
async def test_a_new_gateway_that_was_silent_is_asked_when_it_announces_itself_and_the_old_one_is_not(
    network: Network, backend: str
) -> None:
    """As after a move to a router that is starting. The old one answers here, but would tell nothing of the new one."""

    class Starting(SimulatedGateway):
        ready = False

        def answer_datagram(self, data: bytes, sender: IPAddress) -> list[bytes]:
            return super().answer_datagram(data, sender) if self.ready else []

    async with SimulatedGateway() as old, Starting(upnp=False) as new:
        network.gateway = old.gateway
        async with PortMapper(backends=[backend]) as mapper:
            mapping = await mapper.map(4001, external_port=4101)
            await anyio.sleep(1)
            old.datagrams.clear()
            old.table.remove(next(iter(old.table)))  # its port is needed here
            network.become(new.gateway)
            await anyio.sleep(3600)
            assert mapping.state is MappingState.LOST
            new.ready = True
            announce(new, ANNOUNCEMENTS[backend])
            await anyio.sleep(2)
            assert mapping.external_port == 4101
        assert old.datagrams == []


@pytest.mark.conforms("F6")
@pytest.mark.parametrize("backend", ["pcp", "natpmp"])
async def test_a_grant_that_comes_after_the_move_is_not_asked_for_again_there(network: Network, backend: str) -> None:
    """It was trusted for ten minutes, and asked again at once, without a pause, for it was not of the new gateway."""

    class Slow(SimulatedGateway):
        asked = 0

        def answer_datagram(self, data: bytes, sender: IPAddress) -> list[bytes]:
            if data[1] == 0:
                return super().answer_datagram(data, sender)
            self.asked += 1
            if self.asked == 1:
                network.become(new.gateway)
            return super().answer_datagram(data, sender) if self.asked == 2 else []

    async with Slow() as old, SimulatedGateway() as new:
        network.gateway = old.gateway
        async with PortMapper(backends=[backend]) as mapper:
            mapping = await mapper.map(4001)
            assert mapping.gateway == new.gateway
            assert old.asked == 2
            assert len(list(new.table)) == 1


async def test_a_change_that_changes_nothing_asks_nothing(network: Network) -> None:
    async with SimulatedGateway() as simulated:
        network.gateway = simulated.gateway
        async with PortMapper() as mapper:
            await mapper.map(4001)
            simulated.datagrams.clear()
            for _ in range(20):
                network.bell.ring()
                await anyio.sleep(0.5)
            assert simulated.datagrams == []


async def test_another_route_beside_the_same_gateway_moves_nothing(network: Network) -> None:
    async with SimulatedGateway() as simulated:
        network.gateway = simulated.gateway
        async with PortMapper() as mapper:
            mapping = await mapper.map(4001)
            simulated.datagrams.clear()
            network.become(replace(simulated.gateway, network=IPv4Network("127.0.0.0/28"), interface="other"))
            await anyio.sleep(5)
            assert simulated.datagrams == []
            assert mapping.state is MappingState.MAPPED


@pytest.mark.conforms("F8")
async def test_a_gateway_that_is_back_is_asked_whether_it_has_restarted(network: Network) -> None:
    async with SimulatedGateway() as simulated:
        network.gateway = simulated.gateway
        async with PortMapper() as mapper:
            mapping = await mapper.map(4001, external_port=4101)
            network.become(None)
            await anyio.sleep(10)
            assert mapping.state is MappingState.MAPPED
            simulated.datagrams.clear()
            simulated.reboot()
            network.become(simulated.gateway)
            await anyio.sleep(limits.RECOVERY_WAIT + 1)
            assert [entry.external_port for entry in simulated.table] == [4101]


@pytest.mark.conforms("F36")
@pytest.mark.parametrize("check", [None, limits.CHECK])
async def test_nothing_is_sent_for_what_is_lost_while_there_is_no_gateway(
    network: Network, check: float | None
) -> None:
    class Gone(SimulatedGateway):
        gone = False

        def answer_datagram(self, data: bytes, sender: IPAddress) -> list[bytes]:
            return [] if self.gone else super().answer_datagram(data, sender)

    async with Gone(max_lifetime=60, upnp=False) as simulated:
        network.gateway = simulated.gateway
        async with PortMapper(check=check) as mapper:
            mapping = await mapper.map(4001, external_port=4101)
            network.become(None)
            simulated.gone = True
            await anyio.sleep(100)
            assert mapping.state is MappingState.LOST
            simulated.datagrams.clear()
            await anyio.sleep(1000)
            assert simulated.datagrams == []
            simulated.gone = False
            network.become(simulated.gateway)
            await anyio.sleep(2)
            assert mapping.external_port == 4101


@pytest.mark.conforms("F8")
async def test_a_link_that_is_back_goes_once_more_and_is_back_for_good(network: Network) -> None:
    """What is lost is searched for seldom by then; the first return had it searched for, but in vain."""

    class Flapping(SimulatedGateway):
        answers = 1000

        def answer_datagram(self, data: bytes, sender: IPAddress) -> list[bytes]:
            self.answers -= 1
            if self.answers == 0:
                network.become(None)
            return super().answer_datagram(data, sender) if self.answers >= 0 else []

    async with Flapping(max_lifetime=60, upnp=False) as simulated:
        network.gateway = simulated.gateway
        async with PortMapper() as mapper:
            mapping = await mapper.map(4001, external_port=4101)
            network.become(None)
            simulated.answers = 0
            await anyio.sleep(3 * 3600)
            simulated.answers = 1
            network.become(simulated.gateway)
            await anyio.sleep(3)
            assert mapping.state is MappingState.LOST
            simulated.answers = 1000
            network.become(simulated.gateway)
            await anyio.sleep(limits.RECOVERY_GAP)
            assert mapping.external_port == 4101


@pytest.mark.conforms("F6")
@pytest.mark.parametrize("near", [{"tunnel": True}, {"network": IPv4Network("127.0.0.0/8")}], ids=["tunnel", "link"])
async def test_a_gateway_behind_another_is_not_the_one_that_was_near(network: Network, near: dict[str, Any]) -> None:
    """A VPN goes down: what is meant for its gateway must not leave by the router of the LAN."""
    async with SimulatedGateway() as simulated:
        network.gateway = replace(simulated.gateway, **near)
        async with PortMapper() as mapper:
            mapping = await mapper.map(4001, lifetime=60)
            simulated.datagrams.clear()
            far = replace(simulated.gateway, source=IPv4Address("127.0.0.9"), network=None, tunnel=False)
            network.become(far)
            await anyio.sleep(100)
            assert {mapping.state} == {MappingState.LOST}
            assert mapper.gateway != far
            network.become(replace(simulated.gateway, **near))
            await anyio.sleep(2)
            assert mapping.state is MappingState.MAPPED


@pytest.mark.conforms("F36")
async def test_announcements_are_asked_about_once_the_gateway_is_back(network: Network) -> None:
    """Without a default route there is no gateway, but that it was is still heard on the link."""
    async with SimulatedGateway() as simulated:
        network.gateway = simulated.gateway
        async with PortMapper() as mapper:
            await mapper.map(4001)
            network.become(None)
            await anyio.sleep(2)
            simulated.datagrams.clear()
            announce(simulated, ANNOUNCEMENTS["pcp"])
            await anyio.sleep(5)
            assert simulated.datagrams == []
            network.become(simulated.gateway)
            await anyio.sleep(2)
            assert simulated.datagrams != []


@pytest.mark.conforms("F10")
async def test_two_hours_of_suspend_lead_to_one_renewal_of_each_within_2_seconds(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with SimulatedGateway(natpmp=False, upnp=False) as simulated:
        network.gateway = simulated.gateway
        async with PortMapper() as mapper:
            for port in (4001, 4002, 4003):
                await mapper.map(port, lifetime=86400)
            await anyio.sleep(5)
            simulated.datagrams.clear()
            real = clock.now
            monkeypatch.setattr(clock, "now", lambda: real() + 7200)
            await anyio.sleep(2)
            assert [data[1] for data in simulated.datagrams] == [1, 1, 1]
            await anyio.sleep(600)
            assert len(simulated.datagrams) == 3


@pytest.mark.conforms("F10")
async def test_a_lease_that_ended_in_a_suspend_is_lost_and_made_anew(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with SimulatedGateway(natpmp=False, upnp=False) as simulated:
        network.gateway = simulated.gateway
        async with PortMapper() as mapper:
            mapping = await mapper.map(4001, external_port=4101, lifetime=600)
            events = mapping.events()
            real = clock.now
            monkeypatch.setattr(clock, "now", lambda: real() + 7200)
            await anyio.sleep(2)
            assert [type(await anext(events)) for _ in range(3)] == [Mapped, Lost, Mapped]
            assert mapping.external_port == 4101


@pytest.mark.conforms("F12")
@pytest.mark.parametrize("jump", [3600.0, -86400.0, 1e9])
async def test_jumps_of_the_wall_clock_lead_to_nothing(
    network: Network, monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    async with SimulatedGateway() as simulated:
        network.gateway = simulated.gateway
        async with PortMapper() as mapper:
            await mapper.map(4001)
            simulated.datagrams.clear()
            real = time.time
            monkeypatch.setattr(time, "time", lambda: real() + jump)
            await anyio.sleep(60)
            assert simulated.datagrams == []
