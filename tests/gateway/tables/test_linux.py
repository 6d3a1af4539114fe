"""Linux: procfs, `netstat -rn` and `route -n`; of one network namespace, recorded, with all that can be strange.

eth0 is the network, wlan0 another way out, tun0 a VPN that covers everything in two halves, docker0 a bridge, and eth1
a cable that is not plugged in.
"""

import pytest

from portmapper.gateway.tables.linux import (
    parse_proc_net_if_inet6,
    parse_proc_net_ipv6_route,
    parse_proc_net_route,
)
from portmapper.gateway.tables.netstat import parse_netstat
from tests.gateway.tables.shown import IPV6 as MAIN_IPV6
from tests.gateway.tables.shown import fixture, ranked, shown, table

# Of the multipath route (metric 50) only the first hop is there; what goes by an IPv6 router (900) has no gateway here.
# Unreachable, prohibit, blackhole and throw are left out.
IPV4 = table("""
    0.0.0.0/1        via 10.8.0.1      dev tun0
    0.0.0.0/0        via 203.0.113.129 dev eth1    metric 8
    0.0.0.0/0        via 172.17.0.2    dev docker0 metric 40
    0.0.0.0/0        via 192.0.2.1     dev eth0    metric 50
    0.0.0.0/0        via 192.0.2.1     dev eth0    metric 100
    0.0.0.0/0        via 198.51.100.1  dev wlan0   metric 600
    0.0.0.0/0                          dev tun0    metric 700
    0.0.0.0/0        via 203.0.113.1   dev eth0    metric 800
    0.0.0.0/0                          dev eth0    metric 900
    0.0.0.0/0        via 192.0.2.2     dev eth0    metric 4000000000
    10.8.0.0/24                        dev tun0
    128.0.0.0/1      via 10.8.0.1      dev tun0
    172.17.0.0/16                      dev docker0
    192.0.2.0/24                       dev eth0
    198.51.100.0/24                    dev wlan0
    203.0.113.128/25                   dev eth1
""")

# fe80::3 is of another table than the main one, which none of these formats tells; 12 is for packets from one prefix.
IPV6 = ["::/0 via fe80::3%eth0 dev eth0 metric 1024", *MAIN_IPV6]


def without(word: str, lines: list[str]) -> list[str]:
    """Return the lines without the word, and without the number after it if it is a metric."""
    words = [line.split() for line in lines]
    for line in words:
        if word in line:
            at = line.index(word)
            del line[at : at + (2 if word == "metric" else 1)]
    return [" ".join(line) for line in words]


def test_proc_net_route() -> None:
    assert shown(parse_proc_net_route(fixture("proc_route"), "little")) == IPV4


def test_proc_net_ipv6_route() -> None:
    assert shown(parse_proc_net_ipv6_route(fixture("proc_ipv6_route"))) == IPV6


def test_addresses_are_networks_on_link_with_a_source() -> None:
    assert shown(parse_proc_net_if_inet6(fixture("proc_if_inet6"))) == table("""
        fe80::/64            dev eth0  src fe80::11%eth0
        fe80::/64            dev wlan0 src fe80::12%wlan0
        2001:db8:0:1::10/128 dev eth0  src 2001:db8:0:1::10
        ::1/128              dev lo    src ::1
        fe80::/64            dev tun0  src fe80::13%tun0
        2001:db8::/64        dev eth0  src 2001:db8::10
    """)


def test_what_is_recorded_is_ranked() -> None:
    routes = [
        *parse_proc_net_route(fixture("proc_route"), "little"),
        *parse_proc_net_ipv6_route(fixture("proc_ipv6_route")),
        *parse_proc_net_if_inet6(fixture("proc_if_inet6")),
    ]
    scoped = "holds only for what is bound to its interface, or for what a rule says"
    assert ranked(routes) == table(f"""
        yes | 203.0.113.129 | eth1 | 203.0.113.128/25 | - | default route with metric 8
        yes | 192.0.2.1 | eth0 | 192.0.2.0/24 | - | default route with metric 50
        yes | 198.51.100.1 | wlan0 | 198.51.100.0/24 | - | default route with metric 600
        yes | 203.0.113.1 | eth0 | - | - | default route with metric 800
        yes | 192.0.2.2 | eth0 | 192.0.2.0/24 | - | default route with metric 4000000000
        yes | 10.8.0.1 | tun0 | 10.8.0.0/24 | - | covers everything in two halves, as VPNs do
        yes | fe80::1%eth0 | eth0 | fe80::/64 | - | default route with metric 100
        yes | fe80::3%eth0 | eth0 | fe80::/64 | - | default route with metric 1024
        yes | fe80::2%wlan0 | wlan0 | fe80::/64 | - | default route with metric 1024
        yes | fe80::7%eth0 | eth0 | fe80::/64 | - | default route with metric 12; {scoped}
        yes | 2001:db8::99 | eth0 | 2001:db8::/64 | - | covers everything in two halves, as VPNs do
        yes | 172.17.0.2 | docker0 | 172.17.0.0/16 | - | default route with metric 40; docker0 leads to containers or \
virtual machines
        no | - | tun0 | - | - | default route with metric 700; no gateway: a tunnel; name it by hand
        no | - | eth0 | - | - | default route with metric 900; no gateway: a tunnel; name it by hand
    """)


HEAD = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
BIG_ENDIAN = (
    "eth0\t00000000\tC0000201\t0003\t0\t0\t100\t00000000\t0\t0\t0\n"
    "eth0\tC0000200\t00000000\t0001\t0\t0\t100\tFFFFFF00\t0\t0\t0\n"
    "tun0\t80000000\t0A080001\t0003\t0\t0\t0\t80000000\t0\t0\t0\n"
)


def test_big_endian_machines_print_addresses_the_other_way() -> None:
    assert shown(parse_proc_net_route(HEAD + BIG_ENDIAN, "big")) == table("""
        0.0.0.0/0    via 192.0.2.1 dev eth0 metric 100
        192.0.2.0/24               dev eth0 metric 100
        128.0.0.0/1  via 10.8.0.1  dev tun0
    """)


@pytest.mark.parametrize(
    "line",
    [
        "eth0\t00000000\t0101A8C0\t0002\t0\t0\t0\t00000000\t0\t0\t0",
        "eth0\t00000000\t0101A8C0\t0203\t0\t0\t0\t00000000\t0\t0\t0",
        "*\t00000000\t00000000\t0001\t0\t0\t0\t00000000\t0\t0\t0",
        "eth0\t00000000\t0101A8C0FF\t0003\t0\t0\t0\t00000000\t0\t0\t0",
        "eth0\t00000000\t0101A8C0\t0003\t0\t0\tlow\t00000000\t0\t0\t0",
        "eth0\t0101A8C0\t00000000\t0001\t0\t0\t0\t00FF00FF\t0\t0\t0",
        "eth0\t0101A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0",
        "a-name-of-16-byte\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0",
        "../eth0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0",
        "eth\x1b\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0",
        "eth0\t00000000\t0101A8C0",
        "",
    ],
    ids=[
        "down",
        "reject",
        "blackhole",
        "gateway too long",
        "metric",
        "mask with holes",
        "host in a network",
        "long name",
        "a path",
        "escape",
        "cut off",
        "empty",
    ],
)
def test_lines_that_lead_nowhere_or_make_no_sense_are_left_out(line: str) -> None:
    assert (
        shown(parse_proc_net_route(f"{line}\n{BIG_ENDIAN}", "big"))[0] == "0.0.0.0/0 via 192.0.2.1 dev eth0 metric 100"
    )


# --- netstat and route


@pytest.mark.parametrize("name", ["route_linux", "busybox_route"])
def test_route_n(name: str) -> None:
    assert shown(parse_netstat(fixture(name))) == IPV4


@pytest.mark.parametrize("name", ["netstat_linux", "busybox_netstat"])
def test_netstat_rn_has_the_mss_in_place_of_the_metric(name: str) -> None:
    assert shown(parse_netstat(fixture(name))) == without("metric", IPV4)


def test_route_ee_cuts_off_the_interface() -> None:
    assert shown(parse_netstat(fixture("route_linux_ee"))) == [line.replace("docker0", "docker") for line in IPV4]


@pytest.mark.parametrize("name", ["route_linux_6", "busybox_route_6"])
def test_route_n_6_does_not_say_for_whom_a_route_is(name: str) -> None:
    assert shown(parse_netstat(fixture(name))) == without("scoped", IPV6)


def test_netstat_of_both_families() -> None:
    assert shown(parse_netstat(fixture("netstat_linux_46"))) == without("metric", IPV4) + without("scoped", IPV6)


def test_without_the_words_above_there_are_metrics() -> None:
    line = "0.0.0.0   192.0.2.1   0.0.0.0   UG   100   0   0 eth0"
    assert shown(parse_netstat(line)) == ["0.0.0.0/0 via 192.0.2.1 dev eth0 metric 100"]


def test_words_above_the_columns_may_be_translated() -> None:
    assert shown(parse_netstat(fixture("route_linux_german"))) == table("""
        0.0.0.0/0    via 192.0.2.1 dev eth0 metric 100
        192.0.2.0/24               dev eth0 metric 100
    """)


def test_newer_net_tools_put_ipv6_networks_into_brackets() -> None:
    lines = [f"[{half}   2001:db8::9   UG   1024 1  0 tun0" for half in ("::]/1", "8000::]/1", "2000::]/3")]
    lines += ["[::]/0   fe80::1   UG   1024 1  0 eth0", "[2001:db8::]/64   [::]   U   256 1  0 eth0"]
    assert shown(parse_netstat("\n".join(lines))) == table("""
        ::/1          via 2001:db8::9  dev tun0 metric 1024
        8000::/1      via 2001:db8::9  dev tun0 metric 1024
        2000::/3      via 2001:db8::9  dev tun0 metric 1024
        ::/0          via fe80::1%eth0 dev eth0 metric 1024
        2001:db8::/64                  dev eth0 metric 256
    """)
