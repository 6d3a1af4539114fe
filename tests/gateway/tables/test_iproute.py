"""`ip route` of iproute2, BusyBox and Android. What is recorded is of the namespace in test_linux.py."""

import json

import pytest

from portmapper.gateway.tables.iproute import parse_ip_json_route, parse_ip_route
from tests.gateway.tables.shown import IPV6, fixture, ranked, shown, table

# Unlike in procfs, both hops of the multipath route (50) are here, the IPv6 router of an IPv4 route (900), and sources;
# eth1 has no carrier and is left out.
IPV4 = table("""
    0.0.0.0/1       via 10.8.0.1     dev tun0
    0.0.0.0/0       via 172.17.0.2   dev docker0 metric 40
    0.0.0.0/0       via 192.0.2.1    dev eth0    metric 50
    0.0.0.0/0       via 198.51.100.1 dev wlan0   metric 50
    0.0.0.0/0       via 192.0.2.1    dev eth0    metric 100 src 192.0.2.10
    0.0.0.0/0       via 198.51.100.1 dev wlan0   metric 600
    0.0.0.0/0                        dev tun0    metric 700
    0.0.0.0/0       via 203.0.113.1  dev eth0    metric 800
    0.0.0.0/0       via fe80::1%eth0 dev eth0    metric 900
    0.0.0.0/0       via 192.0.2.2    dev eth0    metric 4000000000
    10.8.0.0/24                      dev tun0    src 10.8.0.2
    128.0.0.0/1     via 10.8.0.1     dev tun0
    172.17.0.0/16                    dev docker0 src 172.17.0.1
    192.0.2.0/24                     dev eth0    src 192.0.2.10
    198.51.100.0/24                  dev wlan0   src 198.51.100.20
""")


@pytest.mark.parametrize("name", ["ip_route", "ip_route_oneline", "ip_route_details"])
def test_ip_route(name: str) -> None:
    assert shown(parse_ip_route(fixture(name))) == IPV4


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("name", ["ip6_route", "ip6_route_oneline"])
def test_ip_6_route(name: str, version: int) -> None:
    assert shown(parse_ip_route(fixture(name), 6 if version == 6 else 4)) == IPV6


@pytest.mark.parametrize("name", ["ip_route.json", "ip_route_pretty.json"])
def test_ip_json_route(name: str) -> None:
    assert shown(parse_ip_json_route(fixture(name))) == IPV4


def test_ip_json_6_route() -> None:
    assert shown(parse_ip_json_route(fixture("ip6_route.json"))) == IPV6


def test_json_that_is_cut_off_counts_up_to_there() -> None:
    text = fixture("ip_route.json")
    assert shown(parse_ip_json_route(text[: text.index('"prefsrc"')])) == IPV4[:4]
    assert shown(parse_ip_json_route(text[: text.rindex("{") + 9])) == IPV4


def test_routes_of_other_tables_hold_for_some_traffic_only() -> None:
    assert shown(parse_ip_route(fixture("ip_route_all"))) == [
        "0.0.0.0/0 via 192.0.2.3 dev eth0 scoped",
        *IPV4,
        "::/0 via fe80::3%eth0 dev eth0 metric 1024 scoped",
        *IPV6,
    ]


def test_what_is_recorded_is_ranked() -> None:
    assert ranked(parse_ip_route(fixture("ip_route"))) == table("""
        yes | 192.0.2.1 | eth0 | 192.0.2.0/24 | 192.0.2.10 | default route with metric 50
        yes | 198.51.100.1 | wlan0 | 198.51.100.0/24 | - | default route with metric 50
        yes | 203.0.113.1 | eth0 | - | - | default route with metric 800
        yes | 192.0.2.2 | eth0 | 192.0.2.0/24 | - | default route with metric 4000000000
        yes | 10.8.0.1 | tun0 | 10.8.0.0/24 | - | covers everything in two halves, as VPNs do
        yes | fe80::1%eth0 | eth0 | - | - | default route with metric 900
        yes | 172.17.0.2 | docker0 | 172.17.0.0/16 | - | default route with metric 40; docker0 leads to containers or \
virtual machines
        no | - | tun0 | - | - | default route with metric 700; no gateway: a tunnel; name it by hand
    """)


# --- BusyBox


def test_busybox_leaves_out_the_hops_of_a_multipath_route_and_an_ipv6_router() -> None:
    assert shown(parse_ip_route(fixture("busybox_ip_route"))) == table("""
        0.0.0.0/1        via 10.8.0.1      dev tun0
        0.0.0.0/0        via 203.0.113.129 dev eth1    metric 8
        0.0.0.0/0        via 172.17.0.2    dev docker0 metric 40
        0.0.0.0/0        via 192.0.2.1     dev eth0    metric 100 src 192.0.2.10
        0.0.0.0/0        via 198.51.100.1  dev wlan0   metric 600
        0.0.0.0/0                          dev tun0    metric 700
        0.0.0.0/0        via 203.0.113.1   dev eth0    metric 800
        0.0.0.0/0                          dev eth0    metric 900
        0.0.0.0/0        via 192.0.2.2     dev eth0    metric 4000000000
        10.8.0.0/24                        dev tun0    src 10.8.0.2
        128.0.0.0/1      via 10.8.0.1      dev tun0
        172.17.0.0/16                      dev docker0 src 172.17.0.1
        192.0.2.0/24                       dev eth0    src 192.0.2.10
        198.51.100.0/24                    dev wlan0   src 198.51.100.20
        203.0.113.128/25                   dev eth1    src 203.0.113.130
    """)


def test_busybox_by_ipv6_shows_all_tables_without_saying_so() -> None:
    assert shown(parse_ip_route(fixture("busybox_ip6_route"), 6)) == [
        "::/0 via fe80::3%eth0 dev eth0 metric 1024",
        *IPV6[:9],
        "::/0 dev tun0 metric 2000",
    ]


# --- Android: a table for each interface, and nothing but networks in the main one


def test_android() -> None:
    routes = parse_ip_route(fixture("android_table_0"))
    assert shown(routes) == table("""
        0.0.0.0/0       via 192.0.2.1     dev wlan0       scoped
        192.0.2.0/24                      dev wlan0       scoped
        0.0.0.0/0                         dev dummy0      scoped
        0.0.0.0/0                         dev tun0        scoped
        203.0.113.64/26                   dev rmnet_data2 scoped
        0.0.0.0/0       via 203.0.113.65  dev rmnet_data2 scoped
        192.0.2.0/24                      dev wlan0       src 192.0.2.10
        ::/0            via fe80::1%wlan0 dev wlan0       metric 1024 scoped
        ::/0                              dev dummy0      metric 1024 scoped
    """)
    assert [line.split(" | ")[:3] for line in ranked(routes)] == [
        ["yes", "192.0.2.1", "wlan0"],
        ["yes", "203.0.113.65", "rmnet_data2"],
        ["yes", "fe80::1%wlan0", "wlan0"],
        ["no", "-", "dummy0"],
        ["no", "-", "tun0"],
    ]


def test_androids_main_table_has_no_way_out() -> None:
    routes = parse_ip_route(fixture("android_main"))
    assert shown(routes) == ["192.0.2.0/24 dev wlan0 src 192.0.2.10"]
    assert ranked(routes) == []


# --- Words


def test_older_iproute() -> None:
    assert shown(parse_ip_route(fixture("ip_route_old"))) == table("""
        0.0.0.0/0    via 192.0.2.1 dev eth0 metric 1024
        0.0.0.0/0                  dev ppp0
        192.0.2.0/24               dev eth0 src 192.0.2.10
    """)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("default via 192.0.2.1 dev eth0", "0.0.0.0/0 via 192.0.2.1 dev eth0"),
        ("default via 192.0.2.1 dev eth0 onlink", "0.0.0.0/0 via 192.0.2.1 dev eth0"),
        ("default nhid 12 via 192.0.2.1 dev eth0 metric 7", "0.0.0.0/0 via 192.0.2.1 dev eth0 metric 7"),
        ("default via 192.0.2.1 dev eth0 table main", "0.0.0.0/0 via 192.0.2.1 dev eth0"),
        ("default via 192.0.2.1 dev eth0 table 220", "0.0.0.0/0 via 192.0.2.1 dev eth0 scoped"),
        ("default via inet6 fe80::1 dev eth0", "0.0.0.0/0 via fe80::1%eth0 dev eth0"),
        ("default via fe80::1 dev eth0", "::/0 via fe80::1%eth0 dev eth0"),
        ("default via 2001:db8::1 dev eth0 proto static", "::/0 via 2001:db8::1 dev eth0"),
        ("default from 2001:db8::/56 via fe80::1 dev eth0", "::/0 via fe80::1%eth0 dev eth0 scoped"),
        ("default dev wg0 scope link", "0.0.0.0/0 dev wg0"),
        ("default dev wg0 metric 1024 pref medium", "::/0 dev wg0 metric 1024"),
        ("default via 0.0.0.0 dev wg0", "0.0.0.0/0 dev wg0"),
        ("default via 169.254.1.1 dev eth0", "0.0.0.0/0 via 169.254.1.1 dev eth0"),
        ("default via fe80:: dev wg0", "::/0 dev wg0"),
        ("0.0.0.0/0 via 192.0.2.1 dev eth0", "0.0.0.0/0 via 192.0.2.1 dev eth0"),
        ("10.0.0.0/8 dev eth0 src 10.0.0.1 mtu lock 1400", "10.0.0.0/8 dev eth0 src 10.0.0.1"),
    ],
)
def test_words_of_a_line(line: str, expected: str) -> None:
    assert shown(parse_ip_route(line)) == [expected]


@pytest.mark.parametrize(
    "line",
    [
        "unreachable default metric 4000",
        "blackhole default",
        "prohibit default dev lo",
        "local default dev lo table 100",
        "default via 192.0.2.1 dev eth0 dead linkdown",
        "default via 192.0.2.1 dev eth0 linkdown",
        "default metric 50",
        "default via router dev eth0",
        "default via 192.0.2.1 dev a-name-of-16-bytes",
        "default via 192.0.2.1 dev eth0 metric low",
        "default via 192.0.2.1 dev eth0 src nobody",
        "default via 192.0.2.1 dev",
        "unicast",
        "nexthop via 192.0.2.1 dev eth0",
        "10.0.0.1/8 dev eth0",
        "10.0.0.0/33 dev eth0",
        "127.0.0.0/8 dev lo",
        "192.0.2.7 dev eth0 scope link",
        "ff00::/8 dev eth0 metric 256",
        'Error: argument "x" is wrong',
    ],
)
def test_lines_that_lead_nowhere_or_make_no_sense_are_left_out(line: str) -> None:
    assert shown(parse_ip_route(f"{line}\ndefault via 192.0.2.9 dev eth9\n")) == ["0.0.0.0/0 via 192.0.2.9 dev eth9"]


def test_a_default_route_is_of_the_family_of_the_line_before_unless_it_says() -> None:
    text = "2001:db8::/64 dev eth0\ndefault dev wg0\n192.0.2.0/24 dev eth0\ndefault dev wg1\n"
    assert shown(parse_ip_route(text)) == table("""
        2001:db8::/64 dev eth0
        ::/0          dev wg0
        192.0.2.0/24  dev eth0
        0.0.0.0/0     dev wg1
    """)
    assert shown(parse_ip_route("default dev wg0\n", 6)) == ["::/0 dev wg0"]


def test_a_multipath_route_may_have_one_hop() -> None:
    assert shown(parse_ip_route("default \n\tnexthop via 192.0.2.1 dev eth0 weight 1\n")) == [
        "0.0.0.0/0 via 192.0.2.1 dev eth0"
    ]


def test_one_hop_of_many_may_be_down() -> None:
    text = (
        "default \n\tnexthop via 192.0.2.1 dev eth0 weight 1 dead linkdown\n\tnexthop via 192.0.2.2 dev eth1 weight 1\n"
    )
    assert shown(parse_ip_route(text)) == ["0.0.0.0/0 via 192.0.2.2 dev eth1"]


@pytest.mark.parametrize(
    "route",
    [
        7,
        [],
        {},
        {"dst": "default"},
        {"dst": 7, "gateway": "192.0.2.1", "dev": "eth0"},
        {"dst": "default", "gateway": ["192.0.2.1"], "dev": "eth0", "via": 3, "nexthops": [3]},
        {"dst": "default", "gateway": "192.0.2.1", "dev": {"a": "eth0"}},
        {"dst": "default", "gateway": "192.0.2.1", "dev": "eth0", "metric": True},
        {"dst": "default", "gateway": "192.0.2.1", "dev": "eth0", "flags": ["dead"]},
        {"dst": "default", "gateway": "192.0.2.1", "dev": "eth0", "type": "blackhole"},
        {"dst": "default", "gateway": "192.0.2.1", "dev": "eth0", "table": "local"},
        {"dst": "default", "gateway": "fe80::1%a b", "dev": "eth0"},
    ],
    ids=repr,
)
def test_json_of_any_shape(route: object) -> None:
    before = '{"dst":"default","gateway":"192.0.2.9","dev":"eth9"}'
    assert shown(parse_ip_json_route(f"[{before},{json.dumps(route)}]")) == ["0.0.0.0/0 via 192.0.2.9 dev eth9"]
