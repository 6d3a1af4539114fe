"""The kernel's route tables, as /proc/net/route and /proc/net/ipv6_route print them."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portmapper.gateway.routes import (
    DefaultRoute,
    parse_proc_if_inet6,
    parse_proc_ipv6_route,
    parse_proc_links,
    parse_proc_route,
)
from tests.fuzz import examples

HEAD = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT"


def table(*lines: str) -> str:
    """Return a table as the kernel prints it: every line is filled up to 127 characters."""
    return "".join(line.ljust(127) + "\n" for line in (HEAD, *lines))


def line(
    interface: str, destination: str, gateway: str, flags: str, metric: int = 100, *, mask: str = "00000000"
) -> str:
    return f"{interface}\t{destination}\t{gateway}\t{flags}\t0\t0\t{metric}\t{mask}\t0\t0\t0"


def ipv4(text: str) -> list[DefaultRoute]:
    return parse_proc_route(text, "little")


LAN = line("eth0", "0001A8C0", "00000000", "0001", 100, mask="00FFFFFF")
DEFAULT = line("eth0", "00000000", "0101A8C0", "0003")
ETH0 = DefaultRoute(IPv4Address("192.168.1.1"), "eth0", 100)


@pytest.mark.conforms("NP-02")
def test_a_plain_default_route() -> None:
    assert ipv4(table(DEFAULT, LAN)) == [ETH0]


def test_a_table_without_a_default_route() -> None:
    assert ipv4(table(LAN)) == []
    assert ipv4(table()) == []
    assert ipv4("") == []


def test_two_default_routes_come_by_metric() -> None:
    wifi = line("wlan0", "00000000", "FE01A8C0", "0003", 600)
    cable = line("eth0", "00000000", "0101A8C0", "0003")
    routes = [ETH0, DefaultRoute(IPv4Address("192.168.1.254"), "wlan0", 600)]
    assert ipv4(table(cable, wifi)) == routes
    assert ipv4(table(wifi, cable)) == routes


def test_metrics_are_compared_as_numbers() -> None:
    lines = [line(f"eth{metric}", "00000000", "0101A8C0", "0003", metric) for metric in (1024, 20, 100)]
    assert [route.metric for route in ipv4(table(*lines))] == [20, 100, 1024]


def test_of_equal_metrics_the_order_of_the_table_stays() -> None:
    lines = [line(name, "00000000", "0101A8C0", "0003", 0) for name in ("b", "a", "c")]
    assert [route.interface for route in ipv4(table(*lines))] == ["b", "a", "c"]


def test_a_default_route_without_a_gateway_is_ignored() -> None:
    """A point-to-point link: there is nobody to ask."""
    assert ipv4(table(line("ppp0", "00000000", "00000000", "0001", 0))) == []
    assert ipv4(table(line("ppp0", "00000000", "00000000", "0003", 0))) == []


@pytest.mark.parametrize(
    "flags",
    ["0200", "0201", "0203", "0002", "0001", "0000"],
    ids=["reject", "reject up", "reject up gateway", "down", "no gateway", "none"],
)
def test_routes_that_lead_nowhere_are_ignored(flags: str) -> None:
    assert ipv4(table(line("eth0", "00000000", "0101A8C0", flags))) == []


@pytest.mark.parametrize("flags", ["0003", "0007", "0013"], ids=["up gateway", "host", "dynamic"])
def test_other_flags_do_not_matter(flags: str) -> None:
    assert ipv4(table(line("eth0", "00000000", "0101A8C0", flags))) == [ETH0]


def test_the_two_halves_of_a_vpn_are_no_default_route() -> None:
    """OpenVPN's redirect-gateway adds 0.0.0.0/1 and 128.0.0.0/1 beside the default route."""
    halves = [
        line("tun0", "00000000", "0100080A", "0003", 0, mask="00000080"),
        line("tun0", "00000080", "0100080A", "0003", 0, mask="00000080"),
    ]
    assert ipv4(table(*halves, DEFAULT)) == [ETH0]


def test_destination_and_mask_both_have_to_be_zero() -> None:
    assert ipv4(table(line("eth0", "0001A8C0", "0101A8C0", "0003", 0))) == []


NONSENSE = [
    "eth0",
    "eth0\t00000000\t0101A8C0",
    "eth0\tzz\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0",
    "eth0\t00000000\tzz\t0003\t0\t0\t100\t00000000\t0\t0\t0",
    "eth0\t00000000\t0101A8C0FF\t0003\t0\t0\t100\t00000000\t0\t0\t0",
    "eth0\t00000000\t-1\t0003\t0\t0\t100\t00000000\t0\t0\t0",
    "eth0\t00000000\t0101A8C0\tup\t0\t0\t100\t00000000\t0\t0\t0",
    "eth0\t00000000\t0101A8C0\t0003\t0\t0\tlow\t00000000\t0\t0\t0",
    "eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\tnone\t0\t0\t0",
    "eth0\t00000000\t0101A8C0\t0003\t0\t0\t" + "9" * 5000 + "\t00000000\t0\t0\t0",
    "\x00\x01\x02",
    "",
]


def test_lines_that_make_no_sense_are_skipped() -> None:
    assert [one for one in NONSENSE if ipv4(table(one))] == []
    assert [one for one in NONSENSE if ipv4(table(one, DEFAULT, one)) != [ETH0]] == []


def test_big_endian_machines_print_the_address_the_other_way() -> None:
    text = table(line("eth0", "00000000", "C0A80101", "0003"))
    assert parse_proc_route(text, "big") == [ETH0]
    assert parse_proc_route(text, "little") == [DefaultRoute(IPv4Address("1.1.168.192"), "eth0", 100)]


# --- The links: networks that are reached without a gateway


def links(*lines: str) -> list[str]:
    return [str(one) for one in parse_proc_links(table(*lines), "little")]


@pytest.mark.conforms("UP-32")
def test_a_link_is_a_network_without_a_gateway() -> None:
    assert links(DEFAULT, LAN) == ["192.168.1.0/24"]
    assert links(DEFAULT) == links() == []


def test_the_smallest_link_comes_first() -> None:
    """It is the one that an address in several of them is on."""
    wide = line("eth0", "0000000A", "00000000", "0001", mask="000000FF")
    narrow = line("eth1", "0001000A", "00000000", "0001", mask="00FFFFFF")
    host = line("eth1", "0701000A", "00000000", "0005", mask="FFFFFFFF")
    assert links(wide, narrow, host) == links(host, wide, narrow) == ["10.0.1.7/32", "10.0.1.0/24", "10.0.0.0/8"]


def test_of_links_of_one_size_the_order_of_the_table_stays() -> None:
    other = line("eth1", "0000A8C0", "00000000", "0001", mask="00FFFFFF")
    assert links(LAN, other) == ["192.168.1.0/24", "192.168.0.0/24"]
    assert links(other, LAN) == ["192.168.0.0/24", "192.168.1.0/24"]


@pytest.mark.parametrize(
    ("flags", "mask"),
    [
        ("0003", "00FFFFFF"),
        ("0000", "00FFFFFF"),
        ("0201", "00FFFFFF"),
        ("0001", "00000000"),
        ("0001", "00FF00FF"),
        ("0001", "0000FFFF"),
    ],
    ids=["gateway", "down", "reject", "default", "holes in the mask", "bits beyond the mask"],
)
def test_what_is_no_link_is_ignored(flags: str, mask: str) -> None:
    assert links(line("eth0", "0001A8C0", "00000000", flags, mask=mask)) == []


def test_big_endian_machines_print_the_link_the_other_way() -> None:
    text = table(line("eth0", "C0A80100", "00000000", "0001", mask="FFFFFF00"))
    assert parse_proc_links(text, "big") == [IPv4Network("192.168.1.0/24")]


def test_lines_that_make_no_sense_are_no_links() -> None:
    assert [one for one in NONSENSE if links(one)] == []
    assert [one for one in NONSENSE if links(one, LAN, one) != ["192.168.1.0/24"]] == []


# --- IPv6: destination, its length, source, its length, next hop, metric, references, use, flags, interface

ANY, LINK_LOCAL, GLOBAL = "0" * 32, "fe80" + "0" * 27 + "1", "20010db8" + "0" * 23 + "1"


def line6(
    destination: str, length: str, gateway: str, interface: str, *, metric: str = "00000400", flags: str = "00450003"
) -> str:
    return f"{destination} {length} {ANY} 00 {gateway} {metric} 00000001 00000000 {flags} {interface:>8}\n"


LAN6 = line6("20010db8" + "0" * 24, "40", ANY, "eth0", metric="00000100", flags="00400001")
LOOPBACK6 = line6(ANY, "00", ANY, "lo", metric="ffffffff", flags="00200200")
ETH0_6 = DefaultRoute(IPv6Address("fe80::1%eth0"), "eth0", 1024)


@pytest.mark.conforms("PC-103")
def test_a_link_local_gateway_gets_its_interface_as_zone() -> None:
    assert parse_proc_ipv6_route(LAN6 + line6(ANY, "00", LINK_LOCAL, "eth0") + LOOPBACK6) == [ETH0_6]


def test_a_global_gateway_gets_no_zone() -> None:
    assert parse_proc_ipv6_route(line6(ANY, "00", GLOBAL, "eth0", flags="00000003")) == [
        DefaultRoute(IPv6Address("2001:db8::1"), "eth0", 1024)
    ]


def test_ipv6_metrics_are_hexadecimal_and_order_the_routes() -> None:
    text = line6(ANY, "00", LINK_LOCAL, "wlan0", metric="00000258") + line6(
        ANY, "00", LINK_LOCAL, "eth0", metric="00000064"
    )
    assert [(route.interface, route.metric) for route in parse_proc_ipv6_route(text)] == [("eth0", 100), ("wlan0", 600)]


@pytest.mark.parametrize(
    "one",
    [
        LAN6,
        LOOPBACK6,
        line6(ANY, "00", LINK_LOCAL, "eth0", flags="00000203"),
        line6(ANY, "00", LINK_LOCAL, "eth0", flags="00000002"),
        line6(ANY, "00", LINK_LOCAL, "eth0", flags="00000001"),
        line6(ANY, "00", ANY, "tun0", flags="00000003"),
        line6(ANY, "01", LINK_LOCAL, "tun0"),
        line6("8" + "0" * 31, "01", LINK_LOCAL, "tun0"),
        line6("20" + "0" * 30, "03", LINK_LOCAL, "tun0"),
    ],
    ids=["lan", "unreachable", "reject", "down", "on-link", "gateway ::", "::/1", "8000::/1", "2000::/3"],
)
def test_other_ipv6_routes_are_ignored(one: str) -> None:
    assert parse_proc_ipv6_route(one) == []


NONSENSE_6 = [
    "\n",
    "eth0\n",
    line6("z" * 32, "00", LINK_LOCAL, "eth0"),
    line6(ANY, "00", "f" * 33, "eth0"),
    line6(ANY, "00", "-" + LINK_LOCAL, "eth0"),
    line6(ANY, "00", LINK_LOCAL, "eth0", metric="high"),
    line6(ANY, "00", LINK_LOCAL, "eth0", flags="up"),
    line6(ANY, "00", LINK_LOCAL, "a%b"),
    line6(ANY, "00", LINK_LOCAL, "eth0 more"),
    line6(ANY, "00", LINK_LOCAL, ""),
]


def test_ipv6_lines_that_make_no_sense_are_skipped() -> None:
    default = line6(ANY, "00", LINK_LOCAL, "eth0")
    assert [one for one in NONSENSE_6 if parse_proc_ipv6_route(one)] == []
    assert [one for one in NONSENSE_6 if parse_proc_ipv6_route(one + default + one) != [ETH0_6]] == []


# --- Which interface has which address of this host: address, number, length, scope, flags, interface

IF_INET6 = """00000000000000000000000000000001 01 80 10 80       lo
fe8000000000000000fc00fffe000001 04 40 20 80     eth0
20010db8000000000000000000000010 04 40 00 80     eth0
20010db8000000000000000000000010 05 40 00 80
20010db8000000000000000000000011 05 40 00 80 eth1 x
g0010db8000000000000000000000012 05 40 00 80 eth1
fffffffffffffffffffffffffffffffffffff 05 40 00 80 eth1

"""


@pytest.mark.conforms("UP-30")
def test_the_interface_of_each_address() -> None:
    """Lines that make no sense are skipped. A group by IPv6 is reached by an interface."""
    assert parse_proc_if_inet6(IF_INET6) == {
        IPv6Address("::1"): "lo",
        IPv6Address("fe80::fc:ff:fe00:1"): "eth0",
        IPv6Address("2001:db8::10"): "eth0",
    }


# --- Any text

WORDS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(["eth0", "00000000", "0003", "0101A8C0", "00450003", ANY, LINK_LOCAL, "00", "-1", "0x1", "1_0"]),
    st.integers(-(2**140), 2**140).map("{:x}".format),
)
LINES = st.lists(WORDS, max_size=12).map("\t".join)
TABLES = st.text(max_size=200) | st.lists(LINES, max_size=6).map("\n".join)


@given(TABLES, st.sampled_from(["little", "big"]))
@examples(300)
def test_any_text_is_a_list_of_ipv4_routes(text: str, byteorder: str) -> None:
    routes = parse_proc_route(text, "big" if byteorder == "big" else "little")
    assert [route.metric for route in routes] == sorted(route.metric for route in routes)
    assert all(int(route.gateway) for route in routes)


@given(TABLES, st.sampled_from(["little", "big"]))
@examples(300)
def test_any_text_is_a_list_of_links(text: str, byteorder: str) -> None:
    found = parse_proc_links(text, "big" if byteorder == "big" else "little")
    assert [one.prefixlen for one in found] == sorted((one.prefixlen for one in found), reverse=True)
    assert all(one.prefixlen for one in found)


@given(TABLES)
@examples(200)
def test_any_text_is_a_table_of_interfaces(text: str) -> None:
    assert all(interface for interface in parse_proc_if_inet6(text).values())


@given(TABLES)
@examples(300)
def test_any_text_is_a_list_of_ipv6_routes(text: str) -> None:
    routes = parse_proc_ipv6_route(text)
    assert [route.metric for route in routes] == sorted(route.metric for route in routes)
    assert all(int(route.gateway) for route in routes)


@given(st.ip_addresses(v=4).filter(int), st.integers(0, 2**31 - 1))
@examples(100)
def test_any_gateway_is_read_back(gateway: IPv4Address | IPv6Address, metric: int) -> None:
    printed = f"{int.from_bytes(gateway.packed, 'little'):08X}"
    routes = ipv4(table(line("eth0", "00000000", printed, "0003", metric)))
    assert routes == [DefaultRoute(ip_address(str(gateway)), "eth0", metric)]


@given(st.ip_addresses(v=4), st.integers(1, 32))
@examples(100)
def test_any_link_is_read_back(address: IPv4Address | IPv6Address, prefix: int) -> None:
    network = IPv4Network((int(address), prefix), strict=False)
    destination, mask = (int.from_bytes(one.packed, "little") for one in (network.network_address, network.netmask))
    assert links(line("eth0", f"{destination:08X}", "00000000", "0001", mask=f"{mask:08X}")) == [str(network)]
