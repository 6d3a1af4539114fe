"""One port on several gateways at once."""

from dataclasses import replace

import anyio
import pytest

from portmapper import EveryGateway, InvalidRequest, MapperClosed, Mapping, NoService, PortMapper, limits
from portmapper.model import IPAddress
from portmapper.testing import SimulatedGateway

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("virtual_time")]


class Silent(SimulatedGateway):
    """Answers nothing once it is told to be silent."""

    silent = False

    def answer_datagram(self, data: bytes, sender: IPAddress) -> list[bytes]:
        return [] if self.silent else super().answer_datagram(data, sender)


@pytest.mark.conforms("F27")
async def test_each_gateway_is_asked_and_says_what_it_granted_or_why_not() -> None:
    async with SimulatedGateway() as one, SimulatedGateway(pcp=False, natpmp=False, upnp=False) as none:
        async with EveryGateway([one.gateway, none.gateway]) as everywhere:
            results = await everywhere.map(4001, external_port=4101)
            assert list(results) == [one.gateway, none.gateway]
            mapping, problem = results.values()
            assert isinstance(mapping, Mapping)
            assert mapping.external_port == 4101
            assert isinstance(problem, NoService)
            assert everywhere.mappings == (mapping,)
            assert [entry.external_port for entry in one.table] == [4101]
        assert list(one.table) == []


async def test_what_no_gateway_could_be_asked_is_raised() -> None:
    async with SimulatedGateway() as one, SimulatedGateway() as two:
        async with EveryGateway([one.gateway, two.gateway]) as everywhere:
            with pytest.raises(InvalidRequest):
                await everywhere.map(0)


async def test_gateways_that_are_silent_at_the_end_cost_no_more_than_one() -> None:
    async with Silent(upnp=False) as one, Silent(upnp=False) as two, Silent(upnp=False) as three:
        gateways = [one, two, three]
        async with EveryGateway([simulated.gateway for simulated in gateways]) as everywhere:
            await everywhere.map(4001)
            for simulated in gateways:
                simulated.silent = True
            begin = anyio.current_time()
        assert anyio.current_time() - begin < limits.RELEASE + 0.5


async def test_outside_its_block_it_is_closed() -> None:
    everywhere = EveryGateway([])
    with pytest.raises(MapperClosed):
        await everywhere.map(4001)


@pytest.mark.parametrize(("tunnel", "lifetime"), [(False, 7200), (True, 60)])
async def test_leases_through_a_tunnel_are_asked_for_a_minute_by_default(tunnel: bool, lifetime: int) -> None:
    async with SimulatedGateway() as simulated:
        async with PortMapper(gateway=replace(simulated.gateway, tunnel=tunnel)) as mapper:
            assert (await mapper.map(4001)).lease.lifetime == lifetime
            assert (await mapper.map(4002, lifetime=600)).lease.lifetime == 600
