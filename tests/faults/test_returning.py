"""F25: a gateway that is full, and has room again."""

import anyio
import pytest

from portmapper import MappingState, NoService, PortMapper, limits
from portmapper.model import IPAddress
from portmapper.natpmp import wire as natpmp
from portmapper.pcp import wire as pcp
from portmapper.pcp.results import Result
from portmapper.testing import IgdSwitches, SimulatedGateway, gateway
from tests.faults.refusing import refusal_of

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("virtual_time")]

LATEST = 1 + limits.RETRY_JITTER
"""A wait may be so much longer."""


@pytest.fixture(autouse=True)
def leases_end_by_the_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking each second would take most of the time here."""
    monkeypatch.setattr(gateway, "_TICK", 60)


class Full(SimulatedGateway):
    """Has no room when told so, neither for new mappings nor for those that it has."""

    def __init__(self, pcp_result: int = Result.NO_RESOURCES) -> None:
        self._results = {natpmp.VERSION: natpmp.Result.OUT_OF_RESOURCES, pcp.VERSION: pcp_result}
        self._refuses: dict[str, int] = {}
        self._full = False
        super().__init__(igd=IgdSwitches(refuses=self._refuses))

    def become(self, *, full: bool) -> None:
        self._full = full
        self._refuses.clear()
        if full:
            self._refuses.update(AddPortMapping=728, AddAnyPortMapping=728)

    def answer_datagram(self, data: bytes, sender: IPAddress) -> list[bytes]:
        if not self._full or not data[1]:
            return super().answer_datagram(data, sender)
        return [refusal_of(data, self._results[data[0]], lifetime=30, epoch=self.epoch)]


@pytest.mark.conforms("F25")
@pytest.mark.parametrize("code", [Result.NO_RESOURCES, Result.USER_EX_QUOTA])
@pytest.mark.parametrize("lasts", [700, 2000])
async def test_after_a_shortage_of_any_length_pcp_has_the_mapping_back_within_38_s(code: Result, lasts: int) -> None:
    """The gateway says that its error holds for 30 s. Then it is asked again, give or take a quarter."""
    async with Full(code) as simulated, PortMapper(gateway=simulated.gateway, backends=["pcp"]) as mapper:
        mapping = await mapper.map(4001, external_port=21001, lifetime=600)
        simulated.become(full=True)
        await anyio.sleep(lasts)
        assert mapping.external is None
        simulated.become(full=False)
        await anyio.sleep(limits.RETRY_FIRST * LATEST + 1)
        assert [entry.external_port for entry in simulated.table] == [21001]
        assert mapping.state is MappingState.MAPPED


@pytest.mark.conforms("F25")
@pytest.mark.parametrize("backend", ["natpmp", "upnp"])
@pytest.mark.parametrize(("lasts", "within"), [(5, limits.RETRY_FIRST * LATEST), (2500, limits.RETRY_LAST * LATEST)])
async def test_where_the_gateway_does_not_say_for_how_long_the_shortage_counts(
    backend: str, lasts: float, within: float
) -> None:
    """`lasts` is how long the mapping is lost before there is room again."""
    async with Full() as simulated, PortMapper(gateway=simulated.gateway, backends=[backend]) as mapper:
        mapping = await mapper.map(4001, external_port=21001, lifetime=600)
        simulated.become(full=True)
        await anyio.sleep(600 + lasts)
        assert mapping.external is None
        simulated.become(full=False)
        await anyio.sleep(within + 1)
        assert mapping.state is MappingState.MAPPED


@pytest.mark.conforms("F25")
@pytest.mark.parametrize("backend", ["pcp", "natpmp", "upnp"])
async def test_a_mapping_that_is_asked_for_is_granted_as_soon_as_the_refusal_ends(backend: str) -> None:
    async with Full() as simulated, PortMapper(gateway=simulated.gateway, backends=[backend]) as mapper:
        simulated.become(full=True)
        with pytest.raises(NoService) as caught:
            await mapper.map(4001)
        simulated.become(full=False)
        await anyio.sleep((caught.value.retry_after or 0) + 0.1)
        await mapper.map(4001)
