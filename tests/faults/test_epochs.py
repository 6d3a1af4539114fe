"""F59, F60: the clock of a gateway that runs too fast or too slow, or is set back by a second, is no restart."""

import anyio
import pytest

from portmapper import PortMapper, Restored
from portmapper.net import clock
from portmapper.testing import SimulatedGateway, gateway

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("virtual_time")]

both = pytest.mark.parametrize("backend", ["pcp", "natpmp"])
HOUR = 3600


@pytest.fixture(autouse=True)
def leases_end_by_the_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking each second would take most of the time here."""
    monkeypatch.setattr(gateway, "_TICK", 60)


class Drifting(SimulatedGateway):
    """Its epoch runs at another `rate`, and may be set back."""

    rate = 1.0
    set_back = 0

    @property
    def epoch(self) -> int:
        return int(100_000 + (clock.now() - self._begin) * self.rate) - self.set_back


async def was_restored(simulated: Drifting, backend: str, check: float, seconds: float) -> bool:
    """Hold a mapping for so long, and return whether it was made again as if the gateway had forgotten it."""
    async with PortMapper(gateway=simulated.gateway, backends=[backend], check=check) as mapper:
        stream = (await mapper.map(4001)).events()
        await anyio.sleep(seconds)
    return any([isinstance(event, Restored) async for event in stream])


@pytest.mark.conforms("F59")
@both
@pytest.mark.parametrize(("check", "seconds"), [(5, HOUR / 12), (300, HOUR)])
@pytest.mark.parametrize(("rate", "restored"), [(0.95, False), (1.05, False), (0.5, True)])
async def test_a_clock_that_is_5_percent_off_is_no_restart(
    backend: str, check: float, seconds: float, rate: float, restored: bool
) -> None:
    """The last is the control."""
    async with Drifting() as simulated:
        simulated.rate = rate
        assert await was_restored(simulated, backend, check, seconds) is restored


class SetBack(Drifting):
    """Its clock is a second slow at every other look at it."""

    step = 1

    @property
    def epoch(self) -> int:
        self.set_back = self.step - self.set_back
        return super().epoch


@pytest.mark.conforms("F60")
@both
@pytest.mark.parametrize(("step", "restored"), [(1, False), (30, True)])
async def test_a_clock_that_is_set_back_by_a_second_is_no_restart(backend: str, step: int, restored: bool) -> None:
    """Again and again, between two answers to one look as well. The last is the control."""
    async with SetBack() as simulated:
        simulated.step = step
        assert await was_restored(simulated, backend, 5, HOUR / 12) is restored
