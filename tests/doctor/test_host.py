"""What the tables of the system say: who listens, who is on the link, what the firewall's rules do by and large."""

import json
import sys
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portmapper.doctor.findings import Neighbour
from portmapper.doctor.host import parse_arp, parse_sockets
from portmapper.doctor.ruleset import read_ruleset
from portmapper.model import Endpoint

little_endian = pytest.mark.skipif(sys.byteorder != "little", reason="the text is of a little-endian machine")

_TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 1 1
   1: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2 1
   2: 0A4DA8C0:1F90 01020304:0050 01 00000000:00000000 00:00000000 00000000  1000        0 3 1
"""
_TCP6 = """\
  sl  local_address                         remote_address                        st tx_queue
   0: 00000000000000000000000000000000:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000
   1: 0000000000000000FFFF00000A4DA8C0:1F91 00000000000000000000000000000000:0000 0A 00000000:00000000
   2: 000077FD000000000000000010000000:1F92 00000000000000000000000000000000:0000 0A 00000000:00000000
"""
_ARP = """\
IP address       HW type     Flags       HW address            Mask     Device
192.168.1.1      0x1         0x2         b8:27:eb:12:34:56     *        eth0
192.168.1.9      0x1         0x0         00:00:00:00:00:00     *        eth0
"""


@little_endian
def test_programs_that_listen_are_told_from_connections() -> None:
    assert list(parse_sockets(_TCP, "0A")) == [
        Endpoint(IPv4Address("127.0.0.1"), 8080),
        Endpoint(IPv4Address("0.0.0.0"), 22),
    ]


@little_endian
def test_ipv6_listeners_and_ipv4_ones_among_them() -> None:
    assert list(parse_sockets(_TCP6, "0A")) == [
        Endpoint(IPv6Address("::"), 8080),
        Endpoint(IPv4Address("192.168.77.10"), 8081),
        Endpoint(IPv6Address("fd77::10"), 8082),
    ]


def test_a_neighbour_is_there_or_not_or_not_known() -> None:
    there = Neighbour(alive=True, hardware="b8:27:eb:12:34:56")
    assert parse_arp(_ARP, IPv4Address("192.168.1.1")) == there
    assert parse_arp(_ARP, IPv4Address("192.168.1.9")) == Neighbour(alive=False)
    assert parse_arp(_ARP, IPv4Address("192.168.1.2")) == Neighbour()
    assert parse_arp("", IPv4Address("192.168.1.1")) == Neighbour()


@given(st.text() | st.just(_TCP).flatmap(lambda text: st.sampled_from(range(len(text))).map(lambda end: text[:end])))
def test_no_table_is_too_odd(text: str) -> None:
    list(parse_sockets(text, "0A"))
    parse_arp(text, IPv4Address("192.168.1.1"))
    read_ruleset(text)


def ruleset(hook: str, policy: str, *rules: list[object], kind: str = "filter") -> str:
    chain = {"family": "inet", "table": "t", "name": "c", "hook": hook, "type": kind, "policy": policy}
    place = {"family": "inet", "table": "t", "chain": "c"}
    entries: list[object] = [{"metainfo": {}}, {"chain": chain}, *({"rule": {**place, "expr": one}} for one in rules)]
    return json.dumps({"nftables": entries})


MATCH = {"match": {"op": "=="}}


@pytest.mark.parametrize(
    ("text", "incoming", "outgoing"),
    [
        (ruleset("input", "accept"), False, False),
        (ruleset("input", "drop"), True, False),
        (ruleset("input", "accept", [MATCH, {"accept": None}], [{"drop": None}]), True, False),
        (ruleset("input", "accept", [{"counter": {}}, {"reject": {}}]), True, False),
        (ruleset("input", "accept", [MATCH, {"drop": None}]), False, False),
        (ruleset("output", "drop"), False, True),
        (ruleset("output", "accept", [MATCH, {"reject": {}}]), False, True),
        (ruleset("output", "accept", [MATCH, {"accept": None}]), False, False),
        (ruleset("forward", "drop"), False, False),
        (ruleset("output", "drop", kind="nat"), False, False),
    ],
)
def test_rules_are_read_by_and_large(text: str, incoming: bool, outgoing: bool) -> None:
    assert read_ruleset(text) == (incoming, outgoing)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"nftables": 1}', '{"nftables": [1, {"chain": 2}, {"rule": []}]}'])
def test_rules_that_make_no_sense_say_nothing(text: str) -> None:
    assert read_ruleset(text) in {None, (False, False)}
