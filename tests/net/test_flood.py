"""Another host floods the groups that are listened to, and the port of announcements."""

import subprocess
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from portmapper.mapper import PortMapper
from portmapper.testing import SimulatedGateway
from tests.announcing import ANNOUNCEMENTS, announce

pytestmark = pytest.mark.anyio

SCRIPT = Path(__file__).with_name("flood.py")
FULL, MODERATE = 20_000, 2_000  # datagrams per second
SOON = 0.5


@asynccontextmanager
async def flooded(per_second: int) -> AsyncGenerator[None]:
    """Flood from another process, until the end of the block."""
    with subprocess.Popen([sys.executable, str(SCRIPT), str(per_second), "60"], stdout=subprocess.PIPE) as flood:
        assert flood.stdout is not None
        assert flood.stdout.readline() == b"begun\n"
        try:
            yield
        finally:
            flood.kill()


@asynccontextmanager
async def mapped() -> AsyncGenerator[SimulatedGateway]:
    """A mapper that holds a mapping by PCP."""
    async with SimulatedGateway() as simulated, PortMapper(gateway=simulated.gateway, backends=["pcp"]) as mapper:
        await mapper.map(4001)
        yield simulated


async def heard_after(simulated: SimulatedGateway) -> float:
    """Return after how many seconds the gateway is asked because of an announcement."""
    before, begin = len(simulated.datagrams), time.monotonic()
    announce(simulated, ANNOUNCEMENTS["pcp"])
    with anyio.move_on_after(5):
        while len(simulated.datagrams) == before:
            await anyio.sleep(0.01)
    return time.monotonic() - begin


async def test_a_flood_of_foreign_datagrams_costs_little_time() -> None:
    """30 to 40 % of a core before there were pauses; 3 % with them."""
    async with mapped(), flooded(FULL):
        await anyio.sleep(0.2)
        before, begin = time.process_time(), time.monotonic()
        await anyio.sleep(2)
        share = (time.process_time() - before) / (time.monotonic() - begin)
    print(f"{share:.1%} of a core under {FULL} datagrams/s")
    assert share < 0.12


async def test_an_announcement_is_heard_soon_after_a_flood() -> None:
    async with mapped() as simulated:
        async with flooded(FULL):
            await anyio.sleep(0.5)
        await anyio.sleep(SOON)
        assert await heard_after(simulated) < SOON


async def test_every_announcement_is_heard_in_a_moderate_flood() -> None:
    async with mapped() as simulated, flooded(MODERATE):
        await anyio.sleep(0.2)
        for _ in range(3):
            assert await heard_after(simulated) < SOON
            await anyio.sleep(1.1)  # at most one question a second
