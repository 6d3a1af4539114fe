"""Mappings for certain remote peers only (RFC 6887 section 13.3): what is sent, and when it counts as done."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, IPv6Network

import pytest

from portmapper import InvalidRequest, NoService, PortMapper, ProtocolError, RequestRefused
from portmapper.model import Endpoint, Gateway, Lease, MappingRequest, Protocol, RemoteFilter
from portmapper.pcp import wire
from portmapper.pcp.options import Filter
from portmapper.pcp.request import check_filters, mapping_request
from portmapper.request import check_families
from portmapper.testing import PcpSwitches, SimulatedGateway
from tests.pcp.lying import Lying, backend_of, codes, maps
from tests.wire import vectors as tv

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("virtual_time")]

CLIENT = IPv4Address("192.168.1.10")
REMOVE_ALL = Filter(IPv4Address(0), 0)
OFFICE = RemoteFilter.parse("198.51.100.0/24")
HOST = RemoteFilter.parse("[198.51.101.5]:443")


def request_for(*remote: RemoteFilter) -> MappingRequest:
    return MappingRequest(protocol=Protocol.TCP, internal_port=8443, lifetime=3600, remote=remote)


def filters(request: wire.Request) -> list[Filter]:
    return [option for option in request.options if isinstance(option, Filter)]


def held_with(*remote: RemoteFilter) -> Lease:
    return Lease(
        request=request_for(*remote),
        gateway=Gateway(address=CLIENT, source=CLIENT),
        backend="pcp",
        internal=Endpoint(CLIENT, 8443),
        external=Endpoint(None, 40000),
        lifetime=3600,
    )


# --- What is sent


@pytest.mark.conforms("PC-113", "PC-114", "PC-115")
def test_filters_byte_for_byte() -> None:
    """TV-15: all filters are removed first; code, length 20, 0, prefix, port, address. Then what shows an echo."""
    asked = mapping_request(request_for(OFFICE, HOST), CLIENT, bytes(range(1, 13)))
    assert asked.encode() == tv.TV15_REQ + bytes.fromhex("fe000000")


@pytest.mark.conforms("PC-114")
@pytest.mark.parametrize(
    ("network", "address", "prefix"),
    [("198.51.100.0/24", "198.51.100.0", 120), ("0.0.0.0/0", "0.0.0.0", 96), ("198.51.100.7", "198.51.100.7", 128),
     ("2001:db8::/32", "2001:db8::", 32), ("2001:db8::7", "2001:db8::7", 128)],
)  # fmt: skip
def test_prefixes_of_ipv4_count_from_96(network: str, address: str, prefix: int) -> None:
    client = IPv6Address("2001:db8::10") if ":" in network else CLIENT
    asked = mapping_request(request_for(RemoteFilter.parse(network)), client, bytes(12))
    remove_all, filtered = filters(asked)
    assert (remove_all.prefix, str(filtered.address), filtered.prefix) == (0, address, prefix)
    assert remove_all.address.version == filtered.address.version


@pytest.mark.conforms("PC-115")
def test_a_filter_that_would_remove_all_on_the_wire_is_none() -> None:
    """All of IPv6 has prefix 0, which is what removes filters."""
    with pytest.raises(InvalidRequest):
        RemoteFilter(IPv6Network("::/0"))


@pytest.mark.conforms("PC-115", "PC-116")
@pytest.mark.parametrize("before", [(), (OFFICE,), (OFFICE, HOST)])
def test_new_filters_come_after_the_removal_of_the_old_ones(before: tuple[RemoteFilter, ...]) -> None:
    again = mapping_request(request_for(HOST), CLIENT, bytes(12), held_with(*before))
    assert filters(again) == [REMOVE_ALL, Filter(IPv4Address("198.51.101.5"), 128, 443)]


@pytest.mark.conforms("PC-115", "PC-116")
def test_without_filters_the_old_ones_are_removed_and_nothing_is_said_where_there_were_none() -> None:
    assert filters(mapping_request(request_for(), CLIENT, bytes(12), held_with(OFFICE))) == [REMOVE_ALL]
    assert filters(mapping_request(request_for(), CLIENT, bytes(12), held_with())) == []
    assert filters(mapping_request(request_for(), CLIENT, bytes(12))) == []


@pytest.mark.conforms("PC-116")
async def test_restricting_a_mapping_replaces_its_filters() -> None:
    async with Lying() as simulated, PortMapper(gateway=simulated.gateway) as mapper:
        mapping = await mapper.map(4001, remote=OFFICE)
        for remote in ((HOST,), (HOST, OFFICE), ()):
            simulated.datagrams.clear()
            await mapping.restrict(*remote)
            (asked,) = maps(simulated)
            assert filters(asked) == [REMOVE_ALL, *(Filter.of(one.network, one.port) for one in remote)]
            (entry,) = simulated.table
            assert entry.filters == filters(asked)[1:]
        simulated.datagrams.clear()
        await mapping.refresh()
        assert filters(maps(simulated)[0]) == []


# --- Families


@pytest.mark.conforms("PC-117")
@pytest.mark.parametrize("remote", ["2001:db8::/32", "[2001:db8::7]:443"])
async def test_filters_of_another_family_are_refused_before_anything_is_sent(remote: str) -> None:
    async with Lying() as simulated, PortMapper(gateway=simulated.gateway) as mapper:
        with pytest.raises(InvalidRequest, match="family"):
            await mapper.map(4001, remote=[OFFICE, remote])
        assert simulated.datagrams == []
        mapping = await mapper.map(4001)
        simulated.datagrams.clear()
        with pytest.raises(InvalidRequest, match="family"):
            await mapping.restrict(remote)
        assert simulated.datagrams == []


@pytest.mark.conforms("PC-117")
def test_filters_are_of_the_family_of_the_host_whatever_that_is() -> None:
    ipv6 = request_for(RemoteFilter.parse("2001:db8::/32"))
    check_families(ipv6, IPv6Address("2001:db8::10"))
    check_families(request_for(OFFICE), CLIENT)
    with pytest.raises(InvalidRequest):
        check_families(request_for(OFFICE), IPv6Address("2001:db8::10"))
    with pytest.raises(InvalidRequest):
        check_families(replace(ipv6, remote=(OFFICE, *ipv6.remote)), CLIENT)


# --- When it counts


def without_filters(answer: wire.Response) -> list[wire.Response]:
    """Leave FILTER out of a success, as a server does that did not process it."""
    if not isinstance(answer, wire.MapResponse) or answer.result:
        return [answer]
    return [replace(answer, options=tuple(one for one in answer.options if not isinstance(one, Filter)))]


@pytest.mark.conforms("PC-31")
async def test_filters_that_a_server_only_echoes_are_not_believed() -> None:
    """It sends back an option that it cannot know, as miniupnpd 2.3.1 does, which lets everybody in."""
    async with SimulatedGateway(pcp_switches=PcpSwitches(echoes_options=True)) as simulated:
        async with PortMapper(gateway=simulated.gateway, backends=["pcp"]) as mapper:
            with pytest.raises(NoService, match="echoes the filter"):
                await mapper.map(4001, remote=OFFICE)
            assert list(simulated.table) == []


@pytest.mark.conforms("PC-31")
def test_one_filter_of_two_is_not_enough() -> None:
    wanted = request_for(OFFICE, HOST)
    asked = mapping_request(wanted, CLIENT, bytes(12))
    assert isinstance(asked, wire.MapRequest)
    partly = wire.decode_response(tv.TV10_RESP)
    assert isinstance(partly, wire.MapResponse)
    with pytest.raises(ProtocolError, match="without the filter"):
        check_filters(wanted, replace(partly, options=asked.options[:2]))
    check_filters(wanted, replace(partly, options=asked.options[:3]))


def test_an_ipv4_address_in_ipv6_dress_is_no_filter() -> None:
    """On the wire it would be the filter for IPv4."""
    with pytest.raises(InvalidRequest, match=r"write 198\.51\.100\.0"):
        RemoteFilter.parse("::ffff:198.51.100.0/120")


@pytest.mark.conforms("PC-30", "PC-31")
async def test_a_success_without_the_filters_is_no_success_and_is_undone() -> None:
    """It lacks what was not processed, so the port is open to all."""
    async with Lying(without_filters) as simulated, PortMapper(gateway=simulated.gateway) as mapper:
        with pytest.raises(NoService) as caught:
            await mapper.map(4001, remote=OFFICE)
        reason = caught.value.reasons["pcp"]
        assert isinstance(reason, ProtocolError)
        assert "without the filter" in str(reason)
        assert list(simulated.table) == []
        made, undone = maps(simulated)
        assert (undone.lifetime, undone.nonce) == (0, made.nonce)


@pytest.mark.conforms("PC-30", "PC-31")
async def test_without_filters_none_are_missed() -> None:
    async with Lying(without_filters) as simulated, PortMapper(gateway=simulated.gateway) as mapper:
        await mapper.map(4001)
        assert len(list(simulated.table)) == 1


@pytest.mark.conforms("PC-30", "PC-31")
async def test_a_restriction_that_was_not_processed_is_an_error() -> None:
    async with Lying(without_filters) as simulated, PortMapper(gateway=simulated.gateway) as mapper:
        mapping = await mapper.map(4001)
        with pytest.raises(ProtocolError):
            await mapping.restrict(OFFICE)
        assert mapping.lease.request.remote == ()


@pytest.mark.conforms("PC-31", "PC-61")
async def test_an_error_repeats_the_filters_and_is_an_error() -> None:
    switches = PcpSwitches(max_filters=1)
    async with Lying(pcp_switches=switches) as simulated, PortMapper(gateway=simulated.gateway) as mapper:
        with pytest.raises(NoService) as caught:
            await mapper.map(4001, remote=[OFFICE, HOST])
        reason = caught.value.reasons["pcp"]
        assert isinstance(reason, RequestRefused)
        assert reason.name == "EXCESSIVE_REMOTE_PEERS"


# --- The delete


@pytest.mark.conforms("PC-97")
@pytest.mark.parametrize(
    "request_",
    [
        request_for(OFFICE, HOST),
        MappingRequest(protocol=Protocol.TCP, internal_port=4001, external_port=4043, exact=True),
    ],
    ids=["filtered", "exact"],
)
async def test_the_delete_of_a_filtered_or_exact_mapping_carries_no_option(request_: MappingRequest) -> None:
    async with Lying() as simulated:
        backend = backend_of(simulated)
        await backend.unmap(await backend.map(request_))
        made, deleted = maps(simulated)
        assert codes(made) != []
        assert codes(deleted) == []
        assert list(simulated.table) == []
