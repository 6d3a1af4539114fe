"""`route print` of Windows, in several languages; written from what its users show."""

import pytest

from portmapper.gateway.tables.windows import parse_windows_routes
from tests.gateway.tables.shown import fixture, ranked, shown, table

LANGUAGES = ["english", "german", "french", "chinese", "japanese", "wrong_charset"]

ROUTES = table("""
    0.0.0.0/0                         via 192.168.1.1       metric 35  src 192.168.1.10
    0.0.0.0/0                                               metric 5   src 10.66.0.2
    192.168.1.0/24                                          metric 291 src 192.168.1.10
    ::/0                              via fe80::1%12 dev 12 metric 291
    2001:db8::/64                                    dev 12 metric 291
    2001:db8:1111:2222:3333:4444::/96                dev 12 metric 291
    fe80::/64                                        dev 12 metric 291
""")


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_language_does_not_matter(language: str) -> None:
    assert shown(parse_windows_routes(fixture(f"windows_{language}"))) == ROUTES


@pytest.mark.parametrize("language", LANGUAGES)
def test_nor_does_indentation_or_the_end_of_lines(language: str) -> None:
    text = fixture(f"windows_{language}")
    assert shown(parse_windows_routes("\n".join(line.strip() for line in text.splitlines()))) == ROUTES
    assert shown(parse_windows_routes(text.replace("\n", "\r\n"))) == ROUTES
    assert shown(parse_windows_routes(text.replace("\n", "\r\r\n"))) == ROUTES
    assert shown(parse_windows_routes(text.replace("\n", "   \r\n"))) == ROUTES


def test_a_tunnel_with_the_better_metric_is_no_router() -> None:
    assert ranked(parse_windows_routes(fixture("windows_german"))) == table("""
        yes | 192.168.1.1 | - | 192.168.1.0/24 | 192.168.1.10 | default route with metric 35
        yes | fe80::1%12 | 12 | fe80::/64 | - | default route with metric 291
        no | - | - | - | 10.66.0.2 | default route with metric 5; no gateway: a tunnel; name it by hand
    """)


def test_halves_a_gateway_of_zeros_and_persistent_routes_alone() -> None:
    routes = parse_windows_routes(fixture("windows_vpn"))
    assert shown(routes) == table("""
        0.0.0.0/0      via 192.168.1.1 metric 35  src 192.168.1.10
        0.0.0.0/0                      metric 45  src 10.99.0.10
        0.0.0.0/1      via 10.8.0.1    metric 257 src 10.8.0.2
        10.8.0.0/24                    metric 257 src 10.8.0.2
        128.0.0.0/1    via 10.8.0.1    metric 257 src 10.8.0.2
        192.168.1.0/24                 metric 291 src 192.168.1.10
    """)
    assert ranked(routes) == table("""
        yes | 192.168.1.1 | - | 192.168.1.0/24 | 192.168.1.10 | default route with metric 35
        yes | 10.8.0.1 | - | 10.8.0.0/24 | 10.8.0.2 | covers everything in two halves, as VPNs do
        no | - | - | - | 10.99.0.10 | default route with metric 45; no gateway: a tunnel; name it by hand
    """)


def test_windows_xp_gives_its_own_address_for_on_link() -> None:
    assert shown(parse_windows_routes(fixture("windows_xp"))) == table("""
        0.0.0.0/0      via 192.168.1.1 metric 20 src 192.168.1.10
        0.0.0.0/0                      metric 30 src 10.64.64.2
        192.168.1.0/24                 metric 20 src 192.168.1.10
    """)


def test_a_part_of_the_output_will_do_for_ipv4() -> None:
    text = "Itinéraires actifs :\n   0.0.0.0   0.0.0.0   192.168.1.1   192.168.1.10   35\n"
    assert shown(parse_windows_routes(text)) == ["0.0.0.0/0 via 192.168.1.1 metric 35 src 192.168.1.10"]


@pytest.mark.parametrize(
    "line",
    [
        "0.0.0.0 0.0.0.0 192.168.1.254 Default",
        "0.0.0.0 0.0.0.0 192.168.1.254 Par défaut",
        "0.0.0.0 0.0.0.0 192.168.1.254 1",
        "0.0.0.0 0.0.0.0 Auf Verbindung 1",
        "0.0.0.0 0.0.0.0 192.168.1.254 192.168.1.10 metric",
        "0.0.0.0 128.0.0.1 192.168.1.254 192.168.1.10 1",
        "0.0.0.0 0.0.0.0 192.168.1.254 nobody 1",
        "192.168.1.9 255.255.255.0 On-link 192.168.1.10 1",
        "Default Gateway:       192.168.1.254",
    ],
)
def test_lines_that_are_no_active_route_are_left_out(line: str) -> None:
    text = f"{line}\n0.0.0.0 0.0.0.0 192.168.1.1 192.168.1.10 35\n"
    assert shown(parse_windows_routes(text)) == ["0.0.0.0/0 via 192.168.1.1 metric 35 src 192.168.1.10"]
