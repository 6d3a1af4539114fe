"""How routers list what they have mapped."""

from typing import Any

import pytest

from portmapper import NoService, RequestRefused
from portmapper.model import ListedMapping, Protocol
from portmapper.testing import SimulatedGateway
from tests.quirks.routers import NEIGHBOUR, another_has, mapper_at, named, quirky

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("virtual_time")]

LIST, NUMBERED = "GetListOfPortMappings", "GetGenericPortMappingEntry"


async def listed(router: SimulatedGateway) -> tuple[ListedMapping, ...]:
    """Return what the router lists when this host has mapped 4001 and another has 4002, and forget the requests."""
    another_has(router, 4002, Protocol.UDP, description="<b>")
    async with mapper_at(router) as mapper:
        await mapper.map(4001)
        router.calls.clear()
        return await mapper.list_mappings()


def is_whole(found: tuple[ListedMapping, ...]) -> bool:
    """Whether these are both mappings."""
    mine, theirs = sorted(found, key=lambda one: one.external_port)
    return (mine.own, mine.external_port, mine.internal_client, mine.lifetime > 7000) == (
        True, 4001, "127.0.0.1", True
    ) and (theirs.own, theirs.external_port, theirs.internal_client, theirs.description, theirs.lifetime) == (
        False, 4002, str(NEIGHBOUR), "<b>", 0
    )  # fmt: skip


@pytest.mark.conforms("Q-69", "UP-91")
async def test_some_refuse_a_list_from_port_0_on() -> None:
    """It begins at 1, and one question for each protocol is all."""
    async with quirky(refuses_start_0=True) as router:
        assert is_whole(await listed(router))
        assert {(call.name, call.arguments["NewStartPort"]) for call in named(router, LIST, NUMBERED)} == {(LIST, "1")}
        assert [call.arguments["NewProtocol"] for call in named(router, LIST)] == ["TCP", "UDP"]


@pytest.mark.conforms("UP-71", "UP-90")
@pytest.mark.parametrize("code", [713, 714, 402, 501])
@pytest.mark.parametrize("switches", [{"version": 1}, {"refuses": {LIST: 401}}, {"refuses": {LIST: 606}}], ids=str)
async def test_a_list_that_is_asked_for_one_by_one_ends_with_any_of_four_codes(
    code: int, switches: dict[str, Any]
) -> None:
    async with quirky(list_end_code=code, **switches) as router:
        assert is_whole(await listed(router))
        assert [call.arguments["NewPortMappingIndex"] for call in named(router, NUMBERED)] == ["0", "1", "2"]


@pytest.mark.conforms("UP-90")
async def test_a_list_that_never_ends() -> None:
    """It repeats its last entry, which is the end."""
    async with quirky(version=1, endless_list=True) as router:
        assert is_whole(await listed(router))
        assert len(named(router, NUMBERED)) == 3


@pytest.mark.conforms("UP-71", "UP-82")
@pytest.mark.parametrize("version", [1, 2])
async def test_an_empty_list(version: int) -> None:
    async with quirky(version=version) as router, mapper_at(router) as mapper:
        assert await mapper.list_mappings() == ()


@pytest.mark.conforms("UP-64", "UP-90")
async def test_a_router_that_lists_nothing_says_why() -> None:
    async with quirky(refuses={LIST: 606, NUMBERED: 606}) as router, mapper_at(router) as mapper:
        with pytest.raises(NoService) as caught:
            await mapper.list_mappings()
        reason = caught.value.reasons["upnp"]
        assert isinstance(reason, RequestRefused)
        assert reason.code == 606
