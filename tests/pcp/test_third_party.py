"""Mappings for another host (RFC 6887 section 13.1): off unless allowed, and never for this host itself."""

from dataclasses import replace
from ipaddress import IPv4Address, ip_address

import pytest

from portmapper import InvalidRequest, NoService, PortMapper, RequestRefused
from portmapper.model import Endpoint, MappingRequest, Protocol
from portmapper.pcp.options import ThirdParty
from portmapper.testing import PcpSwitches
from tests.pcp.lying import Lying, asked, backend_of, codes, maps

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("virtual_time")]

ALLOWED = PcpSwitches(allows_third_party=True)
OWN, OTHER = "127.0.0.1", "127.0.0.2"
OPTION = bytes.fromhex("01000010 00000000 00000000 0000ffff 7f000002")


@pytest.mark.conforms("PC-119")
@pytest.mark.parametrize("address", [OTHER, OWN, ip_address(OTHER)], ids=["other", "own", "parsed"])
async def test_without_permission_nothing_is_sent(address: str) -> None:
    async with Lying(pcp_switches=ALLOWED) as simulated, PortMapper(gateway=simulated.gateway) as mapper:
        with pytest.raises(InvalidRequest, match="allow_third_party"):
            await mapper.map(4001, internal_address=address)
        assert simulated.datagrams == []


@pytest.mark.conforms("PC-119")
async def test_with_permission_it_is_in_the_request_the_renewal_and_the_delete() -> None:
    """Code 1, length 16, the address; the client is still this host."""
    async with Lying(pcp_switches=ALLOWED) as simulated:
        async with PortMapper(gateway=simulated.gateway, allow_third_party=True) as mapper:
            mapping = await mapper.map(4001, internal_address=OTHER)
            (entry,) = simulated.table
            assert mapping.lease.internal == entry.internal == Endpoint(IPv4Address(OTHER), 4001)
            await mapping.refresh()
            await mapping.close()
        sent = [data for data in simulated.datagrams if data[1] == 1]
        assert [data[60:] for data in sent] == [OPTION] * 3
        assert {str(one.client) for one in maps(simulated)} == {OWN}
        assert list(simulated.table) == []


@pytest.mark.conforms("PC-119")
async def test_permission_alone_sends_none() -> None:
    async with Lying(pcp_switches=ALLOWED) as simulated:
        async with PortMapper(gateway=simulated.gateway, allow_third_party=True) as mapper:
            await mapper.map(4001)
        assert {tuple(codes(one)) for one in asked(simulated)} == {()}


@pytest.mark.conforms("PC-120")
async def test_the_own_address_is_no_third_party() -> None:
    """It is left out; with it the gateway would refuse, as this one does."""
    async with Lying(pcp_switches=ALLOWED) as simulated:
        async with PortMapper(gateway=simulated.gateway, allow_third_party=True) as mapper:
            mapping = await mapper.map(4001, internal_address=OWN)
            assert str(mapping.lease.internal.address) == OWN
            await mapping.refresh()
        assert {tuple(codes(one)) for one in asked(simulated)} == {()}
        request = MappingRequest(protocol=Protocol.TCP, internal_port=4001, internal_address=IPv4Address(OWN))
        with pytest.raises(RequestRefused, match="MALFORMED_REQUEST"):
            await backend_of(simulated).map(request)


@pytest.mark.conforms("PC-119", "PC-120")
async def test_the_removal_of_an_earlier_mapping_obeys_the_same_rules() -> None:
    def earlier(address: str) -> MappingRequest:
        return MappingRequest(protocol=Protocol.TCP, internal_port=4001, internal_address=IPv4Address(address))

    async with Lying(pcp_switches=ALLOWED) as simulated:
        async with PortMapper(gateway=simulated.gateway) as mapper:
            with pytest.raises(InvalidRequest, match="allow_third_party"):
                await mapper.unmap_request(earlier(OTHER))
        assert simulated.datagrams == []
        async with PortMapper(gateway=simulated.gateway, allow_third_party=True) as mapper:
            for address, options in ((OTHER, (ThirdParty(IPv4Address(OTHER)),)), (OWN, ())):
                await mapper.unmap_request(earlier(address))
                assert maps(simulated)[-1].options == options


@pytest.mark.conforms("PC-119")
async def test_a_gateway_that_does_not_allow_it_refuses() -> None:
    async with Lying() as simulated, PortMapper(gateway=simulated.gateway, allow_third_party=True) as mapper:
        with pytest.raises(NoService) as caught:
            await mapper.map(4001, internal_address=OTHER)
        assert "UNSUPP_OPTION" in str(caught.value.reasons["pcp"])


@pytest.mark.conforms("PC-119")
@pytest.mark.parametrize("address", ["0.0.0.0", "224.0.0.1", "2001:db8::1", "somewhere"])
async def test_what_is_no_host_of_this_network_is_refused_before_anything_is_sent(address: str) -> None:
    async with Lying(pcp_switches=ALLOWED) as simulated:
        async with PortMapper(gateway=simulated.gateway, allow_third_party=True) as mapper:
            with pytest.raises(InvalidRequest):
                await mapper.map(4001, internal_address=address)
        assert simulated.datagrams == []


async def test_the_same_port_of_two_hosts_makes_two_mappings() -> None:
    async with Lying(pcp_switches=ALLOWED) as simulated:
        backend = backend_of(simulated)
        request = MappingRequest(protocol=Protocol.TCP, internal_port=4001)
        other = replace(request, internal_address=IPv4Address(OTHER))
        leases = [await backend.map(one) for one in (request, other)]
        assert leases[0].token != leases[1].token
        assert len(list(simulated.table)) == 2
        await backend.unmap(leases[1])
        assert [str(entry.internal.address) for entry in simulated.table] == [OWN]
        assert maps(simulated)[-1].options == (ThirdParty(IPv4Address(OTHER)),)
