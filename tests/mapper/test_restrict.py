"""Changing who may come in: when that is possible, and what else it touches."""

import pytest

from portmapper import MapperClosed, PortMapper, Protocol
from portmapper.pcp import wire as pcp
from portmapper.testing import SimulatedGateway

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("virtual_time")]


async def test_a_closed_mapping_cannot_be_restricted() -> None:
    async with SimulatedGateway() as simulated, PortMapper(gateway=simulated.gateway) as mapper:
        mapping = await mapper.map(4001)
        await mapping.close()
        simulated.datagrams.clear()
        with pytest.raises(MapperClosed):
            await mapping.restrict("127.0.0.2")
        assert simulated.datagrams == []


@pytest.mark.parametrize(("changed", "renewed"), [("udp", ["udp", "tcp"]), ("tcp", ["tcp"])])
async def test_a_restricted_mapping_has_the_later_of_its_twins_renewed(changed: str, renewed: list[str]) -> None:
    """miniupnpd 2.3.1 takes the newest filter rule of the port for the one that is renewed."""
    async with SimulatedGateway() as simulated, PortMapper(gateway=simulated.gateway, backends=["pcp"]) as mapper:
        made = {name: await mapper.map(4001, name, external_port=21270) for name in ("udp", "tcp")}
        simulated.datagrams.clear()
        await made[changed].restrict("127.0.0.2")
        requests = [pcp.decode_request(data) for data in simulated.datagrams]
        assert [Protocol.of(one.protocol) for one in requests if isinstance(one, pcp.MapRequest)] == renewed
