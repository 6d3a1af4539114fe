"""`netstat -rn` of macOS, FreeBSD, OpenBSD and NetBSD, written from what their manuals and users show."""

import pytest

from portmapper.gateway.tables.netstat import parse_netstat
from tests.gateway.tables.shown import fixture, ranked, shown, table

SCOPED = "holds only for what is bound to its interface, or for what a rule says"


def routes(name: str) -> list[str]:
    return shown(parse_netstat(fixture(name)))


def candidates(name: str) -> list[str]:
    return ranked(parse_netstat(fixture(name)))


def test_macos() -> None:
    assert routes("macos") == table("""
        0.0.0.0/0       via 192.168.0.1 dev en0
        0.0.0.0/0       via 192.168.0.1 dev en0 scoped
        0.0.0.0/0       via 192.168.7.1 dev en7 scoped
        0.0.0.0/0                       dev bridge100 scoped
        169.254.0.0/16                  dev en0
        192.168.0.0/24                  dev en0
        192.168.7.0/24                  dev en7 scoped
        192.168.64.0/24                 dev bridge100
        ::/0            via fe80::1%en0 dev en0
        ::/0                            dev utun0 scoped
        ::/0                            dev utun1 scoped
        2001:db8::/64                   dev en0
        fe80::/64                       dev lo0   scoped src fe80::1%lo0
        fe80::/64                       dev en0   scoped
        fe80::/64                       dev utun0 scoped src fe80::200:5eff:fe00:5310%utun0
    """)
    assert candidates("macos") == table(f"""
        yes | 192.168.0.1 | en0 | 192.168.0.0/24 | - | default route
        yes | 192.168.7.1 | en7 | 192.168.7.0/24 | - | default route; {SCOPED}
        yes | fe80::1%en0 | en0 | fe80::/64 | - | default route
        no | - | utun0 | - | - | default route; {SCOPED}; no gateway: a tunnel; name it by hand
        no | - | utun1 | - | - | default route; {SCOPED}; no gateway: a tunnel; name it by hand
        no | - | bridge100 | - | - | default route; {SCOPED}; bridge100 leads to containers or virtual machines; no \
gateway: a tunnel; name it by hand
    """)


def test_macos_with_a_vpn_in_two_halves() -> None:
    assert routes("macos_vpn_halves") == table("""
        0.0.0.0/1      via 10.8.0.1    dev utun4
        0.0.0.0/0      via 192.168.1.1 dev en0
        128.0.0.0/1    via 10.8.0.1    dev utun4
        192.168.1.0/24                 dev en0
    """)
    assert candidates("macos_vpn_halves") == table("""
        yes | 192.168.1.1 | en0 | 192.168.1.0/24 | - | default route
        yes | 10.8.0.1 | utun4 | - | - | covers everything in two halves, as VPNs do
    """)


def test_macos_with_halves_into_a_tunnel() -> None:
    assert candidates("macos_wireguard") == table("""
        yes | 192.168.1.1 | en0 | 192.168.1.0/24 | - | default route
        no | - | utun3 | - | - | covers everything in two halves, as VPNs do; no gateway: a tunnel; name it by hand
    """)


def test_a_vpn_that_takes_the_default_route_leaves_the_routers_scoped() -> None:
    """The router is then to be found among the routes that a search of unscoped ones would skip."""
    assert routes("macos_full_tunnel") == table("""
        0.0.0.0/0                      dev utun3
        0.0.0.0/0      via 192.168.1.1 dev en0 scoped
        192.168.1.0/24                 dev en0
        ::/0                           dev utun6
        ::/0           via fe80::1%en0 dev en0 scoped
    """)
    assert candidates("macos_full_tunnel") == table(f"""
        yes | 192.168.1.1 | en0 | 192.168.1.0/24 | - | default route; {SCOPED}
        yes | fe80::1%en0 | en0 | - | - | default route; {SCOPED}
        no | - | utun3 | - | - | default route; no gateway: a tunnel; name it by hand
        no | - | utun6 | - | - | default route; no gateway: a tunnel; name it by hand
    """)


def test_older_macos_with_references_and_use() -> None:
    assert routes("macos_old") == table("""
        0.0.0.0/0       via 192.168.1.1 dev en0
        0.0.0.0/0       via 10.0.0.1    dev en1 scoped
        10.0.0.0/8                      dev en1 scoped
        192.168.1.0/24                  dev en0
        172.16.111.0/26                 dev vmnet1
    """)


def test_freebsd() -> None:
    assert routes("freebsd") == table("""
        0.0.0.0/0     via 192.0.2.1   dev em0
        192.0.2.0/24                  dev em0
        ::/0          via fe80::1%em0 dev em0
        2001:db8::/64                 dev em0
        fe80::/64                     dev em0
    """)
    assert candidates("freebsd") == table("""
        yes | 192.0.2.1 | em0 | 192.0.2.0/24 | - | default route
        yes | fe80::1%em0 | em0 | fe80::/64 | - | default route
    """)


def test_freebsd_with_w_and_two_ways_out() -> None:
    assert routes("freebsd_wide") == table("""
        0.0.0.0/0       via 192.0.2.1    dev em0
        0.0.0.0/0       via 198.51.100.1 dev em1
        10.8.0.0/24                      dev wg-office0
        192.0.2.0/24                     dev em0
        198.51.100.0/24                  dev em1
        ::/0            via fe80::1%em0  dev em0
    """)


def test_an_address_cut_off_is_no_gateway_and_a_zone_cut_off_is_completed() -> None:
    assert routes("freebsd_cut_off") == table("""
        2000::/3  via fe80::200:5eff%vtnet0 dev vtnet0
        ::/0      via fe80::1234:5%vtnet0   dev vtnet0
        fe80::/64                           dev vtnet0
    """)


def test_openbsd_has_priorities_and_shows_its_own_address_for_on_link() -> None:
    assert routes("openbsd") == table("""
        0.0.0.0/0       via 192.0.2.1    dev em0  metric 8
        0.0.0.0/0       via 198.51.100.1 dev iwm0 metric 12
        192.0.2.0/24                     dev em0  metric 4 src 192.0.2.10
        198.51.100.0/24                  dev iwm0 metric 8 src 198.51.100.20
        ::/0            via fe80::1%em0  dev em0  metric 8
        2001:db8::/64                    dev em0  metric 4 src 2001:db8::10
        fe80::/64                        dev em0  metric 4 src fe80::200:5eff:fe00:5310%em0
    """)
    assert candidates("openbsd") == table("""
        yes | 192.0.2.1 | em0 | 192.0.2.0/24 | - | default route with metric 8
        yes | 198.51.100.1 | iwm0 | 198.51.100.0/24 | - | default route with metric 12
        yes | fe80::1%em0 | em0 | fe80::/64 | - | default route with metric 8
    """)


def test_netbsd() -> None:
    assert routes("netbsd") == table("""
        0.0.0.0/0      via 192.0.2.1   dev wm0
        192.0.2.0/24                   dev wm0
        172.16.16.0/20                 dev wm1
        ::/0           via fe80::1%wm0 dev wm0
        2001:db8::/64                  dev wm0
        fe80::/64                      dev wm0
    """)


@pytest.mark.parametrize(
    ("destination", "network"),
    [
        ("10", "10.0.0.0/8"),
        ("10/8", "10.0.0.0/8"),
        ("10.8/24", "10.8.0.0/24"),
        ("10.8.1", "10.8.1.0/24"),
        ("169.254", "169.254.0.0/16"),
        ("172.16.16/20", "172.16.16.0/20"),
        ("192.168", "192.168.0.0/24"),
        ("192.168/16", "192.168.0.0/16"),
        ("192.168.1", "192.168.1.0/24"),
        ("192.168.1.128/25", "192.168.1.128/25"),
        ("0.0.0.0", "0.0.0.0/0"),
        ("0/1", "0.0.0.0/1"),
        ("128.0/1", "128.0.0.0/1"),
    ],
)
def test_abbreviated_destinations(destination: str, network: str) -> None:
    """Without a length they have the netmask of their old class."""
    assert shown(parse_netstat(f"Internet:\n{destination}   link#4   UCS   en0  !\n")) == [f"{network} dev en0"]


@pytest.mark.parametrize(
    "line",
    [
        "default            192.0.2.1          UGRS   en0",
        "default            192.0.2.1          UGBS   en0",
        "default            192.0.2.1          GS     en0",
        "default            router.example     UGS    en0",
        "default            192.0.2.1          UGS",
        "default            192.0.2.1          UGS    7    12",
        "default            192.0.2.1",
        "127                127.0.0.1          UCS    lo0",
        "224.0.0/4          link#4             UmCS   en0",
        "192.0.2.1          0:0:5e:0:53:1      UHLWI  en0 1193",
        "0.0.0.0            192.0.2.1          UGHS   en0",
        "192.0.2.1/32       link#4             UCS    en0 !",
        "192.0.2.1/24       link#4             UCS    en0 !",
        "192.0.2/240        link#4             UCS    en0 !",
        "1.2.3.4.5          link#4             UCS    en0 !",
        "300                link#4             UCS    en0 !",
        "192.0.2/24         192.0.2.9          UGS    en0",
    ],
)
def test_lines_that_lead_nowhere_or_make_no_sense_are_left_out(line: str) -> None:
    text = f"Internet:\nDestination  Gateway  Flags  Netif Expire\n{line}\ndefault 192.0.2.9 UGS en9\n"
    assert shown(parse_netstat(text)) == ["0.0.0.0/0 via 192.0.2.9 dev en9"]
