"""Every kind of mapping as the gateway carries it out: filters, other hosts, port sets, protocols, peers."""

import socket
from collections.abc import AsyncGenerator
from contextlib import ExitStack, asynccontextmanager, suppress
from ipaddress import IPv4Address
from typing import Any

import anyio
import pytest

from portmapper import (
    Closed,
    Endpoint,
    InvalidRequest,
    Mapping,
    MappingState,
    NoService,
    PortMapper,
    ProtocolError,
    RemoteFilter,
    RequestRefused,
)
from portmapper.model import IPAddress
from portmapper.pcp import wire as pcp
from portmapper.pcp.options import PortSet, ThirdParty
from portmapper.testing import PcpSwitches, SimulatedGateway

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("virtual_time")]

HOUR = 3600
OUTSIDE = IPv4Address("127.0.0.5")  # no server is there, so each of its ports is free
SOCKETS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}
both = pytest.mark.parametrize("protocol", list(SOCKETS))


def router(**switches: Any) -> SimulatedGateway:
    """Return a gateway that speaks PCP only and whose PCP has `switches`."""
    pcp_switches = PcpSwitches(**switches)
    return SimulatedGateway(natpmp=False, upnp=False, pcp_switches=pcp_switches, external_address=OUTSIDE)


def requests(simulated: SimulatedGateway) -> list[pcp.MapRequest | pcp.PeerRequest]:
    """Return the requests for mappings that came by PCP."""
    decoded = [pcp.decode_request(data) for data in simulated.datagrams]
    return [one for one in decoded if not isinstance(one, pcp.AnnounceRequest)]


def suggestions(simulated: SimulatedGateway) -> list[tuple[int, str]]:
    """Return the external port and address that each of them suggests."""
    return [(one.external_port, str(one.external_address)) for one in requests(simulated)]


def bound(protocol: str, host: str, count: int, stack: ExitStack) -> list[socket.socket]:
    """Return sockets on consecutive ports of `host`."""
    first = 0
    socks: list[socket.socket] = []
    for offset in range(count):
        sock = stack.enter_context(socket.socket(socket.AF_INET, SOCKETS[protocol]))
        sock.setblocking(False)
        sock.bind((host, first + offset if first else 0))
        first = first or sock.getsockname()[1]
        if protocol == "tcp":
            sock.listen()
        socks.append(sock)
    return socks


@asynccontextmanager
async def serving(protocol: str, *, host: str = "127.0.0.1", count: int = 1) -> AsyncGenerator[int]:
    """Have `count` ports say which they are to everybody who asks; the first of them."""
    with ExitStack() as stack:
        while True:
            with suppress(OSError):  # the port after a free one is taken
                socks = bound(protocol, host, count, stack)
                break
        async with anyio.create_task_group() as tasks:
            for sock in socks:
                tasks.start_soon(tell, sock)
            yield socks[0].getsockname()[1]
            tasks.cancel_scope.cancel()


async def tell(sock: socket.socket) -> None:
    """Answer everybody with the address of `sock`."""
    name = "{}:{}".format(*sock.getsockname()).encode()
    while True:
        await anyio.wait_readable(sock)
        if sock.type == socket.SOCK_STREAM:
            with sock.accept()[0] as stream:
                stream.sendall(name)
        else:
            sock.sendto(name, sock.recvfrom(1)[1])


async def visit(mapping: Mapping, source: str = "127.0.0.1", *, port: int = 0, offset: int = 0) -> str:
    """Return who answers at the external port when asked from `source`; "" when that does not get in."""
    assert mapping.external is not None
    with socket.socket(socket.AF_INET, SOCKETS[mapping.protocol]) as sock:
        sock.setblocking(False)
        sock.bind((source, port))
        sock.connect_ex((str(mapping.external.address), mapping.external.port + offset))
        with anyio.move_on_after(1), suppress(ConnectionError):
            if sock.type == socket.SOCK_DGRAM:
                sock.send(b"?")
            await anyio.wait_readable(sock)
            return sock.recv(100).decode()
    return ""


@both
@pytest.mark.conforms("PC-113", "PC-114")
@pytest.mark.parametrize("remote", ["127.0.0.3", "127.0.0.2/31"])
async def test_only_the_peers_in_the_filter_get_in(protocol: str, remote: str) -> None:
    async with router() as simulated, PortMapper(gateway=simulated.gateway) as mapper, serving(protocol) as port:
        mapping = await mapper.map(port, protocol, remote=remote)
        assert await visit(mapping, "127.0.0.3") == f"127.0.0.1:{port}"
        assert bool(await visit(mapping, "127.0.0.2")) is remote.endswith("/31")
        assert not await visit(mapping, "127.0.0.4")


@pytest.mark.conforms("PC-113")
async def test_a_filter_with_a_port_admits_that_port_of_the_peer_only() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.3", 0))
        peer: int = free.getsockname()[1]
    async with router() as simulated, PortMapper(gateway=simulated.gateway) as mapper, serving("udp") as port:
        mapping = await mapper.map(port, "udp", remote=f"[127.0.0.3]:{peer}")
        assert await visit(mapping, "127.0.0.3", port=peer)
        assert not await visit(mapping, "127.0.0.3")


@both
@pytest.mark.conforms("PC-115", "PC-116")
async def test_filters_are_replaced_and_removed(protocol: str) -> None:
    """New ones alone would add to the old ones."""
    async with router() as simulated, PortMapper(gateway=simulated.gateway) as mapper, serving(protocol) as port:
        mapping = await mapper.map(port, protocol, remote="127.0.0.2")
        await mapping.restrict("127.0.0.3", "127.0.0.4")
        assert [bool(await visit(mapping, f"127.0.0.{host}")) for host in (2, 3, 4)] == [False, True, True]
        await anyio.sleep(2 * HOUR)
        assert not await visit(mapping, "127.0.0.2")  # nor after a renewal
        await mapping.restrict()
        assert await visit(mapping, "127.0.0.2")


@pytest.mark.conforms("PC-61")
async def test_filters_that_are_refused_leave_the_old_ones() -> None:
    async with router(max_filters=1) as simulated, PortMapper(gateway=simulated.gateway) as mapper:
        async with serving("udp") as port:
            mapping = await mapper.map(port, "udp", remote="127.0.0.2")
            with pytest.raises(RequestRefused, match="EXCESSIVE_REMOTE_PEERS"):
                await mapping.restrict("127.0.0.3", "127.0.0.4")
            assert mapping.lease.request.remote == (RemoteFilter.parse("127.0.0.2"),)
            for _ in range(2):
                assert [bool(await visit(mapping, f"127.0.0.{host}")) for host in (2, 3)] == [True, False]
                await anyio.sleep(2 * HOUR)  # the renewals know of the old ones only
            assert mapping.state is MappingState.MAPPED


@pytest.mark.conforms("PC-48", "PC-161")
async def test_filters_that_are_refused_do_not_keep_the_mapping_from_its_renewal() -> None:
    """The error is about these filters, and holds longer than the lease, whose renewal is another request."""
    async with router(max_filters=1) as simulated, PortMapper(gateway=simulated.gateway) as mapper:
        mapping = await mapper.map(4001, remote="127.0.0.2", lifetime=600)
        (entry,) = simulated.table
        with pytest.raises(RequestRefused, match="EXCESSIVE_REMOTE_PEERS"):
            await mapping.restrict("127.0.0.3", "127.0.0.4")
        await anyio.sleep(1000)
        assert list(simulated.table) == [entry]


@pytest.mark.conforms("PC-48")
async def test_fewer_filters_are_asked_for_though_many_were_refused() -> None:
    async with router(max_filters=1) as simulated, PortMapper(gateway=simulated.gateway) as mapper:
        mapping = await mapper.map(4001, "udp", remote="127.0.0.2")
        with pytest.raises(RequestRefused, match="EXCESSIVE_REMOTE_PEERS"):
            await mapping.restrict("127.0.0.3", "127.0.0.4")
        await mapping.restrict("127.0.0.3")
        (entry,) = simulated.table
        assert [str(one.address) for one in entry.filters] == ["127.0.0.3"]


@pytest.mark.conforms("PC-31")
async def test_a_gateway_that_leaves_the_filter_out_is_not_believed_and_the_port_closed_again() -> None:
    """Its answer lacks the option, so the port would be open to all."""

    class Careless(SimulatedGateway):
        def answer_datagram(self, data: bytes, sender: IPAddress) -> list[bytes]:
            return super().answer_datagram(data[:60], sender)

    async with Careless() as simulated, PortMapper(gateway=simulated.gateway, backends=["pcp"]) as mapper:
        with pytest.raises(NoService) as caught:
            await mapper.map(4001, remote="127.0.0.2")
        assert isinstance(caught.value.reasons["pcp"], ProtocolError)
        assert list(simulated.table) == []


@both
async def test_a_mapping_for_another_host_leads_there_and_is_renewed_and_released(protocol: str) -> None:
    async with router(allows_third_party=True) as simulated, serving(protocol, host="127.0.0.2") as port:
        async with PortMapper(gateway=simulated.gateway, allow_third_party=True) as mapper:
            mapping = await mapper.map(port, protocol, internal_address="127.0.0.2", lifetime=600)
            assert await visit(mapping) == str(mapping.lease.internal) == f"127.0.0.2:{port}"
            await anyio.sleep(HOUR)
            assert await visit(mapping) == f"127.0.0.2:{port}"
        assert list(simulated.table) == []


@pytest.mark.conforms("PC-119")
async def test_a_mapping_for_another_host_has_to_be_permitted() -> None:
    async with router(allows_third_party=True) as simulated, PortMapper(gateway=simulated.gateway) as mapper:
        with pytest.raises(InvalidRequest, match="allow_third_party"):
            await mapper.map(4001, internal_address="127.0.0.2")
        assert simulated.datagrams == []


@pytest.mark.conforms("PC-120")
async def test_a_mapping_for_this_host_by_its_address_is_an_ordinary_one() -> None:
    async with router() as simulated, PortMapper(gateway=simulated.gateway, allow_third_party=True) as mapper:
        mapping = await mapper.map(4001, internal_address="127.0.0.1")
        assert mapping.lease.request.internal_address is None
        assert not [one for asked in requests(simulated) for one in asked.options if isinstance(one, ThirdParty)]


def sizes(simulated: SimulatedGateway) -> list[list[int]]:
    """Return the sizes in the PORT_SET options of each request."""
    return [[one.size for one in asked.options if isinstance(one, PortSet)] for asked in requests(simulated)]


@both
@pytest.mark.conforms("PC-129", "PC-132", "PC-133")
async def test_consecutive_ports_lead_to_consecutive_ports(protocol: str) -> None:
    """The renewal and the release are for all of them too."""
    async with router() as simulated, serving(protocol, count=4) as port:
        async with PortMapper(gateway=simulated.gateway) as mapper:
            mapping = await mapper.map(port, protocol, count=4)
            assert mapping.lease.count == 4
            heard = [await visit(mapping, offset=offset) for offset in range(5)]
            assert heard == [*(f"127.0.0.1:{port + offset}" for offset in range(4)), ""]
            await mapping.refresh()
        assert sizes(simulated) == [[4], [4], [4]]
        assert list(simulated.table) == []


@pytest.mark.parametrize(
    ("switches", "count"),
    [
        pytest.param({"max_port_set": 3}, 3, marks=pytest.mark.conforms("PC-132"), id="fewer"),
        pytest.param({"max_port_set": 0}, 1, marks=pytest.mark.conforms("PC-131", "PC-132"), id="one"),
        pytest.param({"max_port_set": 0, "echoes_options": True}, 1, id="echo"),
    ],
)
async def test_fewer_ports_than_asked_are_told_and_held(switches: dict[str, Any], count: int) -> None:
    """A server that does not know PORT_SET maps one port; it may send the option back all the same."""
    async with router(**switches) as simulated, PortMapper(gateway=simulated.gateway) as mapper:
        mapping = await mapper.map(4001, count=4)
        assert mapping.lease.count == count
        await mapping.refresh()
        assert mapping.lease.count == count
        assert sizes(simulated)[1:] == [[count] if count > 1 else []]


@pytest.mark.conforms("PC-133")
@pytest.mark.parametrize(("port", "count"), [(4000, 2), (4003, 1), (4003, 5), (3999, 9)])
async def test_ports_that_are_held_in_a_set_are_not_asked_for_again(port: int, count: int) -> None:
    async with router() as simulated, PortMapper(gateway=simulated.gateway) as mapper:
        await mapper.map(4001, count=4)
        asked = len(simulated.datagrams)
        with pytest.raises(InvalidRequest, match="overlaps"):
            await mapper.map(port, count=count)
        assert len(simulated.datagrams) == asked
        for near, protocol in [(4000, "tcp"), (4005, "tcp"), (4002, "udp")]:
            await mapper.map(near, protocol)


@pytest.mark.conforms("PC-133")
async def test_two_calls_at_once_do_not_make_overlapping_sets() -> None:
    async with router() as simulated, PortMapper(gateway=simulated.gateway) as mapper:

        async def ask(port: int) -> None:
            with suppress(InvalidRequest):
                await mapper.map(port, count=4)

        async with anyio.create_task_group() as tasks:
            for port in (4001, 4003):
                tasks.start_soon(ask, port)
        assert len(list(simulated.table)) == 1


@pytest.mark.conforms("PC-144")
async def test_sctp_begins_without_a_wish_and_keeps_what_it_got() -> None:
    async with router() as simulated:
        async with PortMapper(gateway=simulated.gateway) as mapper:
            mapping = await mapper.map(4001, "sctp")
            (entry,) = simulated.table
            assert (entry.protocol.number, entry.external_port) == (132, mapping.external_port)
            await mapping.refresh()
        assert suggestions(simulated) == [(0, "0.0.0.0"), (mapping.lease.external.port, str(OUTSIDE)), (0, "0.0.0.0")]
        assert list(simulated.table) == []


@pytest.mark.conforms("PC-141", "PC-143")
@pytest.mark.parametrize(("protocol", "number"), [("tcp", 6), ("all", 0), ("gre", 47)])
async def test_all_ports_have_external_port_0_and_are_released_with_their_nonce(protocol: str, number: int) -> None:
    async with router(protocols=frozenset({number})) as simulated:
        async with PortMapper(gateway=simulated.gateway) as mapper:
            mapping = await mapper.map(0, protocol, all_ports=True)
            assert mapping.external == Endpoint(OUTSIDE, 0)
            assert [(e.protocol.number, e.internal.port) for e in simulated.table] == [(number, 0)]
        assert [(one.protocol, one.internal_port) for one in requests(simulated)] == [(number, 0)] * 2
        assert list(simulated.table) == []


@pytest.mark.conforms("PC-136", "PC-137")
async def test_a_mapping_towards_a_peer_is_renewed_as_others_are_and_suggests_what_it_has() -> None:
    """The gateway takes the port that this host has already, of which the first request says nothing."""
    async with router() as simulated, PortMapper(gateway=simulated.gateway) as mapper:
        (await mapper.map(4001, "udp", external_port=21001)).detach()
        mapping = await mapper.peer(4001, "127.0.0.9", 5000, lifetime=HOUR)
        assert mapping.external == Endpoint(OUTSIDE, 21001)
        simulated.table.clear()  # and the gateway remembers
        await anyio.sleep(HOUR * 0.49)
        assert suggestions(simulated)[1:] == [(0, "0.0.0.0")]
        await anyio.sleep(HOUR * 0.14)
        assert suggestions(simulated)[1:] == [(0, "0.0.0.0"), (21001, str(OUTSIDE))]
        assert mapping.external_port == 21001


@pytest.mark.conforms("PC-98")
async def test_a_mapping_towards_a_peer_is_not_taken_back_and_its_end_says_what_is_left() -> None:
    async with router() as simulated:
        async with PortMapper(gateway=simulated.gateway) as mapper:
            mapping = await mapper.peer(4001, "127.0.0.9", 5000, lifetime=HOUR)
            stream = mapping.events()
            await anyio.sleep(600)
            simulated.datagrams.clear()
            await mapping.close()
        *_, closed = [event async for event in stream]
        assert closed == Closed(mapping.lease, None, HOUR - 600)
        assert simulated.datagrams == []
