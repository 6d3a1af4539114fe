"""What a mapper does with what only UPnP has: lists, mappings without end, hard refreshes, restarts that are told."""

import math
from ipaddress import IPv4Address
from typing import Any

import anyio
import pytest

from portmapper import (
    Changed,
    Lost,
    Mapped,
    NoService,
    PortMapper,
    Protocol,
    RequestRefused,
    limits,
)
from portmapper.model import Endpoint, IPAddress, MappingState
from portmapper.testing import IgdSwitches, SimulatedGateway
from portmapper.upnp.soap import encode_fault
from portmapper.upnp.ssdp import Kind

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("virtual_time")]

IGD = "urn:schemas-upnp-org:device:InternetGatewayDevice:2"


def igd(**switches: Any) -> SimulatedGateway:
    return SimulatedGateway(pcp=False, natpmp=False, igd=IgdSwitches(**switches))


def names(simulated: SimulatedGateway) -> list[str]:
    return [call.name for call in simulated.calls]


async def test_a_gateway_lists_everybodys_mappings_and_marks_those_of_this_host() -> None:
    async with igd() as simulated, PortMapper(gateway=simulated.gateway) as mapper:
        await mapper.map(4001, external_port=4101)
        simulated.table.add(Protocol.UDP, Endpoint(None, 7), 4102, math.inf, description="not mine")
        listed = {one.external_port: one for one in await mapper.list_mappings()}
        assert {port: one.own for port, one in listed.items()} == {4101: True, 4102: False}
        assert (listed[4102].description, listed[4102].lifetime, listed[4102].protocol) == ("not mine", 0, "udp")


async def test_a_gateway_that_lists_nothing_says_which_protocols_could_not() -> None:
    async with SimulatedGateway(upnp=False) as simulated, PortMapper(gateway=simulated.gateway) as mapper:
        with pytest.raises(NoService) as caught:
            await mapper.list_mappings()
        assert str(caught.value.reasons["pcp"]) == "PCP cannot list mappings"


@pytest.mark.conforms("F17")
async def test_a_mapping_without_end_is_marked_and_made_again_as_often_as_any_other() -> None:
    """UP-96: a restart of the router removes those without end too."""
    async with igd(version=1, permanent_only=True) as simulated, PortMapper(gateway=simulated.gateway) as mapper:
        mapping = await mapper.map(4001, lifetime=600)
        assert mapping.lease.permanent
        simulated.calls.clear()
        await anyio.sleep(6000)
        assert 10 <= names(simulated).count("AddPortMapping") <= 20
        assert mapping.state is MappingState.MAPPED


async def test_a_mapping_without_end_is_not_made_if_that_is_not_allowed() -> None:
    async with igd(version=1, permanent_only=True) as simulated:
        async with PortMapper(gateway=simulated.gateway, allow_permanent=False) as mapper:
            with pytest.raises(NoService) as caught:
                await mapper.map(4001)
        reason = caught.value.reasons["upnp"]
        assert isinstance(reason, RequestRefused)
        assert reason.code == 725
        assert list(simulated.table) == []


async def test_a_device_that_makes_it_without_end_unasked_is_refused_too_if_that_is_not_allowed() -> None:
    """What it says after the mapping was made counts, and the mapping is taken back."""

    class Endless(SimulatedGateway):
        def answer_http(self, method: str, path: str, body: bytes, sender: IPAddress) -> tuple[int, bytes]:
            answer = super().answer_http(method, path, body, sender)
            for entry in self.table:
                entry.ends = math.inf
            return answer

    async with Endless(pcp=False, natpmp=False, igd=IgdSwitches(version=1)) as simulated:
        async with PortMapper(gateway=simulated.gateway, allow_permanent=False) as mapper:
            with pytest.raises(NoService):
                await mapper.map(4001)
        assert list(simulated.table) == []
        async with PortMapper(gateway=simulated.gateway) as mapper:
            assert (await mapper.map(4001)).lease.permanent


async def test_a_hard_refresh_takes_back_and_makes_anew() -> None:
    """Q-72a."""
    async with igd() as simulated, PortMapper(gateway=simulated.gateway) as mapper:
        mapping = await mapper.map(4001, external_port=4101)
        events = mapping.events()
        simulated.calls.clear()
        await mapping.refresh(hard=True)
        changes = [name for name in names(simulated) if not name.startswith("Get")]
        assert changes == ["DeletePortMapping", "AddPortMapping"]
        assert mapping.external_port == 4101
        assert [type(await anext(events)) for _ in range(3)] == [Mapped, Lost, Mapped]
        await anyio.sleep(60)
        assert names(simulated).count("AddPortMapping") == 1


@pytest.mark.parametrize("protocol", ["pcp", "natpmp"])
async def test_a_hard_refresh_is_for_every_protocol(protocol: str) -> None:
    async with SimulatedGateway(upnp=False) as simulated:
        async with PortMapper(gateway=simulated.gateway, backends=[protocol]) as mapper:
            mapping = await mapper.map(4001, external_port=4101)
            (before,) = simulated.table
            await mapping.refresh(hard=True)
            (after,) = simulated.table
            assert after is not before
            assert mapping.external_port == 4101


async def test_a_hard_refresh_that_is_refused_leaves_the_mapping_lost_and_wanted() -> None:
    class Full(SimulatedGateway):
        full = False

        def answer_http(self, method: str, path: str, body: bytes, sender: IPAddress) -> tuple[int, bytes]:
            if self.full and b"<u:Add" in body:
                return 500, encode_fault(728)
            return super().answer_http(method, path, body, sender)

    async with Full(pcp=False, natpmp=False) as simulated, PortMapper(gateway=simulated.gateway) as mapper:
        mapping = await mapper.map(4001, external_port=4101)
        simulated.full = True
        with pytest.raises(NoService):
            await mapping.refresh(hard=True)
        assert mapping.state is MappingState.LOST


async def test_instead_of_a_port_that_somebody_else_took_meanwhile_another_is_found() -> None:
    """B23: it is neither believed to be ours nor taken back from its new owner."""
    async with igd() as simulated, PortMapper(gateway=simulated.gateway) as mapper:
        mapping = await mapper.map(4001, external_port=4101, lifetime=600)
        steal(simulated)
        events = mapping.events()
        await anyio.sleep(400)
        assert isinstance(await anext(events), Mapped)
        changed = await anext(events)
        assert isinstance(changed, Changed)
        assert changed.old.external.port == 4101
        assert mapping.external_port not in {0, 4101}
        await mapping.close()
        assert [one.description for one in simulated.table] == ["a thief"]


async def test_a_mapping_that_has_to_be_at_a_port_that_somebody_else_took_is_lost_at_once() -> None:
    async with igd() as simulated, PortMapper(gateway=simulated.gateway) as mapper:
        mapping = await mapper.map(4001, external_port=4101, exact=True, lifetime=600)
        steal(simulated)
        events = mapping.events()
        await anyio.sleep(400)
        assert isinstance(await anext(events), Mapped)
        lost = await anext(events)
        assert isinstance(lost, Lost)
        assert "external port 4101/tcp leads to" in str(lost.reason)


def steal(simulated: SimulatedGateway) -> None:
    """Give the only port to a thief."""
    (entry,) = simulated.table
    entry.internal, entry.ends, entry.description = Endpoint(IPv4Address("127.0.0.9"), 7), math.inf, "a thief"


@pytest.mark.conforms("UP-25", "UP-29")
@pytest.mark.parametrize("boot_id", [None, 7])
async def test_a_restart_that_the_device_tells_brings_the_mappings_back(boot_id: int | None) -> None:
    async with igd(boot_id=boot_id) as simulated, PortMapper(gateway=simulated.gateway) as mapper:
        mapping = await mapper.map(4001, external_port=4101)
        await simulated_says(simulated, Kind.ALIVE, boot_id)
        simulated.calls.clear()
        simulated.reboot()
        await simulated_says(simulated, Kind.BYEBYE, boot_id)
        await simulated_says(simulated, Kind.ALIVE, None if boot_id is None else boot_id - 1)
        await anyio.sleep(limits.RECOVERY_WAIT + 1)
        assert [entry.external_port for entry in simulated.table] == [4101]
        assert mapping.state is MappingState.MAPPED


async def test_an_announcement_of_a_device_that_lost_nothing_costs_two_questions() -> None:
    async with igd(boot_id=7) as simulated, PortMapper(gateway=simulated.gateway) as mapper:
        await mapper.map(4001, external_port=4101)
        simulated.calls.clear()
        for _ in range(5):
            await simulated_says(simulated, Kind.ALIVE, 8)
        assert names(simulated) == ["GetExternalIPAddress", "GetSpecificPortMappingEntry"]


async def simulated_says(simulated: SimulatedGateway, kind: Kind, boot_id: int | None) -> None:
    simulated.notify(kind, boot_id=boot_id, nt=IGD)
    await anyio.sleep(limits.CHECK_GAP + 0.5)
