"""Whatever can be wished can be said in one PCP message, and is understood."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portmapper import limits
from portmapper.model import Endpoint, Gateway, IPAddress, Lease, MappingRequest, Protocol, RemoteFilter
from portmapper.pcp.options import Filter, PreferFailure
from portmapper.pcp.request import delete_request, mapping_nonce, mapping_request
from portmapper.pcp.wire import MapRequest, PeerRequest, decode_request
from tests.fuzz import examples

PORTS = st.integers(1, 65535)
IPV4 = st.integers(1, 0xDFFFFFFF).map(IPv4Address)
IPV6 = st.integers(0x2000 << 112, (0x4000 << 112) - 1).map(IPv6Address)
"""Unicast addresses."""


@st.composite
def remotes(draw: st.DrawFn, *, ipv4: bool) -> RemoteFilter:
    """Draw a filter."""
    port = draw(st.integers(0, 65535))
    if ipv4:
        return RemoteFilter(IPv4Network((draw(IPV4), draw(st.integers(0, 32))), strict=False), port)
    return RemoteFilter(IPv6Network((draw(IPV6), draw(st.integers(3, 128))), strict=False), port)


@st.composite
def ports(draw: st.DrawFn) -> dict[str, Any]:
    """Draw ports that go with a protocol."""
    protocol = Protocol.of(draw(st.sampled_from([0, 1, 6, 17, 33, 47, 132, 136, 253])))
    if not protocol.has_ports or draw(st.booleans()):
        return {"protocol": protocol, "internal_port": 0, "all_ports": protocol.has_ports or draw(st.booleans())}
    count = draw(st.sampled_from([1, 1, 2, 100, 65535]))
    external = draw(st.just(0) | PORTS)
    last = 65535 - (count - 1)
    chosen: dict[str, Any] = {"internal_port": min(draw(PORTS), last), "external_port": min(external, last)}
    exact = bool(chosen["external_port"]) and count == 1 and draw(st.booleans())
    return {"protocol": protocol, **chosen, "count": count, "exact": exact}


@st.composite
def requests(draw: st.DrawFn) -> tuple[MappingRequest, IPAddress]:
    """Draw a request and the address of the host that makes it."""
    ipv4 = draw(st.booleans())
    addresses: st.SearchStrategy[IPAddress] = IPV4 if ipv4 else IPV6
    where = draw(ports())
    for_peer = where["internal_port"] and not where["exact"] and where["count"] == 1 and draw(st.booleans())
    most = 0 if for_peer else limits.REMOTE_FILTERS
    request = MappingRequest(
        **where,
        lifetime=draw(st.integers(1, limits.MAX_LIFETIME)),
        remote=tuple(draw(st.lists(remotes(ipv4=ipv4), max_size=most))),
        internal_address=draw(st.none() | addresses),
        peer=Endpoint(draw(addresses), draw(PORTS)) if for_peer else None,
    )
    return request, draw(addresses)


def held_of(request: MappingRequest, client: IPAddress, draw: st.DataObject) -> Lease:
    """Draw what may have been granted for a request."""
    gateway = Gateway(address=client, source=client)
    return Lease(
        request=draw.draw(st.sampled_from([request, replace(request, remote=())])),
        gateway=gateway,
        backend="pcp",
        internal=Endpoint(client, request.internal_port),
        external=Endpoint(draw.draw(st.none() | IPV4 | IPV6), draw.draw(PORTS) if request.internal_port else 0),
        lifetime=request.lifetime,
        count=draw.draw(st.integers(1, request.count)),
        token=mapping_nonce(bytes(32), gateway, request),
    )


def survives(message: MapRequest | PeerRequest) -> None:
    """Check that a message fits into a datagram and says the same at the other end."""
    data = message.encode()
    assert len(data) <= 1100
    assert decode_request(data) == message


@pytest.mark.conforms("PC-02", "PC-28")
@given(requests(), st.data())
@examples(150)
def test_any_mapping_can_be_asked_for_and_renewed(drawn: tuple[MappingRequest, IPAddress], draw: st.DataObject) -> None:
    request, client = drawn
    held = held_of(request, client, draw)
    survives(mapping_request(request, client, held.token))
    survives(mapping_request(request, client, held.token, held))
    survives(mapping_request(replace(request, remote=()), client, held.token, held))


@pytest.mark.conforms("PC-02", "PC-28")
def test_the_most_options_fit() -> None:
    """32 filters, a third party, a set of ports."""
    networks = [IPv4Network((0x0A000000 + n, 32)) for n in range(limits.REMOTE_FILTERS)]
    request = MappingRequest(
        protocol=Protocol.TCP,
        internal_port=4001,
        count=2,
        remote=tuple(RemoteFilter(network, 443) for network in networks),
        internal_address=IPv4Address("192.168.1.20"),
    )
    survives(mapping_request(request, IPv4Address("192.168.1.10"), bytes(12)))


@pytest.mark.conforms("PC-94", "PC-95", "PC-97")
@given(requests(), st.data())
@examples(150)
def test_any_mapping_can_be_deleted(drawn: tuple[MappingRequest, IPAddress], draw: st.DataObject) -> None:
    request, client = drawn
    held = held_of(replace(request, peer=None), client, draw)
    delete = delete_request(held, client)
    survives(delete)
    assert not [option for option in delete.options if isinstance(option, PreferFailure | Filter)]
    assert (delete.lifetime, delete.external_port, int(delete.external_address)) == (0, 0, 0)
    made = mapping_request(held.request, client, held.token)
    assert (delete.nonce, delete.protocol, delete.internal_port) == (made.nonce, made.protocol, made.internal_port)
