"""What may not be in a report for strangers, what has to stay, and that a thing has the same number everywhere."""

import json
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portmapper.cli.commands.doctor import bundle_text
from portmapper.doctor.evidence import doctor_object
from portmapper.doctor.findings import (
    Connection,
    Device,
    Findings,
    FirstQuestion,
    GatewayFindings,
    Interface,
    Neighbour,
    Network,
    Outcome,
    PortFindings,
    Search,
    SearchAnswer,
)
from portmapper.doctor.redaction import Masker
from portmapper.doctor.report import report_lines
from portmapper.doctor.verdict import verdict
from portmapper.model import Gateway, ListedMapping, MappingRequest, Protocol

PUBLIC, PUBLIC_6 = IPv4Address("8.8.4.1"), IPv6Address("2600:1f18:42:7::beef")
SLAAC = IPv6Address("fe80::ba27:ebff:fe12:3456%eth0")
SECRETS = {
    "address": str(PUBLIC),
    "address in hexadecimal": PUBLIC.packed.hex(),
    "address with hyphens": "8-8-4-1",
    "IPv6 address": "1f18:42",
    "hardware address": "b8:27:eb:12:34:56",
    "hardware address in an IPv6 address": "ba27:ebff",
    "hardware address in an interface's name": "b827eb123456",
    "UUID": "7f1f3c4e",
    "name that is no UUID": "alices-uuid",
    "serial number": "SN-4711",
    "friendly name": "Alice's box",
    "another's mapping": "Bob's game",
    "another host's name": "bobs-laptop",
    "host": "alicepc",
    "user": "alice",
}
KEPT = ("192.168.1.1", "192.168.1.10", "10.0.0.7", "Speedy 3000", "MiniUPnPd/2.3.1", "rootDesc.xml", "fd00::7")


def revealing() -> Findings:
    """Everything that tells whose it is, at every place where it can come from."""
    gateway = Gateway(
        address=IPv4Address("192.168.1.1"), source=IPv4Address("192.168.1.10"), interface="wlxb827eb123456"
    )
    location = "http://192.168.1.1:5000/7f1f3c4e-0000-4000-8000-706f72746d61/rootDesc.xml?host=8-8-4-1"
    server = "Linux/5 UPnP/1.1 MiniUPnPd/2.3.1 uuid:alices-uuid (alicepc)"
    answer = SearchAnswer(sender=gateway.address, target="x", location=location, server=server, seconds=0.1)
    natpmp = FirstQuestion(
        backend="natpmp",
        outcome=Outcome.ANSWERED,
        sent=bytes(2),
        times=1,
        seconds=0.1,
        received=bytes(8) + PUBLIC.packed,
        address=PUBLIC,
    )
    odd = replace(
        natpmp, backend="pcp", outcome=Outcome.NONSENSE, received=bytes(9) + PUBLIC.packed * 300, address=None
    )
    device = Device(
        address=gateway.address,
        location=location,
        manufacturer="Speedy",
        model="Speedy 3000",
        friendly_name="Alice's box",
        serial_number="SN-4711",
        udn="uuid:7f1f3c4e-0000-4000-8000-706f72746d61",
        connections=(Connection(service_type="urn:x:WANIPConnection:1", told_address=True, address=PUBLIC),),
    )
    strange = replace(device, problem=f"http://{PUBLIC}:80/ of Alice's box (alice@alicepc) is refused, SN-4711")
    listed = ListedMapping(
        remote_host="",
        external_port=8080,
        protocol=Protocol.TCP,
        internal_port=8080,
        internal_client="bobs-laptop",
        enabled=True,
        description="Bob's game",
        lifetime=0,
    )
    addresses = (gateway.source, PUBLIC_6, SLAAC, IPv6Address("fd00::7"))
    interface = Interface(
        name="wlxb827eb123456", up=True, running=True, loopback=False, tunnel=False, addresses=addresses
    )
    request = MappingRequest(protocol=Protocol.TCP, internal_port=8080, external_port=8080)
    return Findings(
        network=Network(interfaces=(interface,), outward=IPv4Address("10.0.0.7")),
        gateways=(
            GatewayFindings(
                gateway=gateway,
                questions=(odd, natpmp),
                search=Search(outcome=Outcome.ANSWERED, seconds=1.0, answers=(answer,)),
                devices=(device, strange),
                neighbour=Neighbour(alive=True, hardware="b8:27:eb:12:34:56"),
            ),
        ),
        backends=("pcp", "natpmp", "upnp"),
        port=PortFindings(request=request, listed=(listed,), listeners=()),
    )


@pytest.fixture
def text() -> str:
    findings = revealing()
    return bundle_text(verdict(findings), findings, [("host", "alicepc"), ("user", "alice")])


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
def test_nothing_tells_whose_it_is(text: str, secret: str) -> None:
    assert secret.lower() not in text.lower()
    assert secret.lower() in everything().lower(), "the secret is not in the findings, so this proves nothing"


def everything() -> str:
    findings = revealing()
    judged = verdict(findings)
    return "\n".join([json.dumps(doctor_object(judged, findings)), *report_lines(judged, findings)])


@pytest.mark.parametrize("word", KEPT)
def test_what_is_needed_to_understand_it_stays(text: str, word: str) -> None:
    assert word in text


def test_the_same_thing_has_the_same_number_in_text_and_object(text: str) -> None:
    report, _, facts = text.partition("\n\n{")
    evidence = json.loads("{" + facts)["evidence"]
    number = evidence["gateways"][0]["questions"][1]["address"]
    assert evidence["gateways"][0]["devices"][0]["connections"][0]["address"] == number
    assert f"external address {number}" in report


@given(st.ip_addresses(v=4).filter(lambda one: one.is_global and not one.is_multicast), st.sampled_from('./-:[ ("'))
def test_every_public_ipv4_address_is_masked(address: IPv4Address, before: str) -> None:
    shown = Masker().redacted_text(f"x{before} {address}:80, {address}. http://{address}/")
    assert str(address) not in shown


@given(st.ip_addresses(v=6).filter(lambda one: one.is_global and not one.is_multicast))
def test_every_global_ipv6_address_is_masked_in_every_form(address: IPv6Address) -> None:
    shown = Masker().redacted_text(f"[{address}]:80 {address} {address.exploded} http://[{address}]/ {address}%eth0.")
    assert not [one for one in (str(address), address.exploded) if one in shown]


@given(st.ip_addresses(network="192.168.0.0/16") | st.ip_addresses(network="10.0.0.0/8"))
def test_private_addresses_stay(address: IPv4Address) -> None:
    assert Masker().redacted_text(f"at {address}.") == f"at {address}."


@pytest.mark.parametrize("text", ["12:34:56", "3.14", "1.2.3", "::1", "a::b::c", "999.1.1.1", "http://x:80/"])
def test_what_is_no_address_stays(text: str) -> None:
    assert Masker().redacted_text(text) == text


def test_a_short_name_is_masked_at_its_own_place_alone() -> None:
    facts = Masker().redacted({"serial_number": "1", "times": "1 of 21"})
    assert facts == {"serial_number": "<serial-1>", "times": "1 of 21"}


def test_a_public_address_of_this_host_is_masked_in_its_own_requests() -> None:
    masked = Masker().redacted({"sent": (b"\2" + bytes(23) + ip_address("8.8.4.1").packed).hex()})
    assert masked == {"sent": "0200000000000000.."}
