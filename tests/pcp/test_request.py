"""What a mapping is in PCP's terms: pure functions, byte for byte where there is a vector."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest

from portmapper.errors import InvalidRequest, ProtocolError
from portmapper.model import Endpoint, Gateway, IPAddress, Lease, MappingRequest, Protocol, RemoteFilter
from portmapper.pcp import wire
from portmapper.pcp.request import delete_request, external_endpoint, mapping_nonce, mapping_request
from tests.wire import vectors as tv

KEY = bytes(range(32))
NONCE = bytes(range(1, 13))
NONCE_6 = bytes.fromhex("112233445566778899aabbcc")
CLIENT = IPv4Address("192.168.1.10")
CLIENT_6 = IPv6Address("2001:db8::10")
EXTERNAL = IPv4Address("203.0.113.7")
GATEWAY = Gateway(address=IPv4Address("192.168.1.1"), source=CLIENT)

TCP_8080 = MappingRequest(protocol=Protocol.TCP, internal_port=8080, lifetime=3600)
UDP_51820 = MappingRequest(protocol=Protocol.UDP, internal_port=51820, lifetime=3600)
SCTP = MappingRequest(protocol=Protocol.of(132), internal_port=3868, lifetime=3600)
PEER = MappingRequest(
    protocol=Protocol.TCP, internal_port=54321, lifetime=600, peer=Endpoint(IPv4Address("198.51.100.20"), 443)
)
ALL_TCP = MappingRequest(protocol=Protocol.TCP, internal_port=0, all_ports=True)
EVERYTHING = MappingRequest(protocol=Protocol.ALL, internal_port=0)


def lease_of(request: MappingRequest, external: Endpoint) -> Lease:
    return Lease(
        request=request,
        gateway=GATEWAY,
        backend="pcp",
        internal=Endpoint(CLIENT, request.internal_port),
        external=external,
        lifetime=request.lifetime,
        token=NONCE,
    )


def first(request: MappingRequest, client: IPAddress = CLIENT) -> wire.MapRequest | wire.PeerRequest:
    return mapping_request(request, client, NONCE)


def nonce(request: MappingRequest, gateway: Gateway = GATEWAY, key: bytes = KEY) -> bytes:
    return mapping_nonce(key, gateway, request)


# --- The nonce


@pytest.mark.conforms("PC-19", "PC-108")
def test_two_gateways_get_two_nonces_from_one_key() -> None:
    other = replace(GATEWAY, address=IPv4Address("192.168.1.2"))
    assert nonce(TCP_8080) != nonce(TCP_8080, other)


@pytest.mark.conforms("PC-20")
def test_the_nonce_differs_for_all_that_makes_a_mapping_another_one() -> None:
    nonces = [
        nonce(TCP_8080),
        nonce(TCP_8080, key=bytes(32)),
        nonce(TCP_8080, replace(GATEWAY, source=IPv4Address("192.168.1.11"))),
        nonce(replace(TCP_8080, internal_port=8081)),
        nonce(replace(TCP_8080, protocol=Protocol.UDP)),
        nonce(replace(TCP_8080, internal_address=IPv4Address("192.168.1.20"))),
        nonce(replace(TCP_8080, peer=Endpoint(IPv4Address("192.168.1.20"), 1))),
        nonce(replace(TCP_8080, peer=Endpoint(IPv4Address("192.168.1.20"), 2))),
    ]
    assert len(set(nonces)) == len(nonces)
    assert {len(one) for one in nonces} == {12}


@pytest.mark.conforms("PC-21", "PC-143")
@pytest.mark.parametrize("request_", [TCP_8080, ALL_TCP, EVERYTHING], ids=["one port", "all ports", "everything"])
def test_the_nonce_is_the_same_for_each_wish_about_one_mapping(request_: MappingRequest) -> None:
    """So that a renewal with other wishes, and a later run that knows the port alone, have it."""
    remote = (RemoteFilter.parse("198.51.100.0/24"),)
    for other in (
        replace(request_, lifetime=60),
        replace(request_, description="other"),
        replace(request_, remote=remote),
    ):
        assert nonce(other) == nonce(request_)
    if request_.internal_port:
        for other in (replace(request_, external_port=40000, exact=True), replace(request_, count=3)):
            assert nonce(other) == nonce(request_)


# --- The first request, the renewal, the delete


@pytest.mark.conforms("PC-92", "PC-146")
def test_without_a_wish_the_port_is_0_and_the_address_all_zeros_of_the_family() -> None:
    """TV-10 and TV-12: for IPv4 that is ::ffff:0:0, for IPv6 it is ::."""
    assert first(TCP_8080).encode() == tv.TV10_REQ
    assert mapping_request(UDP_51820, CLIENT_6, NONCE_6).encode() == tv.TV12_REQ


@pytest.mark.conforms("PC-86")
def test_a_renewal_suggests_the_address_and_port_that_were_assigned() -> None:
    """TV-11."""
    held = lease_of(TCP_8080, Endpoint(EXTERNAL, 40000))
    assert mapping_request(TCP_8080, CLIENT, NONCE, held).encode() == tv.TV11_RENEW


@pytest.mark.conforms("PC-86")
def test_a_renewal_suggests_what_was_assigned_rather_than_what_was_wished() -> None:
    wished = replace(TCP_8080, external_port=8080)
    held = lease_of(wished, Endpoint(None, 40000))
    again = mapping_request(wished, CLIENT, NONCE, held)
    assert (again.external_port, again.external_address) == (40000, IPv4Address(0))


@pytest.mark.conforms("PC-94", "PC-95")
def test_a_delete_has_lifetime_0_and_suggests_nothing() -> None:
    """TV-11, though a port was wished and assigned."""
    wished = replace(TCP_8080, external_port=40000)
    assert delete_request(lease_of(wished, Endpoint(EXTERNAL, 40000)), CLIENT).encode() == tv.TV11_DELETE


@pytest.mark.conforms("PC-95")
def test_a_delete_has_the_zeros_of_its_family() -> None:
    held = replace(lease_of(UDP_51820, Endpoint(CLIENT_6, 51820)), token=NONCE_6)
    data = delete_request(held, CLIENT_6).encode()
    assert (data[4:8], data[24:]) == (bytes(4), tv.TV12_REQ[24:42] + bytes(18))


@pytest.mark.conforms("PC-97")
def test_a_delete_of_an_exact_or_filtered_mapping_has_no_option_of_that() -> None:
    exact = replace(TCP_8080, external_port=40000, exact=True)
    filtered = replace(TCP_8080, remote=(RemoteFilter.parse("198.51.100.0/24"),))
    for request in (exact, filtered):
        assert first(request).options != ()
        assert delete_request(lease_of(request, Endpoint(EXTERNAL, 40000)), CLIENT).encode() == tv.TV11_DELETE


@pytest.mark.conforms("PC-119")
def test_a_third_party_is_named_in_each_request() -> None:
    """TV-13."""
    request = MappingRequest(
        protocol=Protocol.UDP, internal_port=5060, lifetime=600, internal_address=IPv4Address("192.168.1.20")
    )
    held = lease_of(request, Endpoint(EXTERNAL, 61000))
    assert first(request).encode() == tv.TV13_REQ
    for again in (mapping_request(request, CLIENT, NONCE, held), delete_request(held, CLIENT)):
        assert again.encode()[60:] == tv.TV13_REQ[60:]


@pytest.mark.conforms("PC-122")
def test_an_exact_port_is_asked_for_with_prefer_failure_and_only_that() -> None:
    """TV-14."""
    exact = replace(TCP_8080, external_port=8080, exact=True)
    assert first(exact).encode() == tv.TV14_REQ[:44] + tv.TV10_REQ[44:] + tv.TV14_REQ[60:]
    assert mapping_request(exact, CLIENT, NONCE, lease_of(exact, Endpoint(EXTERNAL, 8080))).encode() == tv.TV14_REQ
    assert first(replace(exact, exact=False)).options == ()


# --- SCTP


@pytest.mark.conforms("PC-144")
def test_sctp_is_asked_for_without_a_wish_first_and_with_what_was_assigned_then() -> None:
    asked = first(SCTP)
    assert (asked.protocol, asked.internal_port) == (132, 3868)
    assert (asked.external_port, asked.external_address) == (0, IPv4Address(0))
    again = mapping_request(SCTP, CLIENT, NONCE, lease_of(SCTP, Endpoint(EXTERNAL, 40000)))
    assert (again.external_port, again.external_address) == (40000, EXTERNAL)


# --- PEER


@pytest.mark.conforms("PC-136")
def test_the_first_peer_request_suggests_nothing_and_a_later_one_what_was_held() -> None:
    """TV-18."""
    assert first(PEER).encode() == tv.TV18_REQ
    again = mapping_request(PEER, CLIENT, NONCE, lease_of(PEER, Endpoint(EXTERNAL, 54321)))
    assert again.encode() == tv.TV18_REQ[:42] + tv.TV18_RESP[42:]


@pytest.mark.conforms("PC-138")
def test_the_external_address_of_a_peer_mapping_may_be_of_another_family() -> None:
    """NAT64: the remote peer has an IPv6 address here and is reached from an IPv4 one."""
    response = wire.decode_response(tv.TV18_RESP)
    assert isinstance(response, wire.PeerResponse)
    translated = replace(response, remote_address=IPv6Address("64:ff9b::c633:6414"))
    assert external_endpoint(translated, CLIENT_6) == Endpoint(EXTERNAL, 54321)


# --- All ports, and protocols without ports


@pytest.mark.conforms("PC-141")
@pytest.mark.parametrize(
    ("protocol", "port", "all_ports", "possible"),
    [("tcp", 80, False, True), ("tcp", 0, True, True), ("tcp", 0, False, False), ("tcp", 80, True, False),
     ("all", 0, False, True), ("all", 0, True, True), ("all", 80, False, False), ("all", 80, True, False),
     ("0", 0, False, True), ("0", 80, False, False),
     pytest.param("gre", 0, False, True, marks=pytest.mark.conforms("PC-142")),
     pytest.param("gre", 80, False, False, marks=pytest.mark.conforms("PC-142")),
     pytest.param("esp", 80, False, False, marks=pytest.mark.conforms("PC-142")),
     pytest.param("icmp", 80, False, False, marks=pytest.mark.conforms("PC-142")),
     pytest.param("253", 0, False, True, marks=pytest.mark.conforms("PC-142")),
     pytest.param("253", 80, False, False, marks=pytest.mark.conforms("PC-142")),
     ("sctp", 80, False, True), ("dccp", 80, False, True), ("udplite", 80, False, True)],
)  # fmt: skip
def test_which_protocols_and_ports_go_together(protocol: str, port: int, all_ports: bool, possible: bool) -> None:
    parsed = Protocol.parse(protocol)
    if not possible:
        with pytest.raises(InvalidRequest):
            MappingRequest(protocol=parsed, internal_port=port, all_ports=all_ports)
        return
    request = MappingRequest(protocol=parsed, internal_port=port, all_ports=all_ports)
    data = first(request).encode()
    assert (data[36], int.from_bytes(data[40:42], "big")) == (parsed.number, port)
    assert data[42:44] == bytes(2)


# --- What was assigned


def granted(address: str, port: int, internal_port: int = 51820) -> wire.MapResponse:
    response = wire.decode_response(tv.TV12_RESP)
    assert isinstance(response, wire.MapResponse)
    return replace(response, external_address=ip_address(address), external_port=port, internal_port=internal_port)


@pytest.mark.conforms("PC-147")
def test_without_a_nat_the_external_endpoint_is_the_internal_one() -> None:
    """TV-12; also from a gateway that writes port 0 then, as miniupnpd 2.3.1 does."""
    for port in (51820, 0):
        assert external_endpoint(granted("2001:db8::10", port), CLIENT_6) == Endpoint(CLIENT_6, 51820)


@pytest.mark.conforms("PC-147")
def test_port_0_of_another_address_is_no_endpoint() -> None:
    for address, source in (("203.0.113.7", CLIENT), ("2001:db8::11", CLIENT_6), ("192.168.1.10", CLIENT)):
        with pytest.raises(ProtocolError, match="external port 0"):
            external_endpoint(granted(address, 0), source)


@pytest.mark.conforms("PC-141")
def test_all_ports_have_no_external_port() -> None:
    assert external_endpoint(granted("203.0.113.7", 0, internal_port=0), CLIENT) == Endpoint(EXTERNAL, 0)


@pytest.mark.parametrize("address", ["0.0.0.0", "::"])
def test_an_address_of_zeros_is_none(address: str) -> None:
    assert external_endpoint(granted(address, 40000), CLIENT) == Endpoint(None, 40000)
