"""What routers say when they restart, and what is said in their name."""

from dataclasses import replace

import anyio
import pytest

from portmapper import limits
from portmapper.testing import SimulatedGateway
from portmapper.upnp.ssdp import Kind
from tests.quirks.routers import adds, entry_of, mapper_at, named, own_address, quirky

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("virtual_time")]

LOOK = "GetSpecificPortMappingEntry"
ROUND = limits.RECOVERY_WAIT + 1
"""Long enough for everything to be mapped again."""


async def hear(
    router: SimulatedGateway, kind: Kind = Kind.ALIVE, *, boot_id: int | None = None, next_boot_id: int | None = None
) -> int:
    """Return how many mappings are looked at when the router says something."""
    before = len(named(router, LOOK))
    router.notify(kind, boot_id=boot_id, next_boot_id=next_boot_id)
    await anyio.sleep(limits.CHECK_GAP + 0.5)
    return len(named(router, LOOK)) - before


@pytest.mark.conforms("UP-23", "UP-25", "UP-96")
@pytest.mark.parametrize("boot_id", [8, 3])
async def test_another_boot_id_higher_or_lower_is_a_restart(boot_id: int) -> None:
    """Everything is mapped again at its old port, long before its renewal."""
    async with quirky(boot_id=7) as router, mapper_at(router) as mapper:
        for port in (4001, 4002):
            await mapper.map(port)
        assert await hear(router) == 2
        router.table.clear()
        assert await hear(router, boot_id=boot_id) > 0
        await anyio.sleep(ROUND)
        assert {entry.external_port for entry in router.table} == {4001, 4002}
        assert len(adds(router)) == 4


@pytest.mark.conforms("UP-25")
async def test_the_same_boot_id_again_is_no_restart() -> None:
    """Devices repeat what they say all the time, for each of their parts."""
    async with quirky(boot_id=7) as router, mapper_at(router) as mapper:
        await mapper.map(4001)
        await hear(router)
        assert [await hear(router) for _ in range(5)] == [0] * 5


@pytest.mark.conforms("F2", "UP-25")
async def test_a_restart_in_which_nothing_was_lost() -> None:
    """The router is asked what it has, and that is all."""
    async with quirky(boot_id=7) as router, mapper_at(router) as mapper:
        for port in range(4001, 4004):
            await mapper.map(port)
        assert await hear(router) == 3
        assert await hear(router, boot_id=8) == 3
        await anyio.sleep(ROUND)
        assert len(adds(router)) == 3


@pytest.mark.conforms("UP-27")
async def test_an_update_of_the_boot_id_is_no_restart() -> None:
    async with quirky(boot_id=7) as router, mapper_at(router) as mapper:
        await mapper.map(4001)
        await hear(router)
        assert await hear(router, Kind.UPDATE, next_boot_id=9) == 0
        assert await hear(router, boot_id=9) == 0
        assert await hear(router, boot_id=7) == 1


@pytest.mark.conforms("UP-20", "UP-29")
@pytest.mark.parametrize("boot_id", [None, 7])
async def test_a_router_that_says_goodbye_and_hello_was_restarted(boot_id: int | None) -> None:
    """It need not have a BOOTID; when it goes nothing is asked, for it is going."""
    async with quirky(boot_id=boot_id) as router, mapper_at(router) as mapper:
        await mapper.map(4001)
        await hear(router)
        assert await hear(router) == 0
        assert await hear(router, Kind.BYEBYE) == 0
        router.table.clear()
        assert await hear(router) > 0
        await anyio.sleep(ROUND)
        assert entry_of(router).external_port == 4001


@pytest.mark.conforms("F4", "Q-17", "UP-96")
@pytest.mark.parametrize("permanent", [False, True])
async def test_a_restart_after_which_the_control_url_has_another_path(permanent: bool) -> None:
    """As a Livebox has it, at the same port."""
    async with quirky(control_url="/27eb/ctl", permanent_only=permanent) as router, mapper_at(router) as mapper:
        mappings = [await mapper.map(port) for port in (4001, 4002)]
        router.reboot()
        router._igd.switches = replace(router._igd.switches, control_url="/9fac/ctl")
        await mappings[0].refresh()
        await anyio.sleep(ROUND)
        assert {entry.external_port for entry in router.table} == {4001, 4002}


@pytest.mark.conforms("UP-25", "UP-49")
async def test_what_a_neighbour_says_is_not_heard() -> None:
    async with quirky(boot_id=7) as router, mapper_at(router) as mapper:
        await mapper.map(4001)
        before = len(router.calls)
        for boot_id in range(8, 20):
            router.notify(Kind.ALIVE, boot_id=boot_id, address=own_address())
        await anyio.sleep(ROUND)
        assert len(router.calls) == before


@pytest.mark.conforms("UP-25", "UP-150")
async def test_restarts_without_end_are_looked_into_once_a_second() -> None:
    """Anybody may forge them; each costs a look at a few mappings at most."""
    async with quirky(boot_id=7) as router, mapper_at(router) as mapper:
        for port in range(4001, 4021):
            await mapper.map(port)
        looked = len(named(router, LOOK))
        for boot_id in range(1, 101):
            router.notify(Kind.ALIVE, boot_id=boot_id)
            await anyio.sleep(0.05)
        assert 0 < len(named(router, LOOK)) - looked <= 6 * limits.CHECKED_LEASES
        assert len(adds(router)) == 20
