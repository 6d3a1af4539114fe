"""From findings to words: every verdict has its situation and its line in the docs, and nothing makes it fail."""

import string
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portmapper.doctor.evidence import doctor_object
from portmapper.doctor.findings import (
    Connection,
    Device,
    Findings,
    Firewall,
    FirstQuestion,
    GatewayFindings,
    Listener,
    Neighbour,
    Network,
    Outcome,
    PortFindings,
    Refusal,
    Search,
    Trial,
)
from portmapper.doctor.problem import Code
from portmapper.doctor.report import report_lines
from portmapper.doctor.verdict import verdict
from portmapper.doctor.wording import parts
from portmapper.model import Endpoint, Gateway, MappingRequest, Protocol
from portmapper.state.folder import NotedMapping
from portmapper.state.journal import Note, NoteState
from portmapper.text import safe_text
from tests.doctor import page
from tests.doctor.situations import SITUATIONS

HOST, ROUTER, OUTER = IPv4Address("192.168.1.10"), IPv4Address("192.168.1.1"), IPv4Address("8.8.4.1")
GATEWAY = Gateway(address=ROUTER, source=HOST, interface="eth0")
REQUEST = MappingRequest(protocol=Protocol.TCP, internal_port=8080, external_port=8080)


def natpmp(address: IPv4Address | None = OUTER, outcome: Outcome = Outcome.ANSWERED) -> FirstQuestion:
    return FirstQuestion(
        backend="natpmp", outcome=outcome, sent=bytes(2), times=1, seconds=0.1, result="SUCCESS", address=address
    )


def at_home(*questions: FirstQuestion, port: PortFindings | None = None) -> Findings:
    """Return findings where all is well, but for `questions` and `port`."""
    gateway = GatewayFindings(gateway=GATEWAY, questions=questions or (natpmp(),))
    return Findings(network=Network(outward=HOST), gateways=(gateway,), backends=("natpmp",), port=port)


def with_port(*trials: Trial, listens: str | None = "0.0.0.0") -> PortFindings:
    listener = Listener(protocol="tcp", local=Endpoint(IPv4Address(listens), 8080)) if listens else None
    return PortFindings(request=REQUEST, listeners=(listener,) if listener else (), trials=trials)


def granted(address: IPv4Address = OUTER, **changes: object) -> Trial:
    made = Trial(
        backend="natpmp", seconds=0.1, internal=Endpoint(HOST, 8080), external=Endpoint(address, 8080), lifetime=120
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def test_what_is_found_twice_is_said_once() -> None:
    down = Trial(backend="natpmp", seconds=0.1, code=3, name="NETWORK_FAILURE", problem="no")
    judged = verdict(at_home(natpmp(None), port=with_port(down)))
    assert (judged.code, judged.others) == (Code.WAN_DOWN, ())


def test_all_is_well() -> None:
    judged = verdict(at_home(port=with_port(granted())))
    assert (judged.code, judged.well, judged.others) == (Code.OK, True, ())
    assert "8.8.4.1:8080" in judged.headline


def test_what_keeps_people_out_comes_before_what_does_not() -> None:
    """The order of the codes decides only among those of one kind: a bad description is of no account here."""
    findings = at_home(port=with_port(granted(), listens=None))
    odd = Device(address=ROUTER, location="http://x/", problem="not well-formed XML")
    findings = replace(findings, gateways=(replace(findings.gateways[0], devices=(odd,)),))
    judged = verdict(findings)
    assert (judged.code, judged.well) == (Code.NOBODY_LISTENS, False)
    assert [one.code for one in judged.others] == [Code.BAD_DESCRIPTION]


def test_of_two_that_keep_people_out_the_more_decisive_comes_first() -> None:
    refused = Trial(backend="natpmp", seconds=0.1, code=2, name="NOT_AUTHORIZED", problem="no")
    judged = verdict(at_home(natpmp(IPv4Address("10.0.0.5")), port=with_port(refused)))
    assert (judged.code, [one.code for one in judged.others]) == (Code.NOT_AUTHORIZED, [Code.DOUBLE_NAT])
    judged = verdict(at_home(natpmp(IPv4Address("100.64.1.2")), port=with_port(refused)))
    assert (judged.code, [one.code for one in judged.others]) == (Code.CGNAT, [Code.NOT_AUTHORIZED])


def test_the_most_decisive_is_the_headline_and_the_others_follow_in_their_order() -> None:
    shared = IPv4Address("100.64.1.2")
    findings = replace(
        at_home(natpmp(shared), port=with_port(granted(shared, left="it stands"), listens="127.0.0.1")),
        network=Network(outward=IPv4Address("10.2.0.2")),
    )
    judged = verdict(findings)
    assert judged.code == Code.CGNAT
    assert [one.code for one in judged.others] == [Code.LOOPBACK_ONLY, Code.ANSWERS_ELSEWHERE, Code.LEFT_BEHIND]


@pytest.mark.parametrize(("state", "code"), [("held", Code.OK), ("detached", Code.OK), ("asked", Code.TRIAL_FAILED)])
def test_what_a_program_asks_for_is_open_only_once_it_has_it(state: str, code: Code) -> None:
    note = Note(
        request=REQUEST, gateway=GATEWAY, state=NoteState(state), since=0, ends=None, external=Endpoint(OUTER, 8080)
    )
    noted = NotedMapping(note, "transmission", 4711, living=True)
    judged = verdict(at_home(port=replace(with_port(), noted=(noted,))))
    assert judged.code == code
    assert ("open already at 8.8.4.1:8080" if code == Code.OK else "transmission (process 4711)") in judged.headline


def test_the_firewall_of_this_host_is_a_hint_and_no_verdict() -> None:
    judged = verdict(replace(at_home(), firewall=Firewall(active=("ufw",))))
    assert judged.code == Code.OK
    assert any("ufw" in one for one in judged.advice)


def test_an_ipv6_listener_on_all_addresses_hears_ipv4() -> None:
    port = replace(with_port(granted()), listeners=(Listener(protocol="tcp", local=Endpoint(IPv6Address("::"), 8080)),))
    assert verdict(at_home(port=port)).code == Code.OK


def test_where_the_system_does_not_tell_who_listens_nothing_is_claimed() -> None:
    assert verdict(at_home(port=replace(with_port(granted()), listeners=None))).code == Code.OK


# --- One source for the codes, the texts, the situations and the docs


def test_every_verdict_has_a_situation_that_is_played() -> None:
    assert {one.code for one in SITUATIONS} == set(Code)


def test_the_page_has_what_is_said_and_the_situations_that_are_played() -> None:
    """`python -m tests.doctor.page` writes it."""
    assert page.table() in page.PAGE.read_text()


@pytest.mark.parametrize("code", Code)
def test_every_text_is_a_sentence_with_advice(code: Code) -> None:
    headline, *advice = parts(code)
    assert all(one.endswith(".") for one in (headline, *advice) if not one.startswith("{"))
    assert advice or code == Code.OK
    assert not [name for part in parts(code) for _, name, _, _ in string.Formatter().parse(part) if name == ""]


# --- Whatever was found

texts = st.text(max_size=20)
addresses = st.ip_addresses()
outcomes = st.sampled_from(Outcome)
refusals = st.none() | st.builds(
    Refusal,
    text=texts,
    errno=st.integers(0, 130),
    icmp=st.none() | st.tuples(st.integers(0, 5), st.integers(0, 20)),
    by=st.none() | addresses,
)
questions = st.builds(
    FirstQuestion,
    backend=st.sampled_from(["pcp", "natpmp"]),
    outcome=outcomes,
    sent=st.binary(max_size=4),
    times=st.integers(0, 9),
    seconds=st.floats(0, 3),
    received=st.binary(max_size=60),
    result=st.sampled_from(["", "SUCCESS", "NOT_AUTHORIZED", "NETWORK_FAILURE", "RESULT_99"]),
    address=st.none() | addresses,
    refusal=refusals,
)
connections = st.builds(
    Connection,
    service_type=texts,
    status=st.sampled_from(["", "Connected", "Disconnected"]) | texts,
    connection_type=texts,
    nat=st.none() | st.booleans(),
    told_address=st.booleans(),
    address=st.none() | addresses,
    problem=st.just("") | texts,
)
devices = st.builds(
    Device,
    address=addresses,
    location=texts,
    problem=st.just("") | texts,
    claims=st.booleans(),
    model=texts,
    friendly_name=texts,
    connections=st.tuples() | st.tuples(connections),
    firewall=st.booleans(),
)
trials = st.builds(
    Trial,
    backend=st.sampled_from(["pcp", "upnp"]),
    seconds=st.floats(0, 3),
    external=st.none() | st.builds(Endpoint, st.none() | addresses, st.integers(1, 65535)),
    lifetime=st.integers(0, 120),
    name=st.sampled_from(["", "NOT_AUTHORIZED", "NO_RESOURCES", "ConflictInMappingEntry", "NAT_DISABLED", "X"]),
    problem=texts,
    left=texts,
)
ports = st.builds(
    PortFindings,
    request=st.just(REQUEST),
    listeners=st.none()
    | st.tuples()
    | st.tuples(st.builds(Listener, protocol=texts, local=st.builds(Endpoint, addresses, st.just(8080)))),
    trials=st.tuples() | st.tuples(trials, trials),
)
gateways = st.builds(
    GatewayFindings,
    gateway=st.builds(Gateway, address=addresses, source=addresses, interface=st.none() | st.just("eth0")),
    questions=st.tuples() | st.tuples(questions, questions),
    search=st.none() | st.builds(Search, outcome=outcomes, seconds=st.floats(0, 3), refusal=refusals),
    devices=st.tuples() | st.tuples(devices),
    neighbour=st.builds(Neighbour, alive=st.none() | st.booleans(), hardware=texts),
)
anything = st.builds(
    Findings,
    network=st.builds(Network, outward=st.none() | addresses),
    gateways=st.tuples() | st.tuples(gateways) | st.tuples(gateways, gateways),
    port=st.none() | ports,
)


@given(anything)
@settings(deadline=None)
def test_whatever_was_found_there_is_a_verdict_that_can_be_shown(findings: Findings) -> None:
    judged = verdict(findings)
    lines = list(report_lines(judged, findings))
    assert judged.headline
    assert all(line == safe_text(line, limit=len(line)) for line in lines)
    assert doctor_object(judged, findings)["verdict"] == judged.code
    assert not (judged.well and any(one.blocking for one in judged.others))
