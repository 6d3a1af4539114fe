"""Which router to ask first, by the routes alone."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portmapper.gateway.tables.ranking import rank
from portmapper.gateway.tables.route import Route
from tests.fuzz import examples
from tests.gateway.tables.shown import ranked, table

EVERYTHING = ("0.0.0.0/0", "::/0")


def route(
    network: str = "0.0.0.0/0",
    via: str = "",
    dev: str = "eth0",
    metric: int = 0,
    *,
    scoped: bool = False,
    src: str = "",
) -> Route:
    return Route(
        network=ip_network(network),
        gateway=ip_address(via) if via else None,
        interface=dev,
        metric=metric,
        scoped=scoped,
        source=ip_address(src) if src else None,
    )


def order(*routes: Route) -> list[str]:
    """Return the gateways, best first; in brackets those that cannot be asked."""
    found = rank(routes)
    assert [one.rank for one in found] == list(range(len(found)))
    return [f"{one.gateway or one.interface}" if one.usable else f"({one.gateway or one.interface})" for one in found]


LAN = route(via="192.0.2.1", metric=100)
LAN_LINK = route("192.0.2.0/24", src="192.0.2.10")
LAN_6 = route("::/0", via="fe80::1%eth0", metric=1024)
WIFI = route(via="198.51.100.1", dev="wlan0", metric=600)


def test_nothing() -> None:
    assert order() == []
    assert order(LAN_LINK) == []


def test_the_network_around_the_gateway_is_the_smallest_on_its_own_link() -> None:
    links = [route("192.0.0.0/16"), LAN_LINK, route("192.0.2.0/25", dev="wlan0"), route("2001:db8::/64")]
    assert ranked([LAN, *links]) == ["yes | 192.0.2.1 | eth0 | 192.0.2.0/24 | - | default route with metric 100"]


def test_metrics_decide_and_then_the_order_of_the_table() -> None:
    assert order(WIFI, LAN) == ["192.0.2.1", "198.51.100.1"]
    first, second = route(via="192.0.2.7"), route(via="192.0.2.3")
    assert order(first, second) == ["192.0.2.7", "192.0.2.3"]
    assert order(second, first) == ["192.0.2.3", "192.0.2.7"]


def test_each_hop_of_a_multipath_route_is_one() -> None:
    assert order(route(via="192.0.2.1"), route(via="198.51.100.1", dev="wlan0")) == ["192.0.2.1", "198.51.100.1"]


def test_ipv4_before_ipv6_whatever_the_metric() -> None:
    assert order(route("::/0", via="fe80::1%eth0", metric=1), WIFI) == ["198.51.100.1", "fe80::1%eth0"]


# --- VPNs


def halves(via: str, dev: str = "tun0") -> list[Route]:
    return [route("0.0.0.0/1", via=via, dev=dev), route("128.0.0.0/1", via=via, dev=dev)]


def test_a_vpn_in_two_halves_does_not_hide_the_router() -> None:
    assert ranked([*halves("10.8.0.1"), LAN, LAN_LINK]) == table("""
        yes | 192.0.2.1 | eth0 | 192.0.2.0/24 | - | default route with metric 100
        yes | 10.8.0.1 | tun0 | - | - | covers everything in two halves, as VPNs do
    """)


def test_without_a_default_route_the_vpn_is_all_there_is() -> None:
    assert order(*halves("10.8.0.1")) == ["10.8.0.1"]


def test_halves_that_go_two_ways_or_one_half_alone_are_no_way_to_everywhere() -> None:
    assert order(*halves("10.8.0.1")[:1], LAN) == ["192.0.2.1"]
    assert order(halves("10.8.0.1")[0], halves("10.9.0.1")[1]) == []
    assert order(halves("10.8.0.1")[0], halves("10.8.0.1", "tun1")[1]) == []
    assert order(halves("10.8.0.1")[0], halves("10.8.0.1")[0]) == []


def test_halves_and_the_global_addresses_by_ipv6() -> None:
    both = [route("::/1", via="2001:db8::9", dev="tun0"), route("8000::/1", via="2001:db8::9", dev="tun0")]
    assert ranked([*both, LAN_6, route("2000::/3", via="2001:db8::8", dev="tun1")]) == table("""
        yes | fe80::1%eth0 | eth0 | - | - | default route with metric 1024
        yes | 2001:db8::9 | tun0 | - | - | covers everything in two halves, as VPNs do
        yes | 2001:db8::8 | tun1 | - | - | covers all global addresses beside the default route, as VPNs do
    """)


def test_a_tunnel_without_a_gateway_cannot_be_asked_whatever_its_metric() -> None:
    assert ranked([route(dev="tun0"), LAN]) == table("""
        yes | 192.0.2.1 | eth0 | - | - | default route with metric 100
        no | - | tun0 | - | - | default route; no gateway: a tunnel; name it by hand
    """)
    assert order(*halves("", "wg0"), LAN) == ["192.0.2.1", "(wg0)"]


def test_a_vpn_that_is_the_default_route_comes_by_its_metric() -> None:
    """Its administrator wants it so, and its gateway can often be asked (ProtonVPN, AirVPN)."""
    assert order(LAN, route(via="10.8.0.1", dev="tun0", metric=50)) == ["10.8.0.1", "192.0.2.1"]


def test_scoped_routes_come_after_all_others_of_the_family() -> None:
    assert order(route(via="10.0.0.1", dev="en1", scoped=True), WIFI, LAN_6) == [
        "198.51.100.1",
        "10.0.0.1",
        "fe80::1%eth0",
    ]


# --- Containers


@pytest.mark.parametrize(
    "name",
    [
        "docker0",
        "docker_gwbridge",
        "br-0123456789ab",
        "veth1a2b3c4",
        "virbr0",
        "lxcbr0",
        "lxc1234",
        "lxdbr0",
        "cni0",
        "cni-podman0",
        "podman1",
        "vmnet8",
        "vboxnet0",
        "cali0123",
        "flannel.1",
        "bridge100",
    ],
)
def test_bridges_to_containers_come_last(name: str) -> None:
    assert order(route(via="172.17.0.2", dev=name, metric=1), WIFI, LAN_6) == [
        "198.51.100.1",
        "fe80::1%eth0",
        "172.17.0.2",
    ]


@pytest.mark.parametrize("name", ["br0", "br-lan", "bridge0", "eth0", "en0", "wlan0", "vlan10", "bond0", "dock0", ""])
def test_other_bridges_are_networks_like_any(name: str) -> None:
    assert order(route(via="192.0.2.7", dev=name), WIFI) == ["192.0.2.7", "198.51.100.1"]


# --- What cannot be a router


@pytest.mark.parametrize(
    ("via", "reason"),
    [
        ("192.0.2.10", "an address of this host"),
        ("127.0.0.1", "an address of this host"),
        ("::1", "an address of this host"),
        ("fe80::5%eth0", "an address of this host"),
        ("224.0.0.1", "no address of a single host"),
        ("ff02::1%eth0", "no address of a single host"),
        ("255.255.255.255", "no address of a single host"),
        ("240.0.0.1", "no address of a single host"),
        ("192.0.2.255", "the first or last address of its network, which no host has"),
        ("192.0.2.0", "the first or last address of its network, which no host has"),
    ],
)
def test_these_are_no_routers(via: str, reason: str) -> None:
    version = 1 if ":" in via else 0
    own = route("fe80::/64", src="fe80::5%eth0")
    found = rank([route(EVERYTHING[version], via=via), LAN_LINK, own, WIFI])
    assert [one.usable for one in found] == [True, False]
    assert found[1].reasons == ("default route", reason)


def test_the_same_link_local_address_on_another_link_is_another_host() -> None:
    """Docker's bridges have fe80::1, as many a router has."""
    own = route("fe80::/64", dev="docker0", src="fe80::1%docker0")
    assert order(own, LAN_6) == ["fe80::1%eth0"]


def test_networks_of_two_addresses_have_no_broadcast() -> None:
    assert order(route(via="192.0.2.1"), route("192.0.2.0/31")) == ["192.0.2.1"]


# --- Public gateways


def test_a_public_gateway_keeps_its_place_and_is_marked() -> None:
    assert ranked([WIFI, route(via="93.184.215.1", dev="eth1", metric=100)]) == table("""
        yes | 93.184.215.1 | eth1 | - | - | default route with metric 100; a public address: perhaps the provider's \
router, which opens no ports
        yes | 198.51.100.1 | wlan0 | - | - | default route with metric 600
    """)


# --- The same router twice


def test_duplicates_are_merged_into_the_best_with_the_source_of_any() -> None:
    again = route(via="192.0.2.1", metric=900, src="192.0.2.10")
    assert ranked([again, LAN, LAN]) == ["yes | 192.0.2.1 | eth0 | - | 192.0.2.10 | default route with metric 100"]


def test_one_router_on_two_interfaces_stays_two() -> None:
    assert order(LAN, route(via="192.0.2.1", dev="wlan0", metric=600)) == ["192.0.2.1", "192.0.2.1"]


def test_where_interfaces_have_no_names_the_source_tells_them_apart() -> None:
    one, two = (route(via="192.0.2.1", dev="", src=f"192.0.2.{last}") for last in (10, 11))
    link = route("192.0.2.0/24", dev="", src="192.0.2.10")
    assert ranked([one, two, link]) == table("""
        yes | 192.0.2.1 | - | 192.0.2.0/24 | 192.0.2.10 | default route
        yes | 192.0.2.1 | - | - | 192.0.2.11 | default route
    """)


# --- Any routes

NETWORKS = st.sampled_from(
    [*EVERYTHING, "0.0.0.0/1", "128.0.0.0/1", "::/1", "8000::/1", "2000::/3", "192.0.2.0/24", "fe80::/64"]
)
ADDRESSES = st.sampled_from(["", "192.0.2.1", "192.0.2.10", "10.8.0.1", "fe80::1%eth0", "2001:db8::1", "224.0.0.1"])
ANY_ROUTES = st.lists(
    st.builds(
        route,
        NETWORKS,
        ADDRESSES,
        st.sampled_from(["eth0", "tun0", "docker0", ""]),
        st.integers(0, 3),
        scoped=st.booleans(),
        src=ADDRESSES,
    ),
    max_size=12,
)


@given(ANY_ROUTES)
@examples(300)
def test_any_routes_are_ranked(routes: list[Route]) -> None:
    found = rank(routes)
    assert [one.rank for one in found] == list(range(len(found)))
    assert [one.usable for one in found] == sorted((one.usable for one in found), reverse=True)
    assert len({(one.gateway, one.interface, "" if one.interface else one.source) for one in found}) == len(found)
    assert all(one.reasons and all(one.reasons) for one in found)
    assert {one.gateway for one in found} <= {one.gateway for one in routes}
    assert {one.gateway for one in found} >= {one.gateway for one in routes if not one.network.prefixlen}
