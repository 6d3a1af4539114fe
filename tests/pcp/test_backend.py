"""PCP behind the contract of backends: what it sends for each call, and what it keeps of the answers."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import anyio
import pytest

from portmapper import GatewayTimeout, NoService, PortMapper, PortUnavailable, RequestRefused
from portmapper.backend import BackendOptions
from portmapper.model import Endpoint, Gateway, IPAddress, MappingRequest, Protocol
from portmapper.pcp.backend import PcpBackend
from portmapper.pcp.options import PreferFailure
from portmapper.pcp.results import Result
from portmapper.testing import PcpSwitches
from tests.pcp.lying import Lying, asked, backend_of, maps, peers, with_changes

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("virtual_time")]

LOOPBACK = IPv4Address("127.0.0.1")
ZEROS = bytes(10) + b"\xff\xff" + bytes(4)
HERE = bytes(10) + b"\xff\xff" + LOOPBACK.packed
HOUR = 3600
ANY_PROTOCOL = PcpSwitches(protocols=frozenset(range(256)))

TCP = MappingRequest(protocol=Protocol.TCP, internal_port=4001, lifetime=HOUR)
PEER = MappingRequest(
    protocol=Protocol.UDP, internal_port=4001, lifetime=HOUR, peer=Endpoint(IPv4Address("198.51.100.20"), 443)
)
WILDCARDS = [
    MappingRequest(protocol=Protocol.TCP, internal_port=0, all_ports=True),
    MappingRequest(protocol=Protocol.parse("gre"), internal_port=0),
    MappingRequest(protocol=Protocol.ALL, internal_port=0),
]


class Forgetful(Lying):
    """Does not answer a new request before it is sent again, but for renewals: those are sent once."""

    def answer_datagram(self, data: bytes, sender: IPAddress) -> list[bytes]:
        is_renewal = data[42:44] != bytes(2)
        return super().answer_datagram(data, sender) if is_renewal or self.datagrams.count(data) > 1 else []


# --- The nonce


@pytest.mark.conforms("PC-21")
async def test_retransmissions_renewals_and_the_delete_have_the_nonce_of_the_first_request() -> None:
    async with Forgetful() as simulated:
        backend = backend_of(simulated)
        lease = await backend.map(TCP)
        await backend.unmap(await backend.map(TCP, renew=lease))
        assert [one.lifetime for one in maps(simulated)] == [HOUR, HOUR, HOUR, 0, 0]
        assert simulated.datagrams[0] == simulated.datagrams[1]
        assert simulated.datagrams[3] == simulated.datagrams[4]
        assert {one.nonce for one in maps(simulated)} == {lease.token}
        assert list(simulated.table) == []


@pytest.mark.conforms("PC-143")
@pytest.mark.parametrize("request_", WILDCARDS, ids=["all tcp", "gre", "everything"])
async def test_all_ports_are_deleted_with_the_nonce_that_they_were_mapped_with(request_: MappingRequest) -> None:
    """By this run, and by a later one with the same key; with another the gateway refuses."""
    async with Lying(pcp_switches=ANY_PROTOCOL) as simulated:
        for later in (False, True):
            backend = backend_of(simulated)
            lease = await backend.map(request_)
            assert len(list(simulated.table)) == 1
            with pytest.raises(RequestRefused):
                await backend.unmap(await backend_of(simulated, key=bytes(31) + b"x").find(request_))
            await backend.unmap(await backend_of(simulated).find(request_) if later else lease)
            assert list(simulated.table) == []
            made, _, deleted = maps(simulated)[-3:]
            assert (deleted.nonce, deleted.lifetime) == (made.nonce, 0)
            assert (made.internal_port, made.external_port, deleted.internal_port) == (0, 0, 0)


# --- What is suggested


@pytest.mark.conforms("PC-86", "PC-92", "PC-94", "PC-95")
async def test_the_first_request_the_renewal_and_the_delete_byte_for_byte() -> None:
    """Nothing is suggested at first and at last, and in between what was assigned."""
    async with Lying() as simulated:
        backend = backend_of(simulated)
        lease = await backend.map(TCP)
        await backend.unmap(await backend.map(TCP, renew=lease))
        nonce, port = lease.token, lease.external.port.to_bytes(2, "big")
        identity = HERE + nonce + bytes([6, 0, 0, 0]) + (4001).to_bytes(2, "big")
        assert lease.external.port != 0
        assert simulated.datagrams == [
            bytes.fromhex("02010000 00000e10") + identity + bytes(2) + ZEROS,
            bytes.fromhex("02010000 00000e10") + identity + port + HERE,
            bytes.fromhex("02010000 00000000") + identity + bytes(2) + ZEROS,
        ]


@pytest.mark.conforms("PC-136")
async def test_a_peer_mapping_suggests_nothing_at_first_and_what_was_held_then() -> None:
    async with Lying() as simulated:
        backend = backend_of(simulated)
        lease = await backend.map(PEER)
        await backend.map(PEER, renew=lease)
        first, again = peers(simulated)
        assert (first.external_port, first.external_address) == (0, IPv4Address(0))
        assert Endpoint(again.external_address, again.external_port) == lease.external
        assert first.nonce == again.nonce


@pytest.mark.conforms("PC-144")
async def test_sctp_is_mapped_renewed_and_may_be_refused() -> None:
    async with Lying() as simulated:
        sctp = MappingRequest(protocol=Protocol.parse("sctp"), internal_port=3868)
        backend = backend_of(simulated)
        lease = await backend.map(sctp)
        simulated.change = with_changes(result=Result.CANNOT_PROVIDE_EXTERNAL, lifetime=30)
        with pytest.raises(RequestRefused, match="CANNOT_PROVIDE_EXTERNAL"):
            await backend.map(sctp, renew=lease)
        first, again = maps(simulated)
        assert (first.protocol, first.external_port, first.external_address) == (132, 0, IPv4Address(0))
        assert Endpoint(again.external_address, again.external_port) == lease.external


# --- An exact port


@pytest.mark.conforms("PC-124")
@pytest.mark.parametrize("changes", [{"external_port": 4045}, {"nonce": bytes(12)}, {"protocol": 17}])
async def test_a_success_that_is_not_what_was_suggested_is_not_taken(changes: dict[str, Any]) -> None:
    """With another nonce or protocol it is no answer; with another port it is undone."""
    exact = replace(TCP, external_port=4044, exact=True)
    async with Lying(with_changes(**changes)) as simulated, PortMapper(gateway=simulated.gateway) as mapper:
        with pytest.raises(NoService) as caught:
            await mapper.map_request(exact)
        kind = PortUnavailable if "external_port" in changes else GatewayTimeout
        assert type(caught.value.reasons["pcp"]) is kind
        assert list(simulated.table) == []
        made, deleted = maps(simulated)[0], maps(simulated)[-1]
        assert (made.external_port, made.options) == (4044, (PreferFailure(),))
        assert (deleted.lifetime, deleted.nonce) == (0, made.nonce)


# --- The external address


@pytest.mark.conforms("PC-145")
async def test_the_external_address_costs_a_short_mapping_of_a_port_nobody_uses() -> None:
    async with Lying() as simulated:
        assert await backend_of(simulated).external_address() == LOOPBACK
        made, deleted = maps(simulated)
        assert made.lifetime == 120
        assert made.internal_port not in (0, simulated.gateway.port)
        assert (deleted.lifetime, deleted.internal_port, deleted.nonce) == (0, made.internal_port, made.nonce)
        assert list(simulated.table) == []


@pytest.mark.conforms("PC-138")
async def test_the_external_address_of_an_outbound_mapping_is_told_in_whatever_family_it_is() -> None:
    outside = IPv6Address("2001:db8::1")

    lie = with_changes(external_address=outside)
    async with Lying(lie) as simulated, PortMapper(gateway=simulated.gateway) as mapper:
        mapping = await mapper.peer(4001, "198.51.100.20", 443)
        assert mapping.external_address() == outside


@pytest.mark.conforms("PC-147")
async def test_a_gateway_without_a_nat_is_told_by_equal_endpoints() -> None:
    """The simulated one maps to its own address, which is that of this host; here the port is the same too."""
    async with Lying() as simulated, PortMapper(gateway=simulated.gateway) as mapper:
        lease = (await mapper.map(4001, "sctp")).lease
        assert lease.internal == lease.external == Endpoint(LOOPBACK, 4001)


# --- Lifetimes


@pytest.mark.conforms("PC-98")
async def test_a_renewal_with_a_shorter_lifetime_shortens_a_mapping() -> None:
    async with Lying() as simulated:
        backend = backend_of(simulated)
        lease = await backend.map(TCP)
        shorter = await backend.map(replace(TCP, lifetime=600), renew=lease)
        (entry,) = simulated.table
        assert shorter.lifetime == 600
        assert entry.ends - anyio.current_time() == pytest.approx(600)


@pytest.mark.conforms("PC-98")
async def test_an_outbound_mapping_cannot_be_taken_back_and_nothing_is_sent_for_it() -> None:
    async with Lying() as simulated:
        backend = backend_of(simulated)
        lease = await backend.map(PEER)
        simulated.datagrams.clear()
        await backend.unmap(lease)
        assert simulated.datagrams == []


# --- Several servers


@pytest.mark.conforms("PC-69")
async def test_renewals_go_to_the_server_that_gave_the_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between 1/2 and 5/8 of what it granted, and nothing before, though the default route changes meanwhile."""
    async with Lying(max_lifetime=HOUR) as server, Lying() as other:
        gateways = [server.gateway, other.gateway]
        monkeypatch.setattr("portmapper.gateway.detect.gateways", lambda *_: gateways)
        async with PortMapper() as mapper:
            await mapper.map(4001)
            gateways.reverse()
            server.datagrams.clear()
            await anyio.sleep(HOUR / 2 - 1)
            assert asked(server) == []
            await anyio.sleep(HOUR / 8 + 2)
            assert [one.lifetime for one in maps(server)] == [7200]
            assert other.datagrams == []


class Old(Lying):
    """Has been up for long."""

    @property
    def epoch(self) -> int:
        return 1_000_000 + super().epoch


@pytest.mark.conforms("PC-76")
async def test_each_server_has_an_epoch_of_its_own() -> None:
    """One is a million seconds older than the other: neither has lost anything."""
    losses: list[str] = []
    async with Old() as old, Lying() as young:
        both = [backend_of(simulated, losses) for simulated in (old, young)]
        for backend in both * 3:
            await backend.check()
            await anyio.sleep(10)
        assert losses == []
        young.reboot()
        await both[1].check()
        assert losses == ["lost"]


@pytest.mark.conforms("PC-19")
async def test_two_servers_get_two_nonces_for_one_port() -> None:
    """They differ in nothing but the address, and the key is one."""
    gateways = [Gateway(address=IPv4Address(address), source=LOOPBACK) for address in ("192.0.2.1", "192.0.2.2")]
    options = BackendOptions(timeout=2, key=bytes(32))
    one, other = [await PcpBackend(gateway, options).find(TCP) for gateway in gateways]
    assert one.token != other.token


@pytest.mark.conforms("PC-141")
@pytest.mark.parametrize(("port", "protocol", "number"), [(0, "all", 0), (0, "tcp", 6), (0, "gre", 47)])
async def test_all_ports_are_asked_for_with_port_0(port: int, protocol: str, number: int) -> None:
    async with Lying(pcp_switches=ANY_PROTOCOL) as simulated, PortMapper(gateway=simulated.gateway) as mapper:
        mapping = await mapper.map(port, protocol, all_ports=protocol == "tcp")
        assert mapping.lease.internal.port == mapping.lease.external.port == 0
        (made,) = maps(simulated)
        assert (made.protocol, made.internal_port, made.external_port) == (number, 0, 0)


@pytest.mark.conforms("F30", "PC-144")
async def test_a_mapper_tells_why_sctp_was_refused() -> None:
    switches = PcpSwitches(protocols=frozenset({6, 17}))
    async with Lying(pcp_switches=switches) as simulated, PortMapper(gateway=simulated.gateway) as mapper:
        with pytest.raises(NoService) as caught:
            await mapper.map(3868, "sctp")
        reason = caught.value.reasons["pcp"]
        assert isinstance(reason, RequestRefused)
        assert reason.name == "UNSUPP_PROTOCOL"
