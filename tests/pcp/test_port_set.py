"""Several ports in one mapping (RFC 7753)."""

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from portmapper import InvalidRequest, PortMapper, ProtocolError
from portmapper.model import Endpoint, MappingRequest, Protocol
from portmapper.pcp import wire
from portmapper.pcp.options import Option, PortSet, UnknownOption
from portmapper.pcp.request import external_endpoint, granted_ports, mapping_request
from portmapper.testing import PcpSwitches
from tests.pcp.lying import Lying, backend_of, maps, with_changes
from tests.wire import vectors as tv

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("virtual_time")]

CLIENT = IPv4Address("192.168.1.10")
HUNDRED = MappingRequest(protocol=Protocol.UDP, internal_port=50000, lifetime=3600, count=100)


def sets(request: wire.Request) -> list[PortSet]:
    return [option for option in request.options if isinstance(option, PortSet)]


def granted(*options: Option) -> wire.MapResponse:
    """Return TV-17's answer with other options."""
    response = wire.decode_response(tv.TV17_RESP)
    assert isinstance(response, wire.MapResponse)
    return replace(response, options=options)


def probe() -> UnknownOption:
    """Return the option by which an echo shows."""
    (option,) = (one for one in mapping_request(HUNDRED, CLIENT, bytes(12)).options if isinstance(one, UnknownOption))
    return option


# --- What is asked


@pytest.mark.conforms("PC-129", "PC-130")
def test_a_set_of_ports_byte_for_byte() -> None:
    """TV-17, and one option more: for private use, optional to process, and so never in an honest answer."""
    data = mapping_request(HUNDRED, CLIENT, bytes(range(1, 13))).encode()
    assert data[: len(tv.TV17_REQ)] == tv.TV17_REQ
    assert data[len(tv.TV17_REQ) :] == bytes([254, 0, 0, 0])


@pytest.mark.conforms("PC-131")
def test_a_single_port_is_asked_for_without_a_set() -> None:
    assert mapping_request(replace(HUNDRED, count=1), CLIENT, bytes(12)).options == ()


@pytest.mark.conforms("PC-131")
def test_several_ports_cannot_be_exact_ones() -> None:
    with pytest.raises(InvalidRequest):
        replace(HUNDRED, external_port=50000, exact=True)


# --- What was granted


@pytest.mark.conforms("PC-132")
def test_thirty_two_of_a_hundred() -> None:
    """TV-17: 192.0.2.3, ports 37056 to 37087."""
    response = wire.decode_response(tv.TV17_RESP)
    assert isinstance(response, wire.MapResponse)
    assert granted_ports(HUNDRED, response) == (50000, 32)
    assert external_endpoint(response, CLIENT) == Endpoint(IPv4Address("192.0.2.3"), 37056)


@pytest.mark.conforms("PC-132")
def test_the_set_may_begin_at_another_internal_port() -> None:
    assert granted_ports(HUNDRED, granted(PortSet(32, 50068))) == (50068, 32)


@pytest.mark.conforms("PC-30", "PC-31", "PC-132")
def test_without_the_option_it_is_one_port() -> None:
    assert granted_ports(HUNDRED, granted()) == (50000, 1)


@pytest.mark.conforms("PC-30", "PC-31", "PC-132")
def test_with_the_probe_it_is_an_echo_and_one_port() -> None:
    """What is not to be processed came back, so PORT_SET says nothing either."""
    assert granted_ports(HUNDRED, granted(PortSet(100, 50000), probe())) == (50000, 1)


@pytest.mark.conforms("PC-132")
@pytest.mark.parametrize("option", [PortSet(101, 50000), PortSet(32, 50069), PortSet(32, 49999), PortSet(1, 1)])
def test_ports_that_were_not_asked_for_are_not_taken_for_granted(option: PortSet) -> None:
    assert granted_ports(HUNDRED, granted(option)) == (50000, 1)


@pytest.mark.conforms("PC-132")
def test_a_set_in_the_answer_to_a_request_for_one_port_means_nothing() -> None:
    assert granted_ports(replace(HUNDRED, count=1), granted(PortSet(32, 50000))) == (50000, 1)


@pytest.mark.conforms("PC-132")
async def test_the_lease_says_how_many_were_granted() -> None:
    async with Lying() as simulated, PortMapper(gateway=simulated.gateway) as mapper:
        lease = (await mapper.map(4001, "udp", count=100)).lease
        (entry,) = simulated.table
        assert (lease.count, lease.internal.port) == (32, 4001)
        assert lease.external.port == entry.external_port
        assert [entry.covers(lease.external.port + offset) for offset in (-1, 0, 31, 32)] == [False, True, True, False]


@pytest.mark.conforms("PC-30", "PC-31")
@pytest.mark.parametrize("echoes", [False, True])
async def test_a_server_that_does_not_know_the_option_gives_one_port(echoes: bool) -> None:
    """And one that repeats all options of the request, as miniupnpd 2.3.1 does, does not look as if it knew it."""
    switches = PcpSwitches(max_port_set=0, echoes_options=echoes)
    async with Lying(pcp_switches=switches) as simulated, PortMapper(gateway=simulated.gateway) as mapper:
        mapping = await mapper.map(4001, "udp", count=100)
        assert mapping.lease.count == 1
        await mapping.refresh()
        await mapping.close()
        assert [len(sets(asked)) for asked in maps(simulated)] == [1, 0, 0]
        assert list(simulated.table) == []


# --- Renewal and delete


@pytest.mark.conforms("PC-133")
async def test_renewal_and_delete_carry_the_set_that_was_granted() -> None:
    async with Lying() as simulated, PortMapper(gateway=simulated.gateway) as mapper:
        mapping = await mapper.map(4001, "udp", count=100)
        await mapping.refresh()
        await mapping.close()
        assert [sets(asked) for asked in maps(simulated)] == [
            [PortSet(100, 4001)], [PortSet(32, 4001)], [PortSet(32, 4001)]
        ]  # fmt: skip
        assert [asked.lifetime for asked in maps(simulated)] == [7200, 7200, 0]
        assert list(simulated.table) == []


@pytest.mark.conforms("PC-133")
async def test_a_later_run_deletes_the_set_by_what_was_asked() -> None:
    async with Lying() as simulated:
        request = replace(HUNDRED, internal_port=4001)
        await backend_of(simulated).map(request)
        later = backend_of(simulated)
        await later.unmap(await later.find(request))
        assert sets(maps(simulated)[-1]) == [PortSet(100, 4001)]
        assert list(simulated.table) == []


@pytest.mark.conforms("PC-133")
@pytest.mark.parametrize(("port", "count"), [(4001, 10), (3995, 10), (4010, 1), (4004, 2), (3990, 100)])
async def test_sets_that_overlap_are_refused_before_anything_is_sent(port: int, count: int) -> None:
    async with Lying() as simulated, PortMapper(gateway=simulated.gateway) as mapper:
        await mapper.map(4001, "udp", count=10)
        simulated.datagrams.clear()
        with pytest.raises(InvalidRequest, match="overlaps"):
            await mapper.map(port, "udp", count=count)
        assert simulated.datagrams == []


@pytest.mark.conforms("PC-133")
@pytest.mark.parametrize(("port", "protocol", "count"), [(4011, "udp", 5), (3996, "udp", 5), (4001, "tcp", 10)])
async def test_sets_side_by_side_do_not_overlap(port: int, protocol: str, count: int) -> None:
    async with Lying() as simulated, PortMapper(gateway=simulated.gateway) as mapper:
        await mapper.map(4001, "udp", count=10)
        await mapper.map(port, protocol, count=count)
        assert sum(entry.count for entry in simulated.table) == 10 + count


async def test_a_set_that_goes_beyond_the_last_port_is_no_grant() -> None:
    """It could not be asked for again."""
    async with Lying(with_changes(external_port=65520)) as simulated:
        with pytest.raises(ProtocolError, match="32 ports from 65520"):
            await backend_of(simulated).map(HUNDRED)
