"""What routers want of a request beside its ports, and what is left at the end."""

import pytest

from portmapper import Closed, NoService
from portmapper.model import Protocol
from tests.quirks.routers import (
    HERE,
    adds,
    another_has,
    echo,
    entry_of,
    is_reached,
    main_job,
    mapper_at,
    named,
    quirky,
    refusal_code,
)

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("virtual_time")]

ADD, ANY, DELETE, LOOK = "AddPortMapping", "AddAnyPortMapping", "DeletePortMapping", "GetSpecificPortMappingEntry"


# --- The other arguments ----------------------------------------------------------------------------------------------


@pytest.mark.conforms("Q-64", "UP-103")
@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
async def test_tplink_er605_knows_udp_in_upper_case_only(version: int, protocol: str) -> None:
    async with quirky(version=version, upper_case_only=True) as router:
        await main_job(router, protocol=protocol)


@pytest.mark.conforms("Q-65", "UP-98", "UP-100")
@pytest.mark.parametrize("version", [1, 2])
async def test_pfsense_wants_no_remote_host(version: int) -> None:
    async with quirky(version=version, remote_host_code=726) as router:
        await main_job(router)
        keyed = [call.arguments["NewRemoteHost"] for call in router.calls if "NewRemoteHost" in call.arguments]
        assert set(keyed) == {""}


@pytest.mark.conforms("UP-78")
async def test_a_mapping_for_one_remote_host_is_not_made_for_all() -> None:
    """Neither by us when that is refused, nor by a router that does not look at it: that one is taken back."""
    async with quirky(remote_host_code=726) as router:
        assert await refusal_code(router, remote="198.51.100.7") == 726
    async with quirky(ignores_remote_host=True) as router:
        assert await refusal_code(router, remote="198.51.100.7") == 726
        assert len(named(router, DELETE)) > 0


@pytest.mark.conforms("UP-98", "UP-100")
async def test_a_mapping_for_one_remote_host_lets_in_that_one() -> None:
    async with echo() as port, quirky() as router, mapper_at(router) as mapper:
        mapping = await mapper.map(port, remote=str(HERE))
        assert entry_of(router).remote_host == str(HERE)
        assert await is_reached(mapping)
        await mapping.refresh()
        await mapping.close()
        assert list(router.table) == []
        assert not await is_reached(await mapper.map(port, remote="198.51.100.7"))


@pytest.mark.conforms("UP-67")
async def test_a_long_description_is_cut_where_it_has_to_be() -> None:
    async with quirky(max_description=16) as router, mapper_at(router) as mapper:
        await mapper.map(4001, description="a text that is much too long")
        assert entry_of(router).description == "a text that"
        await mapper.map(4002, description="a text that is much too long")
        assert len(adds(router)) == 3


@pytest.mark.conforms("UP-85", "UP-87", "UP-89", "UP-104", "UP-152")
async def test_all_arguments_in_their_order() -> None:
    async with quirky() as router, mapper_at(router) as mapper:
        mapping = await mapper.map(4001, "udp", external_port=4002, lifetime=600, description="web")
        await mapping.close()
        key = [("NewRemoteHost", ""), ("NewExternalPort", "4002"), ("NewProtocol", "UDP")]
        values = [
            ("NewInternalPort", "4001"),
            ("NewInternalClient", "127.0.0.1"),
            ("NewEnabled", "1"),
            ("NewPortMappingDescription", "web"),
            ("NewLeaseDuration", "600"),
        ]
        assert [list(call.arguments.items()) for call in named(router, ADD)] == [key + values]
        assert {tuple(call.arguments.items()) for call in named(router, LOOK, DELETE)} == {tuple(key)}


# --- The end ----------------------------------------------------------------------------------------------------------


@pytest.mark.conforms("Q-67", "UP-72")
@pytest.mark.parametrize("shows", [False, True])
async def test_a_mapping_that_is_gone_already_is_closed_without_complaint(shows: bool) -> None:
    """One that can be seen to be gone is not deleted; to delete one all the same, and hear 714, is the same."""
    async with quirky(refuses={} if shows else {LOOK: 401}) as router, mapper_at(router) as mapper:
        mapping = await mapper.map(4001)
        events = mapping.events()
        router.table.clear()
        await mapping.close()
        *_, closed = [event async for event in events]
        assert isinstance(closed, Closed)
        assert closed.error is None
        assert len(named(router, DELETE)) == (0 if shows else 1)


@pytest.mark.conforms("UP-87", "UP-88", "UP-116")
@pytest.mark.parametrize("permanent", [False, True])
async def test_everything_is_deleted_on_the_way_out_and_nothing_else(permanent: bool) -> None:
    """One by one: a range would take in what other programs of this host have."""
    async with quirky(permanent_only=permanent) as router:
        theirs = router.table.add(Protocol.TCP, another_has(router, 4005).internal, 4002, float("inf"))
        async with mapper_at(router) as mapper:
            for port in (4001, 4003, 4004):
                await mapper.map(port)
        assert [entry.external_port for entry in router.table] == [4005, theirs.external_port]
        assert len(named(router, DELETE)) == 3
        assert named(router, "DeletePortMappingRange") == []


@pytest.mark.conforms("UP-116")
async def test_a_mapping_without_end_that_a_crash_left_can_be_removed() -> None:
    """Without a record of it too: the port that it leads to tells it from others."""
    async with quirky(permanent_only=True) as router:
        async with mapper_at(router) as mapper:
            (await mapper.map(4001)).detach()
        assert len(list(router.table)) == 1
        async with mapper_at(router) as mapper:
            assert await mapper.unmap(4001) == ("upnp",)
        assert list(router.table) == []


# --- A router that asks a PCP server ----------------------------------------------------------------------------------


@pytest.mark.conforms("UP-151")
@pytest.mark.parametrize(
    ("version", "code", "lasting"),
    [
        pytest.param(1, 718, False, id="NOT_AUTHORIZED 1"),
        pytest.param(2, 606, True, id="NOT_AUTHORIZED 2"),
        pytest.param(1, 501, False, id="NO_RESOURCES 1"),
        pytest.param(2, 728, False, id="NO_RESOURCES 2"),
        pytest.param(2, 501, False, id="others"),
    ],
)
async def test_a_refusal_of_a_pcp_server_behind_the_router(version: int, code: int, lasting: bool) -> None:
    async with quirky(version=version, refuses={ADD: code, ANY: code}) as router, mapper_at(router) as mapper:
        with pytest.raises(NoService, match=str(code)) as caught:
            await mapper.map(4001)
        assert caught.value.lasting is lasting
