"""PCP and NAT-PMP as miniupnpd 2.3.1 speaks them: what it does right, and what it is known to get wrong."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from typing import TypeVar

import anyio
import pytest

from portmapper import (
    Closed,
    Conn,
    Endpoint,
    Mapping,
    NoService,
    PortMapper,
    Protocol,
    RequestRefused,
    gateway_at,
    natpmp,
    pcp,
)
from portmapper.conn import Message
from tests.router.conftest import MakeLab
from tests.router.lab import EXTERNAL, GATEWAY, GATEWAY_6, LAN_ADDRESS_6, NEIGHBOUR_ADDRESS, TOKEN, Lab, answering

T = TypeVar("T")
NOWHERE = IPv4Address(0)


def with_mapper(
    lab: Lab, work: Callable[[PortMapper], Awaitable[T]], *, gateway: str = GATEWAY, backend: str = "pcp"
) -> T:
    """Run `work` on the LAN host with a mapper that may do everything."""

    async def conversation() -> T:
        async with PortMapper(gateway=gateway, backends=[backend], allow_third_party=True) as mapper:
            return await work(mapper)

    return lab.ask(conversation)


def exchange(lab: Lab, *messages: Message) -> list[Message]:
    """Send messages from the LAN host one after the other, and return the answers."""

    async def conversation() -> list[Message]:
        gateway = gateway_at(GATEWAY)
        answers = []
        async with Conn.open() as conn:
            for message in messages:
                await conn.send(message, gateway)
                answers.append((await conn.receive())[0])
        return answers

    return lab.ask(conversation)


def map_request(port: int, *, lifetime: int = 600, nonce: bytes = b"a nonce of12", protocol: int = 6) -> pcp.MapRequest:
    return pcp.MapRequest(
        client=IPv4Address("192.168.77.10"),
        lifetime=lifetime,
        nonce=nonce,
        protocol=protocol,
        internal_port=port,
        external_port=0,
        external_address=NOWHERE,
    )


async def last_event(mapping: Mapping) -> Closed:
    """Close a mapping and return how that went."""
    await mapping.close()
    closed = await anext(mapping.events())
    assert isinstance(closed, Closed)
    return closed


@pytest.mark.conforms("PC-21", "PC-94")
@pytest.mark.parametrize("protocol", ["tcp", "udp", "sctp"])
def test_a_mapping_is_made_renewed_and_deleted_with_its_nonce(make_lab: MakeLab, protocol: str) -> None:
    async def work(mapper: PortMapper) -> None:
        mapping = await mapper.map(5000, protocol, lifetime=600)
        assert (mapping.lease.external, mapping.lease.lifetime) == (Endpoint(IPv4Address(EXTERNAL), 5000), 600)
        await mapping.refresh()
        assert mapping.external_port == 5000
        closed = await last_event(mapping)
        assert (closed.error, closed.remaining) == (None, 0)

    with_mapper(make_lab(), work)


@pytest.mark.conforms("PC-13", "PC-148")
def test_announce_tells_the_epoch(make_lab: MakeLab) -> None:
    (answer,) = exchange(make_lab(), pcp.AnnounceRequest(client=IPv4Address("192.168.77.10")))
    assert isinstance(answer, pcp.AnnounceResponse)
    assert (answer.result, answer.lifetime) == (0, 0)
    assert answer.epoch < 60


@pytest.mark.conforms("PC-52")
def test_another_nonce_may_not_delete(make_lab: MakeLab) -> None:
    """NOT_AUTHORIZED, with lifetime 0: this daemon does not say for how long."""
    asked = map_request(8081)
    stranger = map_request(8081, nonce=b"another one!", lifetime=0)
    _, refused, deleted = exchange(make_lab(), asked, stranger, map_request(8081, lifetime=0))
    assert isinstance(refused, pcp.MapResponse)
    assert isinstance(deleted, pcp.MapResponse)
    assert (refused.result, refused.lifetime) == (pcp.Result.NOT_AUTHORIZED, 0)
    assert deleted.result == pcp.Result.SUCCESS


def test_a_mapping_that_the_router_does_not_know_is_closed_with_a_reason_that_says_so(make_lab: MakeLab) -> None:
    """It answers NO_RESOURCES for 30 s to a delete of nothing, where the RFC wants success."""
    lab = make_lab()

    async def work(mapper: PortMapper) -> Closed:
        mapping = await mapper.map(8081)
        lab.reboot()
        return await last_event(mapping)

    closed = with_mapper(lab, work)
    assert isinstance(closed.error, RequestRefused)
    assert (closed.error.name, closed.error.retry_after) == ("NO_RESOURCES", 30)
    assert "it has none such" in str(closed.error)


@pytest.mark.conforms("PC-31")
def test_a_filter_that_is_acknowledged_but_lets_everybody_in_is_refused(make_lab: MakeLab) -> None:
    """It sends back what it cannot know, so what it acknowledges is an echo. Nothing is left open."""
    lab = make_lab()

    async def work(mapper: PortMapper) -> None:
        with pytest.raises(NoService, match="echoes the filter"):
            await mapper.map(8080, remote="8.8.4.77")
        assert lab.reach_tcp(8080, 0.3) is None
        await mapper.map(8080)
        assert lab.reach_tcp(8080) == TOKEN

    with answering(lab, 8080):
        with_mapper(lab, work)


def test_a_filter_of_the_router_lets_everybody_in(make_lab: MakeLab) -> None:
    """The control of the test above: here is what would be claimed."""
    lab = make_lab()
    only_77 = (pcp.Filter(NOWHERE, 0), pcp.Filter.of(IPv4Network("8.8.4.77/32")))
    with answering(lab, 8080):
        (answer,) = exchange(lab, replace(map_request(8080), options=only_77))
        assert isinstance(answer, pcp.MapResponse)
        assert (answer.result, answer.options) == (0, only_77)
        assert lab.reach_tcp(8080) == TOKEN


def test_a_port_set_is_refused_as_malformed_so_the_first_port_alone_is_mapped(make_lab: MakeLab) -> None:
    """It takes no option whose length is not a multiple of 4."""

    async def work(mapper: PortMapper) -> None:
        mapping = await mapper.map(5010, "udp", count=10)
        assert (mapping.lease.count, mapping.external_port) == (1, 5010)
        await mapping.refresh()
        assert (await last_event(mapping)).error is None

    with_mapper(make_lab(), work)


@pytest.mark.parametrize(("port", "protocol"), [(0, "udp"), (0, "all"), (0, "gre")])
def test_all_ports_are_refused_with_its_reason(make_lab: MakeLab, port: int, protocol: str) -> None:
    async def work(mapper: PortMapper) -> None:
        with pytest.raises(NoService, match="MALFORMED_REQUEST"):
            await mapper.map(port, protocol, all_ports=protocol == "udp")

    with_mapper(make_lab(), work)


@pytest.mark.conforms("PC-119")
def test_a_third_party_is_mapped_where_the_router_allows_it(make_lab: MakeLab) -> None:
    lab = make_lab(extra="pcp_allow_thirdparty=yes")

    async def work(mapper: PortMapper) -> None:
        mapping = await mapper.map(8080, internal_address=NEIGHBOUR_ADDRESS)
        assert mapping.lease.internal == Endpoint(IPv4Address(NEIGHBOUR_ADDRESS), 8080)
        await mapping.refresh()
        assert (await last_event(mapping)).error is None

    with_mapper(lab, work)


def test_a_third_party_is_refused_where_the_router_does_not_allow_it(make_lab: MakeLab) -> None:
    async def work(mapper: PortMapper) -> None:
        with pytest.raises(NoService, match="UNSUPP_OPTION"):
            await mapper.map(8080, internal_address=NEIGHBOUR_ADDRESS)

    with_mapper(make_lab(), work)


def test_peer_is_granted_but_the_router_does_not_do_what_it_says(make_lab: MakeLab) -> None:
    """Its rule has the two ports swapped: the packet leaves from its own port, not from the one that was granted.

    It cannot be deleted either; what is told about it is the lease, and at the end that this remains.
    """
    lab = make_lab()

    async def work(mapper: PortMapper) -> Closed:
        mapping = await mapper.peer(4131, "8.8.4.2", 7777, external_port=5131, lifetime=600)
        assert mapping.external_port == 5131
        assert lab.source_port_seen(4131, 7777) == 4131
        return await last_event(mapping)

    closed = with_mapper(lab, work)
    assert closed.error is None
    assert 590 < closed.remaining <= 600


def test_peer_is_not_offered_to_ipv6_hosts(make_lab: MakeLab) -> None:
    async def work(mapper: PortMapper) -> None:
        with pytest.raises(NoService, match="UNSUPP_OPCODE"):
            await mapper.peer(4131, "2001:db8:1::2", 7777)

    with_mapper(make_lab(), work, gateway=GATEWAY_6)


def test_an_address_of_the_other_family_is_refused_before_anything_is_sent(make_lab: MakeLab) -> None:
    async def work(mapper: PortMapper) -> None:
        with pytest.raises(ValueError, match="not of the family of"):
            await mapper.map(8080, remote=LAN_ADDRESS_6)

    with_mapper(make_lab(), work)


@pytest.mark.conforms("NP-41")
def test_all_mappings_of_one_protocol_are_removed_at_once(make_lab: MakeLab) -> None:
    """By NAT-PMP, whichever program made them. This daemon removes UDP as well; ours is renewed at once."""
    lab = make_lab()

    async def work(mapper: PortMapper) -> None:
        await mapper.map(8081, "udp")
        async with Conn.open() as conn:
            for port in (8080, 8082):
                other = natpmp.MapRequest(protocol=Protocol.TCP, internal_port=port, external_port=port, lifetime=600)
                await conn.send(other, mapper.gateway)
                await conn.receive()
        assert lab.reach_tcp(8080) == lab.reach_udp(8081) == lab.reach_tcp(8082) == TOKEN
        assert await mapper.unmap_all("tcp") == ("natpmp",)
        assert (lab.reach_tcp(8080, 0.3), lab.reach_tcp(8082, 0.3)) == (None, None)
        await anyio.sleep(0.2)
        assert lab.reach_udp(8081) == TOKEN

    with answering(lab, 8080, 8081, 8082):
        with_mapper(lab, work, backend="natpmp")
