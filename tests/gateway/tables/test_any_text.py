"""Whatever the text, the parsers return a bounded list of routes that make sense."""

from collections.abc import Callable
from functools import partial
from ipaddress import IPv6Address, IPv6Network
from itertools import cycle, islice
from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portmapper.gateway.tables import route as route_module
from portmapper.gateway.tables.iproute import parse_ip_json_route, parse_ip_route
from portmapper.gateway.tables.linux import parse_proc_net_if_inet6, parse_proc_net_ipv6_route, parse_proc_net_route
from portmapper.gateway.tables.netstat import parse_netstat
from portmapper.gateway.tables.ranking import rank
from portmapper.gateway.tables.route import LOOKS, ROUTES, Route
from portmapper.gateway.tables.route_get import parse_ip_route_get, parse_route_get
from portmapper.gateway.tables.windows import parse_windows_routes
from tests.fuzz import examples
from tests.gateway.tables.shown import fixture, fixtures

Parser: TypeAlias = Callable[[str], list[Route]]

PARSERS: dict[str, Parser] = {
    "proc_net_route": partial(parse_proc_net_route, byteorder="little"),
    "proc_net_route_big_endian": partial(parse_proc_net_route, byteorder="big"),
    "proc_net_ipv6_route": parse_proc_net_ipv6_route,
    "proc_net_if_inet6": parse_proc_net_if_inet6,
    "ip_route": parse_ip_route,
    "ip_6_route": partial(parse_ip_route, version=6),
    "ip_json_route": parse_ip_json_route,
    "netstat": parse_netstat,
    "route_get": parse_route_get,
    "ip_route_get": parse_ip_route_get,
    "windows": parse_windows_routes,
}
TEXTS = {name: fixture(name) for name in fixtures()}
WORDS = sorted({word for text in TEXTS.values() for word in text.split()})


def check(text: str) -> None:
    """Run every parser over the text: each may be given the output of any program."""
    for parse in PARSERS.values():
        routes = parse(text)
        assert len(routes) <= ROUTES
        for route in routes:
            check_route(route)
        rank(routes)


def check_route(route: Route) -> None:
    assert 0 <= route.metric < 2**32
    assert len(route.interface.encode()) <= 15
    assert route.interface.isprintable()
    for address in (route.gateway, route.source):
        if isinstance(address, IPv6Address) and address.is_link_local:
            assert address.scope_id
    if route.gateway is not None:
        assert int(route.gateway)
        assert route.wide


@given(st.text(max_size=300))
@examples(300)
def test_any_text(text: str) -> None:
    check(text)


@given(st.lists(st.lists(st.sampled_from(WORDS) | st.text(max_size=5), max_size=12), max_size=8))
@examples(300)
def test_any_words_of_routes(lines: list[list[str]]) -> None:
    check("\n".join(" ".join(line) for line in lines))


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """Draw one of the fixtures with a few words replaced, lines lost or doubled, and its end cut off."""
    lines = TEXTS[draw(st.sampled_from(sorted(TEXTS)))].splitlines(keepends=True)
    for _ in range(draw(st.integers(1, 5))):
        at = draw(st.integers(0, len(lines) - 1))
        words = lines[at].split(" ")
        words[draw(st.integers(0, len(words) - 1))] = draw(st.sampled_from(WORDS) | st.text(max_size=8))
        lines[at : at + draw(st.integers(1, 2))] = [" ".join(words)] * draw(st.integers(1, 2))
    text = "".join(lines)
    return text[: draw(st.integers(0, len(text)))] if draw(st.booleans()) else text


@given(mutated())
@examples(300)
def test_mutated_fixtures(text: str) -> None:
    check(text)


@pytest.mark.parametrize("text", ["[" * 100_000, '[{"dst":' * 100_000, "{" * 100_000, '"' * 100_000, "9" * 100_000])
def test_deep_and_long_texts(text: str) -> None:
    check(text)
    check(f"default via {text}")
    check(f'[{{"dst":"default","metric":{text}')


# --- Long tables: what is kept and what is looked at closely have bounds, so that the time for one line has

MANY = 200_000
LAST = {
    "proc_net_route": "eth9\t00000000\t090200C0\t0003\t0\t0\t100\t00000000\t0\t0\t0",
    "proc_net_ipv6_route": f"{'0' * 32} 00 {'0' * 32} 00 fe80{'0' * 27}9 00000400 00000001 00000000 00000003 eth9",
    "ip_route": "default via 192.0.2.9 dev eth9",
    "ip_json_route": '{"dst":"default","gateway":"192.0.2.9","dev":"eth9"}]',
    "netstat": "0.0.0.0 192.0.2.9 0.0.0.0 UG 100 0 0 eth9",
    "windows": "0.0.0.0 0.0.0.0 192.0.2.9 192.0.2.10 35",
}
LONG = {
    "blackholes": ("proc_net_route", "*\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0"),
    "a BGP table": ("proc_net_route", "eth0\t000200C0\t010200C0\t0003\t0\t0\t0\t00FFFFFF\t0\t0\t0"),
    "links": ("proc_net_route", "eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0"),
    "links that make no sense": ("proc_net_route", "eth0\t010200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0"),
    "multicast": (
        "proc_net_ipv6_route",
        f"ff{'0' * 30} 08 {'0' * 32} 00 {'0' * 32} 00000100 00000001 00000000 00000001 eth0",
    ),
    "a BGP table with nexthop ids": ("ip_route", "198.51.100.0/24 nhid 25 via 192.0.2.1 dev eth0 proto bgp metric 20"),
    "links without carrier": ("ip_route", "198.51.100.0/24 dev eth0 scope link linkdown"),
    "unreachable": ("ip_route", "unreachable 198.51.100.0/24"),
    "as JSON": ("ip_json_route", '{"dst":"198.51.100.0/24","gateway":"192.0.2.1","dev":"eth0","flags":[]},'),
    "links as JSON": ("ip_json_route", '{"dst":"198.51.100.0/24","dev":"eth0","flags":[]},'),
    "neighbours": ("netstat", "198.51.100.7 0:0:5e:0:53:1 UHLWI en0 1193"),
    "hosts": ("netstat", "198.51.100.7/32 link#4 UCS en0 !"),
    "no routes": ("netstat", "a b c d e f g"),
    "routes of Windows": ("windows", "198.51.100.0 255.255.255.0 192.0.2.1 192.0.2.10 35"),
    "links of Windows": ("windows", "198.51.100.0 255.255.255.0 Auf Verbindung 192.0.2.10 35"),
    "wrapped lines": ("windows", " 12 291 2001:db8::/64\n      On-link"),
}


@pytest.mark.parametrize("what", LONG)
def test_the_default_route_below_a_long_table_is_found(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name, line = LONG[what]
    looks = count_looks(monkeypatch)
    routes = PARSERS[name](f"{line}\n" * MANY + LAST[name])
    assert sum(looks) <= LOOKS
    assert len(routes) <= ROUTES
    assert (routes[-1].network.prefixlen, routes[-1].interface in {"eth9", ""}) == (0, True)


@pytest.mark.parametrize("name", LAST)
def test_of_many_default_routes_the_first_are_kept(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = count_looks(monkeypatch)
    routes = PARSERS[name](f"{LAST[name].rstrip(']')}\n" * MANY)
    assert len(routes) == sum(looks) == ROUTES // 2


def test_of_many_next_hops_the_first_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = count_looks(monkeypatch)
    assert len(parse_ip_route("default\n" + "\tnexthop via 192.0.2.1 dev eth0 weight 1\n" * MANY)) == ROUTES // 2
    hop = '{"gateway":"192.0.2.1","dev":"eth0"}'
    hops = ",".join(islice(cycle([hop]), MANY))
    assert len(parse_ip_json_route(f'[{{"dst":"default","nexthops":[{hops}]}}]')) == ROUTES // 2
    assert sum(looks) == 2


def count_looks(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Return a list that grows by the answer of each close look a parser asks for."""
    answers: list[bool] = []
    look = route_module.Table.look

    def counting(table: route_module.Table, *, wide: bool) -> bool:
        answers.append(look(table, wide=wide))
        return answers[-1]

    monkeypatch.setattr(route_module.Table, "look", counting)
    return answers


def test_all_addresses_are_kept_up_to_a_bound() -> None:
    line = f"20010db8{'0' * 23}1 03 40 00 82 eth0\n"
    routes = parse_proc_net_if_inet6(line * MANY)
    assert len(routes) == ROUTES
    assert {route.network for route in routes} == {IPv6Network("2001:db8::/64")}
