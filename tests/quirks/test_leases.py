"""What routers make of leases, what they say they have, and what they really have."""

from dataclasses import replace
from ipaddress import IPv6Address
from typing import Any

import anyio
import pytest

from portmapper import MappingState, NoMapping, NoService, ProtocolError, RequestRefused, limits
from portmapper.model import IPAddress, Protocol
from portmapper.testing import SimulatedGateway
from portmapper.testing.igd_pinholes import Pinhole
from tests.quirks.routers import (
    adds,
    asked,
    echo,
    entry_of,
    is_reached,
    mapper_at,
    named,
    options,
    quirky,
    refusal,
)

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("virtual_time")]

ADD, DELETE, LOOK = "AddPortMapping", "DeletePortMapping", "GetSpecificPortMappingEntry"


# --- Only without end, or only with one -------------------------------------------------------------------------------


@pytest.mark.conforms("F17", "Q-54", "Q-55", "Q-57", "Q-58", "UP-65", "UP-66", "UP-77", "UP-84", "UP-94", "UP-116")
@pytest.mark.parametrize(
    "odd",
    [
        pytest.param({"permanent_only": True}, id="MikroTik"),
        pytest.param({"lease_code": 725, "version": 1}, id="many of version 1"),
        pytest.param({"lease_code": 402, "version": 1}, id="Zyxel"),
        pytest.param({"lease_code": -911, "version": 1}, id="one with a number of its own"),
        pytest.param({"lease_code": 801, "version": 1}, id="one with a number of its vendor"),
        pytest.param({"lease_code": 501, "version": 1}, id="one that only fails"),
    ],
)
async def test_a_router_that_knows_only_mappings_without_end(odd: dict[str, Any]) -> None:
    """It is asked for one at the same port, and removed on the way out; the next request begins so."""
    async with quirky(**odd) as router, mapper_at(router) as mapper:
        first = await mapper.map(4001)
        assert (first.lease.permanent, first.external_port) == (True, 4001)
        made = len(adds(router))
        second = await mapper.map(4002)
        assert (second.lease.permanent, second.external_port) == (True, 4002)
        assert asked(router, "NewLeaseDuration")[0] == "7200"
        assert asked(router, "NewLeaseDuration")[made:] == ["0"]
        await first.refresh()
        assert asked(router, "NewLeaseDuration")[made + 1 :] == ["0"]
        await mapper.mappings[1].close()
        assert entry_of(router).internal.port == 4001
    assert list(router.table) == []


@pytest.mark.conforms("F17", "Q-54", "UP-77")
async def test_mikrotik_is_not_asked_for_a_mapping_without_end_where_that_is_not_allowed() -> None:
    async with quirky(permanent_only=True) as router, mapper_at(router, allow_permanent=False) as mapper:
        with pytest.raises(NoService, match="725 OnlyPermanentLeasesSupported"):
            await mapper.map(4001)
        assert "0" not in asked(router, "NewLeaseDuration")


@pytest.mark.conforms("Q-56", "UP-92", "UP-93")
@pytest.mark.parametrize("version", [1, 2])
async def test_a_router_that_knows_no_mapping_without_end(version: int) -> None:
    """One that ends is asked for first, and for no longer than a week."""
    async with quirky(permanent_code=402, version=version) as router, mapper_at(router) as mapper:
        await mapper.map(4001)
        await mapper.map(4002, lifetime=2_000_000)
        assert asked(router, "NewLeaseDuration") == ["7200", "604800"]


@pytest.mark.conforms("Q-54", "Q-56", "UP-65")
async def test_a_router_that_changes_its_mind_about_leases() -> None:
    """An update of its firmware: what was learnt of it is no obstacle."""
    async with quirky(lease_code=725, version=1) as router, mapper_at(router) as mapper:
        await mapper.map(4001)
        router._igd._mappings.switches = replace(router._igd.switches, lease_code=None, permanent_code=402)
        assert not (await mapper.map(4002)).lease.permanent


@pytest.mark.conforms("F14", "UP-92", "UP-95")
@pytest.mark.parametrize("version", [1, 2])
async def test_a_router_that_grants_less_is_renewed_in_time(version: int) -> None:
    """It tells when it is asked what it has. The port is never closed, over many leases."""
    async with quirky(max_lease=600, version=version) as router, mapper_at(router) as mapper:
        mapping = await mapper.map(4001)
        assert 595 <= mapping.lease.lifetime <= 600
        for _ in range(60):
            await anyio.sleep(60)
            assert entry_of(router).ends > anyio.current_time()
        assert mapping.state is MappingState.MAPPED
        assert len(adds(router)) <= 3 + 3600 / 300


# --- A lease that is not lengthened -----------------------------------------------------------------------------------


@pytest.mark.conforms("Q-72", "UP-95")
async def test_miniupnpd_of_2016_does_not_lengthen_a_lease() -> None:
    """The mapping is there all the time, but for the moment in which it is deleted to be added anew."""
    async with quirky(keeps_first_lease=True) as router, mapper_at(router) as mapper:
        mapping = await mapper.map(4001, lifetime=600)
        await anyio.sleep(200)
        await mapping.refresh()
        assert [call.name for call in named(router, ADD, DELETE)] == [ADD, ADD, DELETE, ADD]
        assert entry_of(router).ends >= anyio.current_time() + 595
        for _ in range(60):
            await anyio.sleep(60)
            assert entry_of(router).ends > anyio.current_time()
        assert mapping.state is MappingState.MAPPED


@pytest.mark.conforms("Q-72")
async def test_a_lease_of_10_s_that_is_not_lengthened_is_seen_as_well() -> None:
    """Half of it may be left at a renewal: so much as a new one may have lost when it is read back."""
    async with quirky(keeps_first_lease=True) as router, mapper_at(router) as mapper:
        mapping = await mapper.map(4001, lifetime=10)
        for _ in range(120):
            await anyio.sleep(0.5)
            assert entry_of(router).ends > anyio.current_time()
        assert mapping.state is MappingState.MAPPED


@pytest.mark.conforms("Q-72", "UP-75")
@pytest.mark.parametrize("version", [1, 2])
async def test_some_take_a_renewal_for_a_conflict_with_the_mapping_itself(version: int) -> None:
    """It is deleted to be added anew, and stays at its port."""
    async with quirky(again_code=718, version=version) as router, mapper_at(router) as mapper:
        mapping = await mapper.map(4001, lifetime=600)
        for _ in range(60):
            await anyio.sleep(60)
            assert entry_of(router).ends > anyio.current_time()
        assert (mapping.state, mapping.external_port) == (MappingState.MAPPED, 4001)


@pytest.mark.conforms("Q-72", "UP-75")
async def test_a_mapping_without_end_that_conflicts_with_itself_is_there_and_stays() -> None:
    async with quirky(again_code=718, permanent_only=True) as router, mapper_at(router) as mapper:
        mapping = await mapper.map(4001)
        await mapping.refresh()
        assert mapping.lease.permanent
        assert named(router, DELETE) == []


@pytest.mark.conforms("Q-72", "UP-75")
async def test_a_conflict_where_nothing_is_shown_deletes_nothing() -> None:
    """It may be another's."""
    async with quirky(again_code=718, refuses={LOOK: 401}) as router, mapper_at(router) as mapper:
        mapping = await mapper.map(4001, lifetime=600)
        with pytest.raises(RequestRefused, match="718"):
            await mapping.refresh()
        assert named(router, DELETE) == []


@pytest.mark.conforms("Q-72")
async def test_what_miniupnpd_of_2016_takes_long_to_show_is_not_deleted_at_each_renewal() -> None:
    """One that does lengthen it is only asked for it."""
    async with quirky() as router, mapper_at(router) as mapper:
        mapping = await mapper.map(4001, lifetime=600)
        for _ in range(4):
            await anyio.sleep(200)
            await mapping.refresh()
        assert named(router, DELETE) == []


@pytest.mark.conforms("Q-72a")
async def test_technicolor_cga4131com_keeps_a_mapping_that_forwards_nothing() -> None:
    """To renew it is in vain; to take it back and make it again is for whoever notices."""
    async with echo() as port, quirky() as router, mapper_at(router) as mapper:
        mapping = await mapper.map(port)
        assert await is_reached(mapping)
        router.table.mute(entry_of(router))
        await mapping.refresh()
        assert not await is_reached(mapping)
        await mapping.refresh(hard=True)
        assert await is_reached(mapping)
        assert mapping.external_port == port


@pytest.mark.conforms("F1", "Q-73", "UP-96", "UP-150")
@pytest.mark.parametrize("permanent", [False, True])
async def test_a_router_forgets_all_when_it_restarts_without_a_word(permanent: bool) -> None:
    """The first renewal shows it, and then everything is mapped again, also what has no end."""
    async with quirky(permanent_only=permanent) as router, mapper_at(router) as mapper:
        mappings = [await mapper.map(port, lifetime=span) for port, span in ((4001, 600), (4002, 36000), (4003, 36000))]
        assert all(mapping.lease.permanent is permanent for mapping in mappings)
        router.reboot()
        assert list(router.table) == []
        await anyio.sleep(600 * 5 / 8 + limits.RECOVERY_WAIT + 1)
        assert {entry.external_port for entry in router.table} == {4001, 4002, 4003}


# --- A yes that means no ----------------------------------------------------------------------------------------------


@pytest.mark.conforms("F19", "Q-71", "UP-113")
@pytest.mark.parametrize("version", [1, 2])
async def test_some_say_yes_and_map_nothing(version: int) -> None:
    async with quirky(adds_nothing=True, version=version) as router:
        reason = await refusal(router)
        assert isinstance(reason, ProtocolError)
        assert "has no mapping" in str(reason)


@pytest.mark.conforms("F19", "Q-71", "UP-113")
async def test_some_that_map_nothing_any_more_lose_the_mapping_at_its_renewal() -> None:
    async with quirky() as router, mapper_at(router) as mapper:
        mapping = await mapper.map(4001)
        router.reboot()
        router._igd._mappings.switches = replace(router._igd.switches, adds_nothing=True)
        with pytest.raises(ProtocolError, match="has no mapping"):
            await mapping.refresh()


@pytest.mark.conforms("Q-71")
async def test_a_router_that_shows_nothing_is_believed() -> None:
    """Neither one mapping nor all: there is nothing to doubt it by."""
    silent = {LOOK: 401, "GetListOfPortMappings": 401, "GetGenericPortMappingEntry": 401}
    async with quirky(refuses=silent) as router, mapper_at(router) as mapper:
        mapping = await mapper.map(4001)
        await mapping.refresh()
        assert entry_of(router).internal.port == 4001
    assert list(router.table) == []


@pytest.mark.conforms("Q-71", "UP-89")
async def test_a_router_that_shows_only_its_list_is_believed_by_that() -> None:
    class Forgetful(SimulatedGateway):
        def answer_http(self, method: str, path: str, body: bytes, sender: IPAddress) -> tuple[int, bytes]:
            if f"<u:{LOOK} ".encode() in body:
                body = body.replace(b"<NewExternalPort>4001<", b"<NewExternalPort>1<")
            return super().answer_http(method, path, body, sender)

    async with Forgetful(**options()) as router:
        async with mapper_at(router) as mapper:
            mapping = await mapper.map(4001)
            await mapping.refresh()
            assert entry_of(router).internal.port == 4001
        assert list(router.table) == []


@pytest.mark.conforms("Q-72b", "UP-113")
async def test_fritzbox_swallows_a_mapping_while_there_is_a_pinhole_for_the_port() -> None:
    async with quirky(pinhole_swallows=True, firewall=True) as router, mapper_at(router) as mapper:
        router.pinholes[1] = Pinhole("", 0, IPv6Address("::1"), 4001, Protocol.TCP.number, ends=float("inf"))
        with pytest.raises(NoService, match="has no mapping"):
            await mapper.map(4001)
        assert (await mapper.map(4001, "udp")).external_port == 4001
        router.pinholes.clear()
        assert (await mapper.map(4001)).external_port == 4001


@pytest.mark.conforms("Q-72b", "UP-113")
async def test_fritzbox_shows_another_host_as_the_target() -> None:
    """The port counts as taken, and so does each other port, of which there are not many."""
    async with quirky(shown_client="127.0.0.77") as router, mapper_at(router) as mapper:
        with pytest.raises(NoService, match=r"leads to 127\.0\.0\.77"):
            await mapper.map(4001)
        assert len(adds(router)) <= 9


@pytest.mark.conforms("UP-113")
async def test_a_router_that_shows_names_of_hosts_is_believed() -> None:
    async with quirky(shown_client="laptop") as router:
        async with mapper_at(router) as mapper:
            mapping = await mapper.map(4001)
            await mapping.refresh()
            assert entry_of(router).internal.port == 4001
        assert list(router.table) == []


@pytest.mark.conforms("Q-72c", "UP-85")
async def test_funbox6_shows_the_external_port_as_the_internal_one() -> None:
    """What it shows is no success, for it may be what it does, unless the two are the same; nothing is left of it."""
    async with quirky(shows_external_port=True) as router, mapper_at(router) as mapper:
        with pytest.raises(NoService, match="leads to port 4002 instead of 4001"):
            await mapper.map(4001, external_port=4002)
        assert list(router.table) == []
        mapping = await mapper.map(4001)
        await mapping.refresh()
        assert entry_of(router).internal.port == 4001


@pytest.mark.conforms("Q-72c", "UP-97")
async def test_the_two_ports_are_kept_apart_in_a_renewal_too() -> None:
    async with quirky() as router, mapper_at(router) as mapper:
        mapping = await mapper.map(4001, external_port=4002)
        await mapping.refresh()
        await mapping.refresh(hard=True)
        assert set(asked(router, "NewInternalPort")) == {"4001"}
        assert set(asked(router, "NewExternalPort")) == {"4002"}
        assert {call.arguments["NewExternalPort"] for call in named(router, LOOK, DELETE)} == {"4002"}


@pytest.mark.conforms("UP-112", "UP-113")
async def test_a_mapping_that_is_switched_off_is_no_success() -> None:
    async with quirky(shows_disabled=True) as router:
        reason = await refusal(router)
        assert isinstance(reason, ProtocolError)
        assert "switched off" in str(reason)


# --- The external address ---------------------------------------------------------------------------------------------


@pytest.mark.conforms("F20", "Q-66", "UP-107")
@pytest.mark.parametrize("said", ["0.0.0.0", ""])
async def test_an_address_that_is_none(said: str) -> None:
    """The mapping is there all the same, and will be of use when the router has an address."""
    async with quirky(external_address=said) as router, mapper_at(router) as mapper:
        assert await mapper.external_address() is None
        mapping = await mapper.map(4001)
        assert mapping.external_port == 4001
        with pytest.raises(NoMapping):
            mapping.external_address()


@pytest.mark.conforms("UP-107", "UP-150", "UP-153")
async def test_an_address_that_is_known_after_the_first_mapping_and_changes_later() -> None:
    """It is asked for after each mapping and each renewal."""

    class Dialling(SimulatedGateway):
        def answer_http(self, method: str, path: str, body: bytes, sender: IPAddress) -> tuple[int, bytes]:
            self._igd.switches = replace(self._igd.switches, external_address=said if list(self.table) else "")
            return super().answer_http(method, path, body, sender)

    async with Dialling(**options()) as router, mapper_at(router) as mapper:
        said = "198.41.0.4"
        assert await mapper.external_address() is None
        mapping = await mapper.map(4001)
        assert str(mapping.external_address()) == "198.41.0.4"
        said = "198.41.0.5"
        await anyio.sleep(7200 * 5 / 8)
        assert str(mapping.external_address()) == "198.41.0.5"
        said = "10.0.0.2"
        await mapping.refresh()
        assert str(mapping.reachability) == "double-nat"
