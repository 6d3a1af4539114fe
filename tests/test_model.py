"""The nouns refuse what no protocol can carry, and say what they are."""

from dataclasses import replace
from ipaddress import IPv4Address, ip_address
from typing import Any
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portmapper.backend import Backend
from portmapper.errors import InvalidRequest, LocalError
from portmapper.holding import Grant, Holding
from portmapper.mapping import Mapping
from portmapper.model import (
    Endpoint,
    Gateway,
    Lease,
    MappingRequest,
    Protocol,
    Reachability,
    reachability,
)


def request(**changes: Any) -> MappingRequest:
    values: dict[str, Any] = {"protocol": Protocol.TCP, "internal_port": 8080} | changes
    return MappingRequest(**values)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("internal_port", 1),
        ("internal_port", 65535),
        ("external_port", 0),
        ("external_port", 65535),
        ("lifetime", 1),
        ("lifetime", 2**32 - 1),
        ("description", ""),
        ("description", "x" * 64),
        ("description", "\N{SNOWMAN}" * 64),
    ],
)
def test_requests_at_the_bounds(name: str, value: int | str) -> None:
    assert getattr(request(**{name: value}), name) == value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("internal_port", 0),  # UP-102; to PCP it would be all ports (PC-141)
        ("internal_port", -1),
        ("internal_port", 65536),
        ("external_port", -1),
        ("external_port", 65536),
        ("lifetime", 0),
        ("lifetime", -1),
        ("lifetime", 2**32),
        ("description", "x" * 65),
        ("description", "line\nbreak"),
        ("description", "\x1b[2J"),
        ("description", "bidi \N{RIGHT-TO-LEFT OVERRIDE}"),
        ("description", "lone \ud800"),
    ],
)
def test_requests_beyond_the_bounds_are_refused(name: str, value: int | str) -> None:
    with pytest.raises(InvalidRequest, match=name.removeprefix("internal_").replace("_", " ")):
        request(**{name: value})


def test_a_refused_request_is_our_error_and_a_value_error() -> None:
    with pytest.raises(InvalidRequest, match="port must be 1 to 65535, not 70000") as caught:
        request(internal_port=70000)
    assert isinstance(caught.value, LocalError)
    assert isinstance(caught.value, ValueError)


@pytest.mark.conforms("NP-34")
def test_defaults_of_a_request() -> None:
    """7200 s, any external port."""
    assert (request().external_port, request().lifetime, request().description) == (0, 7200, "portmapper")


@pytest.mark.parametrize(("protocol", "text"), [(Protocol.TCP, "8080/tcp"), (Protocol.UDP, "8080/udp")])
def test_a_request_is_shown_as_port_and_protocol(protocol: Protocol, text: str) -> None:
    assert str(request(protocol=protocol)) == text


@pytest.mark.parametrize(
    ("address", "text"),
    [
        ("203.0.113.7", "203.0.113.7:40000"),
        ("2001:db8::10", "[2001:db8::10]:40000"),
        ("fe80::1%eth0", "[fe80::1%eth0]:40000"),
    ],
)
def test_an_endpoint_is_shown_as_in_a_url(address: str, text: str) -> None:
    assert str(Endpoint(ip_address(address), 40000)) == text


def test_an_endpoint_without_an_address_says_so() -> None:
    assert str(Endpoint(None, 40000)) == "(unknown address):40000"


@pytest.mark.parametrize(
    ("text", "protocol"), [("tcp", Protocol.TCP), ("TCP", Protocol.TCP), ("udp", Protocol.UDP), ("Udp", Protocol.UDP)]
)
def test_protocols_by_name(text: str, protocol: Protocol) -> None:
    assert Protocol.parse(text) == protocol


@pytest.mark.parametrize(
    "text", ["", "scp", " tcp", "tcp ", "256", "-1", "06x", "tcp\n", "\u0666", "99999999999", "0000999", "0006"]
)
def test_what_is_no_protocol_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="another name or a number to 255"):
        Protocol.parse(text)


@pytest.mark.parametrize(("text", "name", "number"), [("SCTP", "sctp", 132), ("6", "tcp", 6), ("99", "99", 99)])
def test_any_ip_protocol_has_a_name_or_a_number(text: str, name: str, number: int) -> None:
    assert (Protocol.parse(text), Protocol.parse(text).number) == (name, number)


def test_the_refusal_of_a_protocol_cannot_steer_a_terminal() -> None:
    with pytest.raises(InvalidRequest) as caught:
        Protocol.parse("\x1b]0;owned\x07")
    assert str(caught.value).isprintable()


def test_protocol_numbers() -> None:
    assert (Protocol.TCP.number, Protocol.UDP.number) == (6, 17)


def lease(lifetime: int) -> Lease:
    return Lease(
        request=request(),
        gateway=Gateway(address=IPv4Address("192.168.1.1"), source=IPv4Address("192.168.1.10")),
        backend="pcp",
        internal=Endpoint(IPv4Address("192.168.1.10"), 8080),
        external=Endpoint(IPv4Address("203.0.113.7"), 8080),
        lifetime=lifetime,
        token=b"secret nonce",
    )


def test_a_lifetime_of_0_is_without_end() -> None:
    """UP-94."""
    assert lease(0).permanent
    assert not lease(1).permanent


def test_the_token_of_a_lease_is_not_shown() -> None:
    """The nonce is what lets others delete the mapping."""
    assert "secret" not in repr(lease(1))


@pytest.mark.conforms("NP-01", "PC-01")
def test_a_gateway_is_shown_as_its_address_and_has_the_standard_ports() -> None:
    """UP-02."""
    gateway = lease(1).gateway
    assert str(gateway) == "192.168.1.1"
    assert (gateway.port, gateway.ssdp_port) == (5351, 1900)


# UP-107
REACHABILITY = {
    "8.8.4.1": Reachability.PUBLIC,
    "1.0.0.1": Reachability.PUBLIC,
    "223.255.255.254": Reachability.PUBLIC,
    "9.255.255.255": Reachability.PUBLIC,
    "10.0.0.0": Reachability.DOUBLE_NAT,
    "10.255.255.255": Reachability.DOUBLE_NAT,
    "11.0.0.0": Reachability.PUBLIC,
    "172.15.255.255": Reachability.PUBLIC,
    "172.16.0.0": Reachability.DOUBLE_NAT,
    "172.31.255.255": Reachability.DOUBLE_NAT,
    "172.32.0.0": Reachability.PUBLIC,
    "192.167.255.255": Reachability.PUBLIC,
    "192.168.0.0": Reachability.DOUBLE_NAT,
    "192.168.255.255": Reachability.DOUBLE_NAT,
    "192.169.0.0": Reachability.PUBLIC,
    "100.63.255.255": Reachability.PUBLIC,
    "100.64.0.0": Reachability.CGNAT,
    "100.127.255.255": Reachability.CGNAT,
    "100.128.0.0": Reachability.PUBLIC,
    "169.254.1.1": Reachability.UNKNOWN,
    "127.0.0.1": Reachability.UNKNOWN,
    "0.0.0.0": Reachability.UNKNOWN,
    "192.0.0.9": Reachability.UNKNOWN,
    "192.0.2.1": Reachability.UNKNOWN,
    "198.18.0.1": Reachability.UNKNOWN,
    "198.51.100.1": Reachability.UNKNOWN,
    "203.0.113.7": Reachability.UNKNOWN,
    "224.0.0.1": Reachability.UNKNOWN,
    "240.0.0.1": Reachability.UNKNOWN,
    "255.255.255.255": Reachability.UNKNOWN,
    "2a00::1": Reachability.PUBLIC,
    "2001:db7::1": Reachability.PUBLIC,
    "2001:db8::1": Reachability.UNKNOWN,
    "fe80::1": Reachability.UNKNOWN,
    "fe80::1%eth0": Reachability.UNKNOWN,
    "fd00::1": Reachability.UNKNOWN,
    "::": Reachability.UNKNOWN,
    "::1": Reachability.UNKNOWN,
    "::ffff:8.8.4.1": Reachability.UNKNOWN,
    "ff02::1": Reachability.UNKNOWN,
    "4000::1": Reachability.UNKNOWN,
}


@pytest.mark.conforms("F20", "NP-80")
def test_reachability_of_the_first_and_last_addresses_of_every_network() -> None:
    assert {address: reachability(ip_address(address)) for address in REACHABILITY} == REACHABILITY


def test_reachability_without_an_address_is_unknown() -> None:
    assert reachability(None) is Reachability.UNKNOWN


@pytest.mark.conforms("NP-77")
@pytest.mark.parametrize(("external", "verdict"), [("8.8.4.4", Reachability.PUBLIC), (None, Reachability.UNKNOWN)])
def test_a_private_address_of_this_host_proves_no_nat(external: str | None, verdict: Reachability) -> None:
    """The external address alone decides."""
    told = replace(lease(600), external=Endpoint(ip_address(external) if external else None, 8080))
    held = Holding(told.request, Grant(Mock(spec=Backend), told, time=0.0))
    assert Mapping(Mock(), held).reachability is verdict


@given(
    st.sampled_from([1, 2, 100, 65535]),
    st.booleans(),
    st.integers(0, 65535),
)
def test_what_was_granted_can_always_be_asked_for_again(count: int, all_ports: bool, granted: int) -> None:
    """A mapping whose next request cannot be made would be lost for good."""
    wanted = MappingRequest(
        protocol=Protocol.TCP, internal_port=0 if all_ports else 1, all_ports=all_ports, count=1 if all_ports else count
    )
    told = replace(lease(600), request=wanted, external=Endpoint(None, granted))
    again = Holding(wanted, Grant(Mock(spec=Backend), told, time=0.0)).again(wanted)
    fits = not all_ports and granted + count - 1 <= 65535
    assert again == replace(wanted, external_port=granted if fits else 0)
