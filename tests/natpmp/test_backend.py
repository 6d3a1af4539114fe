"""NAT-PMP behind the contract of backends: what it sends for each call, and what it makes of the answers."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address
from math import inf

import anyio
import pytest

from portmapper import Closed, InvalidRequest, NoService, PortMapper, RequestRefused, UnsupportedRequest
from portmapper.backend import BackendOptions
from portmapper.errors import GatewayUnreachable
from portmapper.model import Endpoint, Gateway, IPAddress, MappingRequest, Protocol
from portmapper.natpmp import wire
from portmapper.natpmp.backend import NatPmpBackend
from portmapper.testing import SimulatedGateway
from tests.wire import vectors as tv

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("virtual_time")]

LOOPBACK = IPv4Address("127.0.0.1")
UDP_4001 = MappingRequest(protocol=Protocol.UDP, internal_port=4001, external_port=4001, lifetime=7200)
TCP_8080 = MappingRequest(protocol=Protocol.TCP, internal_port=8080)


class Answering(SimulatedGateway):
    """Speaks NAT-PMP alone; `answers` say what some requests are answered with."""

    def __init__(self, answers: dict[bytes, bytes] | None = None) -> None:
        super().__init__(pcp=False, upnp=False)
        self.answers = answers or {}

    def answer_datagram(self, data: bytes, sender: IPAddress) -> list[bytes]:
        return [self.answers[data]] if data in self.answers else super().answer_datagram(data, sender)


def backend_of(simulated: SimulatedGateway, losses: list[str] | None = None) -> NatPmpBackend:
    def lost() -> None:
        if losses is not None:
            losses.append("lost")

    return NatPmpBackend(simulated.gateway, BackendOptions(timeout=2, key=bytes(32), state_lost=lost))


def of_pcp(simulated: SimulatedGateway) -> None:
    """Let UDP 4009 be mapped by PCP already: NAT-PMP may not touch it."""
    simulated.table.grant(Protocol.UDP, Endpoint(LOOPBACK, 4009), 0, inf, nonce=b"n" * 12)


# --- The external address


@pytest.mark.conforms("NP-13")
async def test_the_address_in_an_error_is_ignored() -> None:
    async with Answering({tv.TV01_REQ: bytes.fromhex("00800003 00000010 cb007107")}) as simulated:
        backend = backend_of(simulated)
        lease = await backend.map(TCP_8080)
        assert lease.external == Endpoint(None, lease.external.port)
        with pytest.raises(RequestRefused):
            await backend.external_address()
        known = replace(lease, external=Endpoint(IPv4Address("198.51.100.1"), lease.external.port))
        assert (await backend.map(TCP_8080, renew=known)).external == known.external


# --- Renewal and delete, byte for byte


@pytest.mark.conforms("NP-37")
async def test_a_renewal_suggests_the_port_that_was_granted() -> None:
    """TV-02: asked for 4001, granted 50000."""
    answers = {tv.TV01_REQ: tv.TV01_RESP, tv.TV02_REQ: tv.TV02_RESP, tv.TV02_RENEW: tv.TV02_RESP}
    async with Answering(answers) as simulated:
        backend = backend_of(simulated)
        await backend.map(UDP_4001, renew=await backend.map(UDP_4001))
        assert simulated.datagrams == [tv.TV02_REQ, tv.TV01_REQ, tv.TV02_RENEW]  # the address is known by then


@pytest.mark.conforms("NP-39")
async def test_a_delete_has_no_external_port() -> None:
    """TV-04, though the lease has one."""
    async with Answering({tv.TV04_REQ: tv.TV04_RESP}) as simulated:
        backend = backend_of(simulated)
        lease = await backend.find(replace(TCP_8080, external_port=40000))
        assert lease.external.port == 40000
        await backend.unmap(lease)
        assert simulated.datagrams == [tv.TV04_REQ]


@pytest.mark.conforms("NP-40")
async def test_a_delete_succeeds_with_a_mapping_and_without() -> None:
    async with Answering() as simulated:
        backend = backend_of(simulated)
        lease = await backend.map(TCP_8080)
        for _ in range(2):
            await backend.unmap(lease)
            assert list(simulated.table) == []
        assert simulated.datagrams[-2:] == [tv.TV04_REQ, tv.TV04_REQ]


@pytest.mark.conforms("NP-14")
async def test_the_lifetime_in_a_failed_delete_is_ignored() -> None:
    """What is left on the gateway is left for as long as was granted, not for 99 s."""
    refused = bytes.fromhex("00820002 00015183 1f900000 00000063")
    async with Answering({tv.TV04_REQ: refused}) as simulated, PortMapper(gateway=simulated.gateway) as mapper:
        mapping = await mapper.map(8080, lifetime=3600)
        lease, events = mapping.lease, mapping.events()
        await anyio.sleep(100)
        await mapping.close()
        *_, closed = [event async for event in events]
        assert isinstance(closed, Closed)
        assert isinstance(closed.error, RequestRefused)
        assert mapping.lease == closed.lease == lease
        assert lease.lifetime == 3600
        assert closed.remaining == pytest.approx(3500)


# --- All of a protocol


@pytest.mark.conforms("NP-41")
@pytest.mark.parametrize(
    ("protocol", "request_"),
    [(Protocol.UDP, tv.TV05_REQ), (Protocol.TCP, bytes.fromhex("00020000 00000000 00000000"))],
)
async def test_all_mappings_of_one_protocol_go_with_one_request(protocol: Protocol, request_: bytes) -> None:
    async with Answering() as simulated:
        backend = backend_of(simulated)
        for port in (4001, 4002):
            for kind in (Protocol.UDP, Protocol.TCP):
                await backend.map(MappingRequest(protocol=kind, internal_port=port))
        simulated.datagrams.clear()
        await backend.unmap_all(protocol)
        assert simulated.datagrams == [request_]
        assert [entry.protocol for entry in simulated.table] == [
            Protocol.TCP if protocol == "udp" else Protocol.UDP
        ] * 2


@pytest.mark.conforms("NP-43")
async def test_a_delete_of_all_that_fails_in_part_is_told_once_and_not_repeated() -> None:
    async with Answering() as simulated:
        backend = backend_of(simulated)
        await backend.map(UDP_4001)
        of_pcp(simulated)
        simulated.datagrams.clear()
        with pytest.raises(RequestRefused, match="NOT_AUTHORIZED"):
            await backend.unmap_all(Protocol.UDP)
        await anyio.sleep(200)
        assert simulated.datagrams == [tv.TV05_REQ]


@pytest.mark.conforms("NP-43")
async def test_a_mapper_tells_of_a_delete_of_all_that_failed() -> None:
    async with Answering() as simulated, PortMapper(gateway=simulated.gateway, backends=["natpmp"]) as mapper:
        of_pcp(simulated)
        with pytest.raises(NoService) as caught:
            await mapper.unmap_all("udp")
        assert isinstance(caught.value.reasons["natpmp"], RequestRefused)
        assert [data for data in simulated.datagrams if data != tv.TV01_REQ] == [tv.TV05_REQ]


# --- What it has no way to ask for


@pytest.mark.conforms("NP-44")
async def test_a_mapping_for_another_host_is_not_asked_for() -> None:
    """Only whether NAT-PMP is spoken; and not even that by a mapper that does not allow it."""
    async with Answering() as simulated:
        async with PortMapper(gateway=simulated.gateway, backends=["natpmp"]) as mapper:
            with pytest.raises(InvalidRequest):
                await mapper.map(4001, internal_address="127.0.0.2")
        assert simulated.datagrams == []
        options = {"backends": ["natpmp"], "allow_third_party": True}
        async with PortMapper(gateway=simulated.gateway, **options) as mapper:  # type: ignore[arg-type]
            with pytest.raises(NoService) as caught:
                await mapper.map(4001, internal_address="127.0.0.2")
        assert isinstance(caught.value.reasons["natpmp"], UnsupportedRequest)
        assert simulated.datagrams == [tv.TV01_REQ]


@pytest.mark.conforms("NP-78")
@pytest.mark.parametrize("protocol", ["sctp", "gre", "all"])
async def test_protocols_but_tcp_and_udp_are_not_asked_for(protocol: str) -> None:
    async with Answering() as simulated:
        async with PortMapper(gateway=simulated.gateway, backends=["natpmp"]) as mapper:
            for ask in (mapper.map(4001 if protocol == "sctp" else 0, protocol), mapper.unmap_all(protocol)):
                with pytest.raises(NoService) as caught:
                    await ask
                assert isinstance(caught.value.reasons["natpmp"], UnsupportedRequest)
        assert set(simulated.datagrams) == {tv.TV01_REQ}
        with pytest.raises(InvalidRequest):
            wire.MapRequest(protocol=Protocol(protocol), internal_port=0, external_port=0, lifetime=0)


@pytest.mark.conforms("NP-78")
async def test_a_gateway_with_an_ipv6_address_is_not_asked() -> None:
    here = IPv6Address("::1")
    async with Answering() as simulated:
        gateway = Gateway(address=here, source=here, port=simulated.gateway.port)
        with pytest.raises(GatewayUnreachable, match="IPv4 gateways only"):
            await NatPmpBackend.open(gateway, BackendOptions(timeout=2, key=bytes(32)))
        assert simulated.datagrams == []


# --- The epoch


@pytest.mark.conforms("NP-53")
@pytest.mark.parametrize("result", ["0003", "0004"])
async def test_a_small_epoch_in_an_error_shows_a_loss(result: str) -> None:
    """Up for a day, then for 3 s."""
    losses: list[str] = []
    async with Answering({tv.TV01_REQ: tv.TV01_RESP}) as simulated:
        backend = backend_of(simulated, losses)
        await backend.external_address()
        assert losses == []
        simulated.answers[tv.TV01_REQ] = bytes.fromhex(f"0080{result} 00000003 00000000")
        with pytest.raises(RequestRefused):
            await backend.external_address()
        assert losses == ["lost"]
