"""How routers list what they have mapped."""

from typing import Any

import anyio
import pytest

from portmapper import NoService, RequestRefused, limits
from portmapper.model import IPAddress, ListedMapping, Protocol
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


def unescaped(router: SimulatedGateway) -> None:
    """Have the router put descriptions into its answers as they are."""
    honest = router.answer_http

    def answer_http(method: str, path: str, body: bytes, sender: IPAddress) -> tuple[int, bytes]:
        status, answer = honest(method, path, body, sender)
        return status, answer.replace(b"&lt;b&gt;", b"<b>").replace(b"&amp;lt;b&amp;gt;", b"&lt;b&gt;")

    router.answer_http = answer_http  # type: ignore[method-assign]


@pytest.mark.conforms("UP-90")
@pytest.mark.parametrize("version", [1, 2])
async def test_a_text_of_a_neighbour_that_the_router_does_not_escape_hides_no_other_mapping(version: int) -> None:
    async with quirky(version=version) as router, mapper_at(router) as mapper:
        unescaped(router)
        another_has(router, 4000, description="<b>")
        await mapper.map(4001)
        another_has(router, 4002)
        assert {one.external_port for one in await mapper.list_mappings()} == {4001, 4002}


@pytest.mark.conforms("UP-90")
async def test_a_list_of_nothing_that_makes_sense_is_given_up() -> None:
    async with quirky(version=1) as router, mapper_at(router) as mapper:
        unescaped(router)
        for port in range(4000, 4100):
            another_has(router, port, description="<b>")
        with pytest.raises(NoService, match="no SOAP"):
            await mapper.list_mappings()
        assert len(named(router, NUMBERED)) == limits.LISTED_UNREADABLE + 1


@pytest.mark.conforms("UP-90")
async def test_no_more_mappings_are_asked_for_by_their_number_than_the_limit(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(limits, "LISTED_ALL", 16)
    async with quirky(version=1) as router, mapper_at(router) as mapper:
        for port in range(4000, 4100):
            another_has(router, port)
        assert len(await mapper.list_mappings()) == 16
        assert len(named(router, NUMBERED)) == 16
        assert "cut off after 16" in caplog.text


@pytest.mark.conforms("UP-90", "UP-91")
@pytest.mark.parametrize("version", [1, 2])
async def test_a_long_list_of_a_slow_router_is_cut_off_after_10_s(
    version: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Its two answers in one piece, which come just in time and make no sense, count."""
    async with quirky(version=version, soap_delay=3) as router, mapper_at(router) as mapper:
        honest = router.answer_http

        def answer_http(method: str, path: str, body: bytes, sender: IPAddress) -> tuple[int, bytes]:
            status, answer = honest(method, path, body, sender)
            return status, b"" if LIST.encode() in body and b"UDP" in body else answer

        router.answer_http = answer_http  # type: ignore[method-assign]
        for port in range(4000, 4100):
            another_has(router, port)
        await mapper.external_address()
        begin = anyio.current_time()
        found = await mapper.list_mappings()
        assert anyio.current_time() - begin == pytest.approx(limits.LISTING, abs=0.01)
        assert len(found) == (3 if version == 1 else 1)
        assert f"cut off after {len(found)}" in caplog.text


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
