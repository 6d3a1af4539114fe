"""One route, as `route -n get default` and `ip route get` print it."""

import pytest

from portmapper.gateway.tables.netstat import parse_netstat
from portmapper.gateway.tables.route_get import parse_ip_route_get, parse_route_get
from tests.gateway.tables.shown import fixture, ranked, shown


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("macos", ["0.0.0.0/0 via 192.168.1.1 dev en0"]),
        ("macos_6", ["::/0 via fe80::1%en0 dev en0"]),
        ("macos_half", ["0.0.0.0/1 via 10.8.0.1 dev utun4"]),
        ("macos_tunnel", ["0.0.0.0/1 dev utun9"]),
        ("freebsd", ["0.0.0.0/0 via 192.0.2.1 dev em0"]),
        ("openbsd", ["0.0.0.0/0 via 192.0.2.1 dev em0 metric 8 src 192.0.2.10"]),
        ("netbsd", ["0.0.0.0/0 via 192.0.2.1 dev wm0 src 192.0.2.10"]),
        ("nothing", []),
    ],
)
def test_route_get(name: str, expected: list[str]) -> None:
    assert shown(parse_route_get(fixture(f"route_get_{name}"))) == expected


@pytest.mark.parametrize(
    ("flags", "gateway", "expected"),
    [
        ("<UP,GATEWAY,DONE,STATIC,IFSCOPE>", "192.168.1.1", ["0.0.0.0/0 via 192.168.1.1 dev en0 scoped"]),
        ("<UP,GATEWAY,DONE,STATIC,REJECT>", "192.168.1.1", []),
        ("<UP,GATEWAY,DONE,BLACKHOLE>", "192.168.1.1", []),
        ("<GATEWAY,DONE>", "192.168.1.1", []),
        ("<UP,GATEWAY,DONE>", "router.example", []),
        ("<UP,GATEWAY,DONE>", "en0", ["0.0.0.0/0 dev en0"]),
        ("<UP,GATEWAY,DONE>", "link#4", ["0.0.0.0/0 dev en0"]),
        ("<UP,DONE>", "192.168.1.1", ["0.0.0.0/0 dev en0"]),
    ],
)
def test_flags_of_route_get(flags: str, gateway: str, expected: list[str]) -> None:
    text = (
        f"destination: default\n       mask: default\n    gateway: {gateway}\n  interface: en0\n      flags: {flags}\n"
    )
    assert shown(parse_route_get(text)) == expected


@pytest.mark.parametrize(
    ("destination", "mask", "expected"),
    [
        ("default", "default", "::/0"),
        ("::", "::", "::/0"),
        ("default", "8000::", "::/1"),
        ("8000::", "8000::", "8000::/1"),
        ("2000::", "e000::", "2000::/3"),
    ],
)
def test_masks_of_ipv6(destination: str, mask: str, expected: str) -> None:
    text = (
        f"destination: {destination}\n       mask: {mask}\n    gateway: fe80::1%en0\n  interface: en0\n"
        "      flags: <UP,GATEWAY,DONE>\n"
    )
    assert shown(parse_route_get(text)) == [f"{expected} via fe80::1%en0 dev en0"]


def test_a_route_to_anything_else_is_none_to_everywhere() -> None:
    text = fixture("route_get_openbsd").replace("mask: 0.0.0.0", "mask: 255.0.0.0")
    assert parse_route_get(text.replace("destination: 0.0.0.0", "destination: 10.0.0.0")) == []


def test_a_half_alone_is_no_way_to_everywhere() -> None:
    """So `route -n get default` alone does not find the router while a VPN is up: the whole table does."""
    half = parse_route_get(fixture("route_get_macos_half"))
    assert ranked(half) == []
    whole = half + parse_netstat(fixture("macos_vpn_halves"))
    assert [line.split(" | ")[1] for line in ranked(whole)] == ["192.168.1.1", "10.8.0.1"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (fixture("ip_route_get"), ["0.0.0.0/0 via 10.8.0.1 dev tun0 src 10.8.0.2"]),
        (fixture("ip6_route_get"), ["::/0 dev tun0 src 2001:db8:0:1::10"]),
        (
            "2001:db8:9::9 from :: via fe80::2 dev eth1 src 2001:db8::10 metric 5 pref medium\n",
            ["::/0 via fe80::2%eth1 dev eth1 src 2001:db8::10"],
        ),
        (
            "203.0.113.9 via inet6 fe80::1 dev eth0 src 192.0.2.10\n",
            ["0.0.0.0/0 via fe80::1%eth0 dev eth0 src 192.0.2.10"],
        ),
        (
            "203.0.113.9 via 10.0.1.1 dev eth0  src 10.0.1.36  uid 2000 \n",
            ["0.0.0.0/0 via 10.0.1.1 dev eth0 src 10.0.1.36"],
        ),
        ("local 192.0.2.10 dev lo src 192.0.2.10 uid 0\n", []),
        ("unreachable 203.0.113.9 dev lo metric 4\n", []),
        ("RTNETLINK answers: Network is unreachable\n", []),
        ("203.0.113.9 via  dev \n", []),
        ("", []),
    ],
)
def test_ip_route_get(text: str, expected: list[str]) -> None:
    assert shown(parse_ip_route_get(text)) == expected
