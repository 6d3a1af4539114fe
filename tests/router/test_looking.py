"""What the commands that look see of a real router, and that --all-mine takes what is this host's and nothing else."""

from pathlib import Path

import anyio
import anyio.to_thread

from portmapper import PortMapper, noted_mappings
from portmapper.known import join
from portmapper.net import clock
from portmapper.sightings import Announced, Appeared, Disappeared, Sighting
from portmapper.watching import GatewayWatch
from tests.router.conftest import MakeLab
from tests.router.lab import EXTERNAL, GATEWAY, NEIGHBOUR_ADDRESS
from tests.router.test_upnp import add


def test_every_protocol_tells_the_same_address_and_answers_soon(make_lab: MakeLab) -> None:
    async def work() -> None:
        async with PortMapper(gateway=GATEWAY) as mapper:
            told = await mapper.external_addresses()
            assert {name: str(one) for name, one in told.items()} == dict.fromkeys(("pcp", "natpmp", "upnp"), EXTERNAL)
            assert await mapper.list_mappings() == ()  # the probe by PCP is gone
            assert all(isinstance(one, float) and one < 1 for one in (await mapper.probe()).values())

    make_lab().ask(work)


def test_what_is_noted_and_listed_is_one_and_all_of_this_host_goes(make_lab: MakeLab, tmp_path: Path) -> None:
    """One by each protocol, and one that nobody noted; the neighbour's stays."""
    lab = make_lab()
    state = tmp_path / "state"

    async def leave() -> None:
        async with PortMapper(gateway=GATEWAY, state=state) as first:
            (await first.map(8080)).detach()
        for port, backend in ((8081, "natpmp"), (8082, "upnp")):
            async with PortMapper(gateway=GATEWAY, backends=[backend]) as other:
                (await other.map(port, "udp")).detach()

    async def sweep() -> None:
        async with PortMapper(gateway=GATEWAY, state=state) as mapper:
            noted = await anyio.to_thread.run_sync(noted_mappings, state)
            known = join(await mapper.list_mappings(), noted, mapper.gateway, clock.wall())
            assert {one.internal_port: one.sources for one in known} == {
                8080: ("gateway", "journal"), 8081: ("gateway",), 8082: ("gateway",), 8000: ("gateway",)
            }  # fmt: skip
            swept = await mapper.unmap_mine()
            assert sorted(one.note.request.internal_port for one in swept.cleared) == [8080, 8081, 8082]
            assert [one.error for one in swept.cleared] == [None] * 3
            assert [one.internal_port for one in await mapper.list_mappings()] == [8000]
            assert await anyio.to_thread.run_sync(noted_mappings, state) == ()

    with lab.second_host():
        add(lab, 9090, NEIGHBOUR_ADDRESS, host=lab.neighbour)
        lab.ask(leave)
        lab.ask(sweep)


def test_a_router_that_restarts_is_seen_to_announce_it_and_to_have_lost_everything(make_lab: MakeLab) -> None:
    """Whose epoch was so young that the new one does not tell."""
    lab = make_lab()
    seen: list[Sighting] = []

    async def watch() -> None:
        async with PortMapper(gateway=GATEWAY) as other:
            (await other.map(8080)).detach()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(GatewayWatch(seen.append, gateway=GATEWAY, interval=5).run)
            await _until(Appeared)
            await anyio.to_thread.run_sync(lab.reboot)
            await _until(Disappeared)
            tasks.cancel_scope.cancel()

    async def _until(kind: type[Sighting]) -> None:
        with anyio.fail_after(15):
            while not any(isinstance(one, kind) for one in seen):
                await anyio.sleep(0.05)

    lab.ask(watch)
    assert any(isinstance(one, Announced) for one in seen)
