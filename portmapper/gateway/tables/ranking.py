"""Which of the routes of this host lead to a router that can be asked, and which to ask first."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network
from re import compile as pattern

from portmapper.gateway.tables.route import SPLIT, Address, Network, Route

_NO_GATEWAY = "no gateway: a tunnel; name it by hand"
_HALVES = "covers everything in two halves, as VPNs do"
_GLOBAL = "covers all global addresses beside the default route, as VPNs do"
_SCOPED = "holds only for what is bound to its interface, or for what a rule says"
_OWN = "an address of this host"
_NO_HOST = "no address of a single host"
_EDGE = "the first or last address of its network, which no host has"
_PUBLIC = "a public address: perhaps the provider's router, which opens no ports"
_VIRTUAL = "leads to containers or virtual machines"

# Docker names its bridges br- and twelve hexadecimal digits; br0 and br-lan are what real networks hang on.
_VIRTUAL_NAME = pattern(
    r"docker(\d|_)|br-[0-9a-f]{12}$|veth|virbr\d|vnet\d|vmnet\d|vboxnet\d|lxc|lxdbr\d|incusbr\d"
    r"|cni\d|cni-|cali|flannel|cbr0|podman\d|nerdctl\d|kube-|bridge1\d\d$"
)
_POINT_TO_POINT = 31  # the length of a network that has neither number nor broadcast (RFC 3021)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A router that may be asked, or a reason why not. `rank` is its place, 0 the best; the reasons are for people."""

    gateway: Address | None
    interface: str
    network: Network | None
    source: Address | None
    rank: int
    reasons: tuple[str, ...]
    usable: bool


@dataclass(frozen=True, slots=True)
class _Way:
    """A route to everywhere; `split` is the reason why a VPN's is one, "" of a default route."""

    route: Route
    split: str = ""


def rank(routes: Iterable[Route]) -> list[Candidate]:
    """Return the routers that the routes lead to, best first: usable ones, then what cannot be asked, and why."""
    known = list(routes)
    own = frozenset(route.source for route in known if route.source is not None)
    links = _links(known)
    judged = [(_order(way), _judge(way, own, links)) for way in (*_defaults(known), *_splits(known))]
    judged.sort(key=lambda pair: (not pair[1].usable, *pair[0]))  # stable: of equal ones the table's order stays
    merged = _merged(candidate for _, candidate in judged)
    return [replace(candidate, rank=place) for place, candidate in enumerate(merged)]


# --- Ways to everywhere


def _defaults(routes: list[Route]) -> Iterator[_Way]:
    return (_Way(route) for route in routes if not route.network.prefixlen)


def _splits(routes: list[Route]) -> Iterator[_Way]:
    # Both halves have to go the same way. One alone is a mistake, or a part of some finer division: no way to all.
    seen: dict[tuple[Address | None, str, Address | None, int], Route] = {}
    for route in routes:
        if route.network not in SPLIT:
            continue
        if route.network.prefixlen > 1:
            yield _Way(route, _GLOBAL)
            continue
        key = (route.gateway, route.interface, route.source, route.network.version)
        other = seen.setdefault(key, route)
        if other.network != route.network:
            yield _Way(other, _HALVES)


def _order(way: _Way) -> tuple[bool, int, bool, bool, int]:
    # Containers' bridges come last whatever their metric: nothing there leads out of this host.
    # IPv4 first: that is where ports have to be opened; by IPv6 a pinhole at most.
    # A split default route wins over the default route in the kernel, and yet comes after it: traffic goes to the VPN,
    # but the router that can open a port is the one of the LAN; the VPN's may be another, for those that have one.
    # A public gateway is not moved behind a private one: the metric is the decision of whoever runs this host, and a
    # private address proves nothing (a VPN's gateway has one, many a router of a provider too).
    route = way.route
    version = (route.gateway or route.network).version
    return _is_virtual(route.interface), version, bool(way.split), route.scoped, route.metric


def _is_virtual(interface: str) -> bool:
    return _VIRTUAL_NAME.match(interface) is not None


# --- Judging one


def _judge(way: _Way, own: frozenset[Address], links: dict[tuple[str, Address | None], list[Network]]) -> Candidate:
    route = way.route
    network = _network_around(route, links)
    refusal = _refusal(route.gateway, network, own)
    reasons = [way.split or (f"default route with metric {route.metric}" if route.metric else "default route")]
    reasons += [_SCOPED] * route.scoped
    reasons += [f"{route.interface} {_VIRTUAL}"] * _is_virtual(route.interface)
    reasons += [refusal] if refusal else [_PUBLIC] * _is_public(route.gateway)
    return Candidate(
        gateway=route.gateway,
        interface=route.interface,
        network=network,
        source=route.source,
        rank=0,
        reasons=tuple(reasons),
        usable=not refusal,
    )


def _refusal(gateway: Address | None, network: Network | None, own: frozenset[Address]) -> str:
    if gateway is None:
        return _NO_GATEWAY
    if gateway in own or gateway.is_loopback:
        return _OWN
    # 240.0.0.0/4 with 255.255.255.255 is reserved; so is most of IPv6, but for no reason that could matter here.
    reserved = isinstance(gateway, IPv4Address) and gateway.is_reserved
    if gateway.is_multicast or gateway.is_unspecified or reserved:
        return _NO_HOST
    if isinstance(network, IPv4Network) and network.prefixlen < _POINT_TO_POINT:
        return _EDGE if gateway in {network.network_address, network.broadcast_address} else ""
    return ""


def _is_public(gateway: Address | None) -> bool:
    return isinstance(gateway, IPv4Address) and gateway.is_global  # by IPv6 public addresses are the rule


def _links(routes: list[Route]) -> dict[tuple[str, Address | None], list[Network]]:
    # Windows does not name its interfaces, but puts their address beside each route.
    found: dict[tuple[str, Address | None], list[Network]] = {}
    for route in routes:
        if route.gateway is None and not route.wide:
            found.setdefault(_link(route), []).append(route.network)
    return found


def _link(route: Route) -> tuple[str, Address | None]:
    return route.interface, None if route.interface else route.source


def _network_around(route: Route, links: dict[tuple[str, Address | None], list[Network]]) -> Network | None:
    gateway = route.gateway
    if gateway is None:
        return None
    around = [network for network in links.get(_link(route), ()) if gateway in network]
    return max(around, key=lambda network: network.prefixlen, default=None)


# --- The same router by several routes


def _merged(candidates: Iterable[Candidate]) -> Iterable[Candidate]:
    # The best of them stays, with what only others know. A router seen on two interfaces would map two addresses: both.
    found: dict[tuple[Address | None, str, Address | None], Candidate] = {}
    for candidate in candidates:
        key = (candidate.gateway, candidate.interface, None if candidate.interface else candidate.source)
        best = found.setdefault(key, candidate)
        if best.source is None:
            found[key] = replace(best, source=candidate.source)
    return found.values()
