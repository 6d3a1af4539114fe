"""Which device is looked at first, and that no neighbour takes the gateway's place (S5, S34)."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portmapper import limits
from portmapper.model import Gateway, IPAddress
from portmapper.upnp.answers import AnswerTable, Candidate, on_link
from portmapper.upnp.ssdp import Answer, encode_answer
from tests.fuzz import examples
from tests.wire import vectors as tv

ROUTER, HOST = IPv4Address("192.168.1.1"), IPv4Address("192.168.1.10")
NETWORK = IPv4Network("192.168.1.0/24")
NEIGHBOUR, OTHER = IPv4Address("192.168.1.66"), IPv4Address("192.168.1.67")
FAR = IPv4Address("192.0.2.1")
DEVICE, SERVICE = "urn:schemas-upnp-org:device:InternetGatewayDevice", "urn:schemas-upnp-org:service:"
GATEWAY = Gateway(address=ROUTER, source=HOST, network=NETWORK)


def said(target: str = f"{DEVICE}:1", *, location: str = "http://192.168.1.1/desc.xml", usn: str = "uuid:1") -> bytes:
    return encode_answer(Answer(location=location, target=target, usn=f"{usn}::{target}", server="x"))


def table(gateway: Gateway = GATEWAY) -> AnswerTable:
    return AnswerTable(gateway)


def all_of(answers: AnswerTable, *, others: bool = True) -> list[Candidate]:
    """Take devices until there is none."""
    found: list[Candidate] = []
    while (one := answers.next(others=others)) is not None:
        found.append(one)
    return found


def senders(answers: AnswerTable, *, others: bool = True) -> list[IPAddress]:
    return [one.address for one in all_of(answers, others=others)]


def targets(answers: AnswerTable) -> list[str]:
    return [one.answer.target for one in all_of(answers)]


def flood(answers: AnswerTable, hosts: list[IPv4Address], each: int, target: str = f"{DEVICE}:2") -> None:
    for number in range(each):
        for host in hosts:
            answers.add(said(target, location=f"http://{host}/{number}", usn=f"uuid:{host}-{number}"), host)


NEIGHBOURS = [one for one in NETWORK.hosts() if one not in {ROUTER, HOST}]


# --- Whose answers


@pytest.mark.conforms("UP-14", "UP-49")
def test_the_answer_of_the_gateway_is_the_device() -> None:
    answers = table()
    answers.add(tv.TV20_ANSWER, ROUTER)
    [one] = all_of(answers, others=False)
    assert one.address == ROUTER
    assert one.answer.location == "http://192.168.1.1:5000/igd/rootDesc.xml"
    assert answers.next(others=True) is None


@pytest.mark.conforms("F28", "UP-49", "Q-07")
def test_the_gateway_comes_before_whoever_answered_first() -> None:
    answers = table()
    answers.add(said(f"{DEVICE}:2"), NEIGHBOUR)
    answers.add(said("upnp:rootdevice"), ROUTER)
    assert senders(answers) == [ROUTER, NEIGHBOUR]


@pytest.mark.conforms("UP-49", "Q-07")
def test_another_host_waits_until_others_may_be_looked_at() -> None:
    answers = table()
    answers.add(said(), NEIGHBOUR)
    assert answers.next(others=False) is None
    answers.add(said(), ROUTER)
    assert senders(answers, others=False) == [ROUTER]
    assert senders(answers, others=True) == [NEIGHBOUR]


@pytest.mark.conforms("UP-32")
@pytest.mark.parametrize("network", [NETWORK, None], ids=["link known", "link unknown"])
def test_a_host_off_the_link_is_not_heard(network: IPv4Network | None) -> None:
    answers = table(Gateway(address=ROUTER, source=HOST, network=network))
    for stranger in (FAR, IPv4Address("192.168.2.1"), IPv6Address("2001:db8::1")):
        answers.add(said(), stranger)
    assert all_of(answers) == []


def test_while_the_link_is_not_known_only_the_gateway_is_heard() -> None:
    answers = table(Gateway(address=ROUTER, source=HOST))
    answers.add(said(), NEIGHBOUR)
    answers.add(said(), ROUTER)
    assert senders(answers) == [ROUTER]


@pytest.mark.conforms("Q-10")
@pytest.mark.parametrize("sender", ["fe80::1", "fe80::1%2", "fe80::1%eth0"])
def test_the_zone_is_no_part_of_the_gateways_address(sender: str) -> None:
    answers = table(Gateway(address=IPv6Address("fe80::1%eth0"), source=IPv6Address("2001:db8::10")))
    answers.add(said(), IPv6Address(sender))
    assert senders(answers, others=False) == [IPv6Address(sender)]


@pytest.mark.parametrize(
    ("sender", "heard"), [("fe80::66%2", True), ("2001:db8::66", True), ("2001:db8:0:1::66", False)]
)
def test_by_ipv6_the_link_is_the_first_half_of_the_own_address(sender: str, heard: bool) -> None:
    answers = table(Gateway(address=IPv6Address("fe80::1%eth0"), source=IPv6Address("2001:db8::10")))
    answers.add(said(), IPv6Address(sender))
    assert bool(all_of(answers)) is heard
    assert str(on_link(Gateway(address=IPv6Address("fe80::1"), source=IPv6Address("2001:db8::10")))) == "2001:db8::/64"


# --- Which answers


@pytest.mark.conforms("UP-06", "UP-44")
def test_the_best_type_comes_first() -> None:
    """Version 2 before 1, devices before services, and rootdevice last."""
    kinds = ["upnp:rootdevice", f"{SERVICE}WANPPPConnection:1", f"{SERVICE}WANIPConnection:1",
             f"{SERVICE}WANIPConnection:2", f"{DEVICE}:1", f"{DEVICE}:2"]  # fmt: skip
    answers = table()
    for number, kind in enumerate(kinds):
        answers.add(said(kind, location=f"http://192.168.1.1/{number}"), ROUTER)
    assert targets(answers) == kinds[::-1]


def test_of_equal_answers_the_first_that_came_is_first() -> None:
    answers = table()
    for number in range(3):
        answers.add(said(location=f"http://192.168.1.1/{number}"), ROUTER)
    assert [one.answer.location[-1] for one in all_of(answers)] == ["0", "1", "2"]


def test_what_comes_while_others_were_looked_at_takes_its_place() -> None:
    answers = table()
    answers.add(said(f"{DEVICE}:1", location="http://192.168.1.1/1"), ROUTER)
    answers.add(said(f"{DEVICE}:1", location="http://192.168.1.1/2"), ROUTER)
    assert answers.next(others=False) is not None
    answers.add(said(f"{DEVICE}:2", location="http://192.168.1.1/3"), ROUTER)
    assert [one.answer.location[-1] for one in all_of(answers)] == ["3", "2"]


@pytest.mark.conforms("UP-31")
def test_a_device_that_answers_many_times_is_one() -> None:
    answers = table()
    for _ in range(3):
        for kind in (f"{DEVICE}:2", f"{DEVICE}:1", f"{SERVICE}WANIPConnection:2", "upnp:rootdevice"):
            answers.add(said(kind), ROUTER)
    assert len(all_of(answers)) == 1
    answers.add(said(f"{DEVICE}:1"), ROUTER)
    assert all_of(answers) == []


@pytest.mark.conforms("UP-31", "Q-12", "Q-19", "UP-22")
def test_each_location_is_a_device_whatever_the_uuid() -> None:
    """Versions 1 and 2 under one name, which need not be a UUID: neither hides the other."""
    answers = table()
    answers.add(said(f"{DEVICE}:1", location="http://192.168.1.1/v1", usn="uuid:no uuid"), ROUTER)
    answers.add(said(f"{DEVICE}:2", location="http://192.168.1.1/v2", usn="uuid:no uuid"), ROUTER)
    assert targets(answers) == [f"{DEVICE}:2", f"{DEVICE}:1"]


def test_the_same_location_of_two_hosts_is_two_devices() -> None:
    """A neighbour that names the gateway's own LOCATION does not stand for it."""
    answers = table()
    answers.add(said(), NEIGHBOUR)
    answers.add(said(), ROUTER)
    assert senders(answers) == [ROUTER, NEIGHBOUR]


@pytest.mark.conforms("Q-03", "Q-16", "Q-20")
@pytest.mark.parametrize(
    "target",
    ["ssdp:all", "urn:schemas-upnp-org:device:MediaServer:1", "urn:schemas-wifialliance-org:device:WFADevice:1",
     "uuid:1", "urn:Microsoft Windows Peer Name Resolution Protocol: V4:IPV6:LinkLocal"],
)  # fmt: skip
def test_what_is_no_gateway_is_not_looked_at(target: str) -> None:
    """Such as the access point that a router calls itself when it is asked for everything."""
    answers = table()
    answers.add(said(target), ROUTER)
    assert all_of(answers) == []


@pytest.mark.conforms("UP-06", "UP-21")
@pytest.mark.parametrize("target", ["upnp:rootdevice", f"{DEVICE}:3", f"{SERVICE}WANIPv6FirewallControl:1"])
def test_a_device_without_one_of_the_best_names_is_looked_at(target: str) -> None:
    answers = table()
    answers.add(said(target), ROUTER)
    assert targets(answers) == [target]


@pytest.mark.conforms("UP-15", "UP-17")
@pytest.mark.parametrize(
    "data", [b"", b"\xff", tv.TV20_SEARCH, tv.TV20_BYEBYE, tv.TV20_ANSWER.replace(b"200 OK", b"404 X")]
)
def test_rubbish_changes_nothing_and_takes_no_room(data: bytes) -> None:
    answers = table()
    for _ in range(200):
        answers.add(data, ROUTER)
        answers.add(data, NEIGHBOUR)
    answers.add(said(), ROUTER)
    assert senders(answers) == [ROUTER]


# --- How many


@pytest.mark.conforms("UP-49")
@pytest.mark.parametrize("each", [1, limits.ANSWERS_PER_HOST, 100])
def test_a_flood_of_neighbours_keeps_the_place_of_the_gateway(each: int) -> None:
    """S5, S34: ever so many forged answers, better ones and before it."""
    answers = table()
    flood(answers, NEIGHBOURS, each)
    answers.add(said("upnp:rootdevice"), ROUTER)
    assert senders(answers)[0] == ROUTER
    flood(answers, NEIGHBOURS, each)
    assert answers.next(others=False) is None


def test_the_gateway_has_32_answers_and_no_more() -> None:
    answers = table()
    for number in range(limits.SEARCH_ANSWERS + 1):
        answers.add(said(location=f"http://192.168.1.1/{number}"), ROUTER)
    assert len(all_of(answers)) == limits.SEARCH_ANSWERS
    answers.add(said(location="http://192.168.1.1/later"), ROUTER)
    assert all_of(answers) == []


def test_a_neighbour_has_4_answers_and_no_more() -> None:
    answers = table()
    flood(answers, [NEIGHBOUR], limits.ANSWERS_PER_HOST + 1)
    answers.add(said(), OTHER)
    assert senders(answers) == [NEIGHBOUR] * limits.ANSWERS_PER_HOST + [OTHER]


def test_answers_of_a_neighbour_that_are_no_gateways_count_too() -> None:
    answers = table()
    flood(answers, [NEIGHBOUR], limits.ANSWERS_PER_HOST, target="urn:schemas-upnp-org:device:MediaServer:1")
    answers.add(said(), NEIGHBOUR)
    assert all_of(answers) == []


def test_all_neighbours_have_32_answers_together_and_no_more() -> None:
    answers = table()
    flood(answers, NEIGHBOURS[: limits.SEARCH_ANSWERS], 1)
    assert len(all_of(answers)) == limits.SEARCH_ANSWERS
    flood(answers, NEIGHBOURS[limits.SEARCH_ANSWERS :], 1)
    assert all_of(answers) == []


def test_the_answers_of_the_gateway_take_no_room_from_the_others() -> None:
    answers = table()
    for number in range(limits.SEARCH_ANSWERS):
        answers.add(said(location=f"http://192.168.1.1/{number}"), ROUTER)
    flood(answers, NEIGHBOURS[: limits.SEARCH_ANSWERS], 1)
    assert len(all_of(answers)) == 2 * limits.SEARCH_ANSWERS


ANSWERERS = st.sampled_from([ROUTER, NEIGHBOUR, OTHER, FAR, *NEIGHBOURS[:20]])
STEPS = st.lists(st.tuples(ANSWERERS, st.sampled_from([1, 2, 3]), st.integers(0, 9)), max_size=150)


@pytest.mark.conforms("UP-31", "UP-49")
@given(STEPS)
@examples(150)
def test_whatever_answers_the_gateway_is_first_and_nothing_grows(steps: list[tuple[IPv4Address, int, int]]) -> None:
    answers = table()
    for sender, version, number in steps:
        answers.add(said(f"{DEVICE}:{version}", location=f"http://{sender}/{number}"), sender)
    found = all_of(answers)
    gateways = [one for one in found if one.address == ROUTER]
    assert found[: len(gateways)] == gateways
    assert bool(gateways) == any(sender == ROUTER for sender, _, _ in steps)
    assert len(found) <= 2 * limits.SEARCH_ANSWERS
    assert FAR not in {one.address for one in found}
    assert len({(one.address, one.answer.location) for one in found}) == len(found)
    for address in {one.address for one in found} - {ROUTER}:
        assert sum(one.address == address for one in found) <= limits.ANSWERS_PER_HOST
