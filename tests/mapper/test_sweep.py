"""Everything of this host is removed from a gateway, whoever made it, and nothing of another host."""

import time
from collections.abc import Iterator
from contextlib import asynccontextmanager
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest

from portmapper import Endpoint, NoService, PortMapper, Protocol, RequestRefused, noted_mappings
from portmapper.model import IPAddress
from portmapper.net import clock
from portmapper.state.folder import StateFolder
from portmapper.state.journal import NoteState
from portmapper.testing import SimulatedGateway
from portmapper.testing.igd_switches import IgdSwitches
from portmapper.upnp import soap
from tests.hostile.rude import a_port, is_action
from tests.state.notes import note

pytestmark = pytest.mark.anyio

ME, NEIGHBOUR = IPv4Address("127.0.0.1"), IPv4Address("127.0.0.9")


def add(simulated: SimulatedGateway, host: IPv4Address = ME, **more: Any) -> int:
    port = a_port()
    simulated.table.add(Protocol.TCP, Endpoint(host, port), port, clock.now() + 500, **more)
    return port


def left_on(simulated: SimulatedGateway) -> list[int]:
    return [entry.external_port for entry in simulated.table]


@pytest.mark.parametrize("backends", [["upnp"], ["natpmp"], None])
async def test_what_leads_to_this_host_goes_and_what_leads_to_another_stays(backends: list[str] | None) -> None:
    async with SimulatedGateway() as simulated, PortMapper(gateway=simulated.gateway, backends=backends) as mapper:
        neighbours = add(simulated, NEIGHBOUR)
        own = [add(simulated), add(simulated)]
        held = await mapper.map(a_port())
        swept = await mapper.unmap_mine()
        assert left_on(simulated) == [neighbours]
        assert held.state == "closed"
        assert swept.problems == {}
        if backends == ["natpmp"]:
            assert swept.cleared == ()
            assert swept.wholesale == ((Protocol.TCP, "natpmp"), (Protocol.UDP, "natpmp"))
        else:
            assert [one.note.request.external_port for one in swept.cleared] == own
            assert {one.error for one in swept.cleared} == {None}


async def test_one_for_a_certain_peer_only_goes_too() -> None:
    async with SimulatedGateway() as simulated, PortMapper(gateway=simulated.gateway, backends=["upnp"]) as mapper:
        add(simulated, remote_host="198.51.100.7")
        (one,) = (await mapper.unmap_mine()).cleared
        assert one.error is None
        assert left_on(simulated) == []


@pytest.fixture
def dead(tmp_path: Path) -> Iterator[StateFolder]:
    folder = StateFolder(tmp_path)
    folder.begin(time.time())
    yield folder
    folder.abandon()


async def test_what_is_noted_goes_by_the_protocol_that_made_it_and_is_forgotten(
    tmp_path: Path, dead: StateFolder
) -> None:
    """Also what was left on purpose, which nothing lists: the router speaks PCP only."""
    async with SimulatedGateway(natpmp=False, upnp=False) as simulated:
        async with PortMapper(gateway=simulated.gateway, backends=["pcp"], state=tmp_path) as first:
            mapping = await first.map(a_port())
            mapping.detach()
        more: dict[str, Any] = {"state": NoteState.DETACHED, "gateway": simulated.gateway, "ends": time.time() + 500}
        elsewhere = note(8081, ends=time.time() + 500)
        await anyio.to_thread.run_sync(dead.save, [note(8080, backend="pcp", **more), elsewhere])
        await anyio.to_thread.run_sync(dead.abandon)
        assert len(left_on(simulated)) == 1
        async with PortMapper(gateway=simulated.gateway, backends=["pcp"], state=tmp_path) as mapper:
            swept = await mapper.unmap_mine()
            assert [one.error for one in swept.cleared] == [None, None]
            assert left_on(simulated) == []
            left = await anyio.to_thread.run_sync(noted_mappings, tmp_path)
            assert [one.note.request.internal_port for one in left] == [8081]


async def test_one_known_from_both_counts_once() -> None:
    """It is in the journal of the mapper that lists it too."""
    async with SimulatedGateway() as simulated, _with_journal(simulated) as (mapper, port):
        (one,) = (await mapper.unmap_mine()).cleared
        assert (one.note.request.internal_port, one.error) == (port, None)
        assert left_on(simulated) == []


@asynccontextmanager
async def _with_journal(simulated: SimulatedGateway) -> Any:
    async with anyio.TemporaryDirectory() as folder:
        async with PortMapper(gateway=simulated.gateway, state=folder) as first:
            mapping = await first.map(a_port())
            mapping.detach()
        async with PortMapper(gateway=simulated.gateway, state=folder) as mapper:
            yield mapper, mapping.internal_port


class Stubborn(SimulatedGateway):
    """Says yes to a delete and keeps the mapping."""

    def answer_http(self, method: str, path: str, body: bytes, sender: IPAddress) -> tuple[int, bytes]:
        if is_action(body, "DeletePortMapping"):
            return 200, soap.encode_result(soap.decode_action(body), {})
        return super().answer_http(method, path, body, sender)


async def test_what_is_listed_still_is_not_believed_to_be_gone() -> None:
    async with Stubborn(igd=IgdSwitches(version=1)) as gateway:
        async with PortMapper(gateway=gateway.gateway, backends=["upnp"]) as mapper:
            add(gateway)
            (one,) = (await mapper.unmap_mine()).cleared
            assert "lists it still" in str(one.error)


async def test_a_list_that_is_refused_is_told_as_the_reason_why_there_may_be_more() -> None:
    codes = {"GetListOfPortMappings": 606, "GetGenericPortMappingEntry": 606}
    async with SimulatedGateway(igd=IgdSwitches(refuses=codes)) as simulated:
        async with PortMapper(gateway=simulated.gateway, backends=["upnp"]) as mapper:
            swept = await mapper.unmap_mine()
            assert isinstance(swept.problems["upnp"], RequestRefused)


async def test_nobody_there_is_no_service() -> None:
    async with (
        SimulatedGateway(pcp=False, natpmp=False, upnp=False) as simulated,
        PortMapper(gateway=simulated.gateway, backends=["pcp"]) as mapper,
    ):
        with pytest.raises(NoService):
            await mapper.unmap_mine()
