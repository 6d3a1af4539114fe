"""What a mapping tells of its future: when it is renewed, and when its lease ends."""

from math import inf

import anyio
import pytest

from portmapper import MappingState, PortMapper, limits
from portmapper.testing import IgdSwitches, SimulatedGateway
from tests.mapper.test_main_path import ONLY, backend
from tests.mapper.test_renewal import Fickle

__all__ = ["backend"]

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("virtual_time")]


async def test_the_next_renewal_and_the_end_come_nearer_and_go_away_again(backend: str) -> None:
    async with SimulatedGateway(**ONLY[backend]) as simulated, PortMapper(gateway=simulated.gateway) as mapper:
        mapping = await mapper.map(4001, lifetime=1000)
        assert 500 <= mapping.next_attempt <= 625
        assert mapping.remaining == pytest.approx(1000, abs=2)
        due = mapping.next_attempt
        await anyio.sleep(100)
        assert mapping.next_attempt == pytest.approx(due - 100, abs=0.1)
        assert mapping.remaining == pytest.approx(900, abs=2)
        await anyio.sleep(mapping.next_attempt + 5)
        assert mapping.next_attempt > 400
        assert mapping.remaining == pytest.approx(995, abs=3)
        await mapping.close()
        assert (mapping.next_attempt, mapping.remaining) == (inf, 0.0)


async def test_one_that_is_lost_has_a_next_attempt_and_no_lease() -> None:
    async with Fickle(**ONLY["pcp"]) as simulated, PortMapper(gateway=simulated.gateway) as mapper:
        mapping = await mapper.map(4001, lifetime=60)
        simulated.silent = True
        await anyio.sleep(300)
        assert mapping.state is MappingState.LOST
        assert mapping.remaining == 0.0
        with anyio.fail_after(300):
            while mapping.next_attempt == inf:  # while it is being tried for
                await anyio.sleep(1)
        assert 0 < mapping.next_attempt <= limits.RETRY_LAST


async def test_one_without_end_is_renewed_all_the_same() -> None:
    switches = IgdSwitches(permanent_only=True)
    simulation = SimulatedGateway(pcp=False, natpmp=False, igd=switches)
    async with simulation as simulated, PortMapper(gateway=simulated.gateway) as mapper:
        mapping = await mapper.map(4001)
        assert mapping.remaining == inf
        assert 0 < mapping.next_attempt < 7200
