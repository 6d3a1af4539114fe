"""Which ports routers give away, and to whom."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import anyio
import pytest

from portmapper import InvalidRequest, NoService, UnsupportedRequest
from portmapper.testing import SimulatedGateway
from tests.quirks.routers import (
    NEIGHBOUR,
    adds,
    another_has,
    asked,
    entry_of,
    mapper_at,
    named,
    quirky,
    refusal_code,
)

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("virtual_time")]

ADD, ANY, DELETE, LOOK = "AddPortMapping", "AddAnyPortMapping", "DeletePortMapping", "GetSpecificPortMappingEntry"
DYNAMIC = 49152


@contextmanager
def in_use(router: SimulatedGateway, port: int) -> Iterator[None]:
    """Have the router use a port itself, which none of its mappings shows."""
    with socket.socket() as sock:
        sock.bind((str(router._external_address), port))
        yield


async def forget(router: SimulatedGateway) -> None:
    """Have the router lose its only mapping, so that the port is free."""
    router.table.remove(entry_of(router))
    await anyio.sleep(0.1)


# --- Ports that are taken ---------------------------------------------------------------------------------------------


@pytest.mark.conforms("F45", "Q-58", "Q-59", "UP-66", "UP-75", "UP-81", "UP-114")
@pytest.mark.parametrize("code", [501, 718, 729])
async def test_a_conflict_on_version_1_leads_to_a_port_of_our_choice(code: int) -> None:
    """501 is what some say for 718."""
    async with quirky(version=1, conflict_code=code) as router, mapper_at(router) as mapper:
        with in_use(router, 4001):
            mapping = await mapper.map(4001)
        assert mapping.external_port >= DYNAMIC
        assert asked(router, "NewExternalPort") == ["4001", str(mapping.external_port)]
        assert mapping.lease.lifetime == 7200


@pytest.mark.conforms("Q-58", "Q-59", "UP-86")
@pytest.mark.parametrize("code", [501, 718, 729])
async def test_a_conflict_on_version_2_leads_to_a_port_of_the_routers_choice(code: int) -> None:
    """AddAnyPortMapping is asked at another port than the taken one, and the port of its answer counts."""
    async with quirky(conflict_code=code) as router, mapper_at(router) as mapper:
        with in_use(router, 4001):
            mapping = await mapper.map(4001)
        first, second = adds(router)
        assert (first.name, second.name) == (ADD, ANY)
        assert int(second.arguments["NewExternalPort"]) >= DYNAMIC
        assert mapping.external_port == entry_of(router).external_port != 4001


@pytest.mark.conforms("UP-86")
async def test_the_port_that_the_router_chose_is_the_port() -> None:
    """Not the one that AddAnyPortMapping was asked at, here taken too."""
    async with quirky() as router, mapper_at(router) as mapper:
        ports = iter((50001,))
        with pytest.MonkeyPatch.context() as patch, in_use(router, 4001), in_use(router, 50001):
            patch.setattr("portmapper.upnp.grants._other_ports", lambda: ports)
            mapping = await mapper.map(4001)
        assert asked(router, "NewExternalPort") == ["4001", "50001"]
        assert mapping.external_port == entry_of(router).external_port
        await mapping.refresh()
        assert asked(router, "NewExternalPort")[2:] == [str(mapping.external_port)]


@pytest.mark.conforms("UP-64", "UP-114")
@pytest.mark.parametrize("code", [401, 501, 602, 606, 718])
async def test_a_router_of_version_2_without_its_actions(code: int) -> None:
    async with quirky(refuses={ANY: code}) as router, mapper_at(router) as mapper:
        with in_use(router, 4001):
            mapping = await mapper.map(4001)
        assert [call.name for call in adds(router)] == [ADD, ANY, ADD]
        assert mapping.external_port >= DYNAMIC


@pytest.mark.conforms("Q-59", "UP-75", "UP-114")
@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("code", [718, 729])
async def test_a_router_that_refuses_each_port_is_asked_for_a_few(version: int, code: int) -> None:
    async with quirky(version=version, refuses={ADD: code, ANY: code}) as router:
        assert await refusal_code(router) == code
        assert len(adds(router)) <= 9


@pytest.mark.conforms("Q-59", "UP-75")
async def test_a_port_that_has_to_be_that_one_is_not_exchanged() -> None:
    async with quirky() as router:
        with in_use(router, 4002):
            assert await refusal_code(router, external_port=4002, exact=True) == 718
        assert asked(router, "NewExternalPort") == ["4002"]


# --- Ports of others --------------------------------------------------------------------------------------------------


@pytest.mark.conforms("F45", "Q-60", "UP-98")
@pytest.mark.parametrize("version", [1, 2])
async def test_some_give_away_a_port_that_another_has(version: int) -> None:
    """It is not asked for at all, for what shows that it is taken."""
    async with quirky(version=version, overwrites_others=True) as router:
        foreign = another_has(router, 4001)
        async with mapper_at(router) as mapper:
            mapping = await mapper.map(4001)
            assert mapping.external_port not in {0, 4001}
            assert "4001" not in asked(router, "NewExternalPort")
        assert list(router.table) == [foreign]
        assert foreign.internal.address == NEIGHBOUR


@pytest.mark.conforms("F45", "Q-60")
async def test_a_port_that_somebody_else_has_by_now_is_neither_renewed_nor_deleted() -> None:
    """It was given away, or the router restarted and another was faster: the mapping goes to another port."""
    async with quirky(overwrites_others=True) as router:
        async with mapper_at(router) as mapper:
            mapping = await mapper.map(4001)
            await forget(router)
            foreign = another_has(router, 4001)
            await mapping.refresh()
            assert mapping.external_port not in {0, 4001}
            assert foreign.internal.address == NEIGHBOUR
        assert list(router.table) == [foreign]


@pytest.mark.conforms("F45", "Q-60", "UP-87")
async def test_a_port_that_somebody_else_has_at_the_end_is_not_deleted() -> None:
    async with quirky() as router:
        async with mapper_at(router) as mapper:
            await mapper.map(4001)
            await forget(router)
            foreign = another_has(router, 4001)
        assert list(router.table) == [foreign]
        assert named(router, DELETE) == []


@pytest.mark.conforms("F46", "UP-99")
@pytest.mark.parametrize("version", [1, 2])
async def test_a_mapping_of_another_program_of_this_host_is_left_to_it(version: int) -> None:
    """It leads to the same port, but its text is another: whoever made it will remove it."""
    async with quirky(version=version) as router:
        async with mapper_at(router) as other:
            theirs = await other.map(4001, description="another program")
            async with mapper_at(router) as mapper:
                mapping = await mapper.map(4001)
                assert mapping.external_port != theirs.external_port
                assert len(list(router.table)) == 2
            assert entry_of(router).description == "another program"
        assert list(router.table) == []


@pytest.mark.conforms("UP-97", "UP-99")
async def test_a_mapping_that_an_earlier_run_left_is_taken_over() -> None:
    async with quirky() as router:
        async with mapper_at(router) as earlier:
            (await earlier.map(4001)).detach()
        async with mapper_at(router) as mapper:
            assert (await mapper.map(4001)).external_port == entry_of(router).external_port == 4001
        assert list(router.table) == []


# --- Ports that are not given away ------------------------------------------------------------------------------------


@pytest.mark.conforms("Q-61", "UP-68", "UP-105")
@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("code", [402, 501, 600, 606, 718, 801])
async def test_some_refuse_low_ports(code: int, version: int) -> None:
    async with quirky(version=version, low_port_code=code) as router, mapper_at(router) as mapper:
        mapping = await mapper.map(80)
        assert mapping.external_port >= DYNAMIC
        assert entry_of(router).internal.port == 80


@pytest.mark.conforms("Q-61", "UP-68")
async def test_some_refuse_the_low_port_that_it_has_to_be() -> None:
    async with quirky(low_port_code=606) as router:
        assert await refusal_code(router, external_port=80, exact=True) == 606
        assert asked(router, "NewExternalPort") == ["80"]


@pytest.mark.conforms("UP-68", "UP-105", "UP-106")
async def test_what_is_not_allowed_is_asked_for_once() -> None:
    async with quirky(refuses={ADD: 606, ANY: 606}) as router, mapper_at(router) as mapper:
        with pytest.raises(NoService) as caught:
            await mapper.map(4001)
        assert caught.value.lasting
        assert len(adds(router)) == 1


@pytest.mark.conforms("Q-62", "Q-63", "UP-74", "UP-79", "UP-101", "UP-102")
@pytest.mark.parametrize("version", [1, 2])
async def test_many_map_all_ports_when_asked_for_port_0(version: int) -> None:
    """Nothing is ever asked of them with such a port, whether it is left to us, taken, or refused."""
    async with quirky(version=version) as router, mapper_at(router) as mapper:
        with in_use(router, 4002):
            for port in (4001, 4002):
                await mapper.map(port)
        with pytest.raises(NoService) as caught:
            await mapper.map(0, all_ports=True)
        assert isinstance(caught.value.reasons["upnp"], UnsupportedRequest)
        with pytest.raises(InvalidRequest):
            await mapper.map(0)
    for code in (716, 718, 727):
        async with quirky(version=version, refuses={ADD: code, ANY: code}) as router:
            assert await refusal_code(router) == code
            assert not {"0", ""} & {*asked(router, "NewExternalPort"), *asked(router, "NewInternalPort")}


@pytest.mark.conforms("Q-63", "UP-79")
async def test_some_map_all_ports_or_none() -> None:
    async with quirky(refuses={ADD: 727, ANY: 727}) as router, mapper_at(router) as mapper:
        with pytest.raises(NoService, match="maps all ports or none") as caught:
            await mapper.map(4001)
        assert caught.value.lasting
        assert len(adds(router)) == 1


@pytest.mark.conforms("UP-76")
@pytest.mark.parametrize("version", [1, 2])
async def test_some_map_a_port_only_to_the_same_port(version: int) -> None:
    async with quirky(version=version, same_ports_only=True) as router, mapper_at(router) as mapper:
        assert (await mapper.map(4001, external_port=4002)).external_port == 4001
        with pytest.raises(NoService, match="724 SamePortValuesRequired"):
            await mapper.map(4003, external_port=4004, exact=True)


@pytest.mark.conforms("F25", "UP-80")
async def test_a_full_table_has_room_later() -> None:
    async with quirky(max_mappings=1) as router, mapper_at(router) as mapper:
        first = await mapper.map(4001)
        with pytest.raises(NoService, match="728 NoPortMapsAvailable") as caught:
            await mapper.map(4002)
        assert not caught.value.lasting
        await first.close()
        assert (await mapper.map(4002)).external_port == 4002
