"""What no protocol could carry is an InvalidRequest, and nothing is sent for it."""

from collections.abc import Awaitable, Callable
from ipaddress import IPv4Network

import pytest

from portmapper import InvalidRequest, PortMapper
from portmapper.testing import SimulatedGateway

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("virtual_time")]

Call = Callable[[PortMapper], Awaitable[object]]

PEER = "198.51.100.20"
FILTERS = [str(network) for network in IPv4Network("198.51.100.0/26").subnets(new_prefix=32)]

CALLS = [
    pytest.param(lambda mapper: mapper.map(-1), id="port -1"),
    pytest.param(lambda mapper: mapper.map(0), id="port 0"),
    pytest.param(lambda mapper: mapper.map(65536), id="port 65536"),
    pytest.param(lambda mapper: mapper.map(80, external_port=-1), id="external port -1"),
    pytest.param(lambda mapper: mapper.map(80, external_port=65536), id="external port 65536"),
    pytest.param(lambda mapper: mapper.map(80, lifetime=-1), id="lifetime -1"),
    pytest.param(lambda mapper: mapper.map(80, lifetime=0), id="lifetime 0"),
    pytest.param(lambda mapper: mapper.map(80, lifetime=2**32), id="lifetime 2**32"),
    pytest.param(lambda mapper: mapper.map(0, "256"), id="protocol 256"),
    pytest.param(lambda mapper: mapper.map(0, "-1"), id="protocol -1"),
    pytest.param(lambda mapper: mapper.map(80, count=0), id="count 0"),
    pytest.param(lambda mapper: mapper.map(80, count=-1), id="count -1"),
    pytest.param(lambda mapper: mapper.map(1, count=65536), id="count 65536"),
    pytest.param(lambda mapper: mapper.map(65535, count=2), id="ports beyond 65535"),
    pytest.param(lambda mapper: mapper.map(80, external_port=65535, count=2), id="external ports beyond 65535"),
    pytest.param(
        lambda mapper: mapper.map(80, exact=True), id="exact without a port", marks=pytest.mark.conforms("PC-122")
    ),
    pytest.param(
        lambda mapper: mapper.map(80, external_port=80, exact=True, count=2),
        id="several exact ports",
        marks=pytest.mark.conforms("PC-131"),
    ),
    pytest.param(lambda mapper: mapper.map(80, all_ports=True), id="all ports and one"),
    pytest.param(lambda mapper: mapper.map(0, external_port=80, all_ports=True), id="all ports at one"),
    pytest.param(
        lambda mapper: mapper.map(80, "gre"),
        id="a port of a protocol without ports",
        marks=pytest.mark.conforms("PC-142"),
    ),
    pytest.param(
        lambda mapper: mapper.map(80, remote="2001:db8::/32"),
        id="a filter of the other family",
        marks=pytest.mark.conforms("PC-117"),
    ),
    pytest.param(lambda mapper: mapper.map(80, remote="[198.51.100.7]:65536"), id="a filter from port 65536"),
    pytest.param(lambda mapper: mapper.map(80, remote="198.51.100.7/24"), id="a filter with host bits"),
    pytest.param(lambda mapper: mapper.map(80, remote="somebody"), id="a filter that is none"),
    pytest.param(lambda mapper: mapper.map(80, remote=FILTERS), id="64 filters"),
    pytest.param(lambda mapper: mapper.map(80, internal_address="somebody"), id="a host that is none"),
    pytest.param(
        lambda mapper: mapper.peer(0, PEER, 443), id="a peer from port 0", marks=pytest.mark.conforms("PC-135")
    ),
    pytest.param(lambda mapper: mapper.peer(65536, PEER, 443), id="a peer from port 65536"),
    pytest.param(lambda mapper: mapper.peer(80, PEER, -1), id="a peer at port -1"),
    pytest.param(lambda mapper: mapper.peer(80, PEER, 0), id="a peer at port 0", marks=pytest.mark.conforms("PC-135")),
    pytest.param(lambda mapper: mapper.peer(80, PEER, 65536), id="a peer at port 65536"),
    pytest.param(
        lambda mapper: mapper.peer(80, "2001:db8::1", 443),
        id="a peer of the other family",
        marks=pytest.mark.conforms("PC-117"),
    ),
    pytest.param(lambda mapper: mapper.peer(80, "0.0.0.0", 443), id="a peer that is nowhere"),
    pytest.param(lambda mapper: mapper.peer(80, "224.0.0.1", 443), id="a peer that is many"),
    pytest.param(lambda mapper: mapper.peer(80, "somebody", 443), id="a peer that is none"),
    pytest.param(
        lambda mapper: mapper.peer(0, PEER, 443, "all"),
        id="a peer by all protocols",
        marks=pytest.mark.conforms("PC-135"),
    ),
    pytest.param(lambda mapper: mapper.peer(80, PEER, 443, lifetime=-1), id="a peer for -1 s"),
    pytest.param(lambda mapper: mapper.unmap(-1), id="unmap port -1"),
    pytest.param(lambda mapper: mapper.unmap(65536), id="unmap port 65536"),
    pytest.param(lambda mapper: mapper.unmap(80, external_port=65536), id="unmap external port 65536"),
    pytest.param(lambda mapper: mapper.unmap(0, "256"), id="unmap protocol 256"),
    pytest.param(lambda mapper: mapper.unmap_all("256"), id="unmap all of protocol 256"),
]


@pytest.mark.parametrize("call", CALLS)
async def test_bad_input_is_refused_before_anything_is_sent(call: Call) -> None:
    async with SimulatedGateway() as simulated, PortMapper(gateway=simulated.gateway) as mapper:
        with pytest.raises(InvalidRequest) as caught:
            await call(mapper)
        assert isinstance(caught.value, ValueError)
        assert simulated.datagrams == simulated.searches == []
        assert mapper.mappings == ()


async def test_good_input_is_not_refused() -> None:
    """The limits themselves."""
    async with SimulatedGateway() as simulated, PortMapper(gateway=simulated.gateway) as mapper:
        for call in (
            mapper.map(65535, "udp", external_port=65535, lifetime=2**32 - 1),
            mapper.map(1, "udp", lifetime=1),
            mapper.map(80, remote=FILTERS[:16]),
            mapper.peer(65535, PEER, 65535),
        ):
            await call
        assert len(mapper.mappings) == 4
