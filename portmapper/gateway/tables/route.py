"""One route, whatever system printed it, and which routes of a table are worth keeping."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

ROUTES = 1024  # kept of one table, half of them default routes: full BGP tables exist on hosts (tailscale #7621)
LOOKS = 20_000  # lines of one table read closely; the others are passed over by a glance at a column

# Together as good as a default route: VPNs lay them over it to win without removing it. 2000::/3 is all that is global.
SPLIT: frozenset[Network] = frozenset(
    (
        IPv4Network("0.0.0.0/1"),
        IPv4Network("128.0.0.0/1"),
        IPv6Network("::/1"),
        IPv6Network("8000::/1"),
        IPv6Network("2000::/3"),
    )
)

HALVES = frozenset(("0.0.0.0", "128.0.0.0"))  # noqa: S104 - where the IPv4 halves begin, and their netmasks

# The same and the default route, as the first column of a table names them: what else it names is cheap to skip.
WIDE = frozenset(
    (
        *("default", *HALVES, "0.0.0.0/0", "::/0", "[::]/0"),
        *("0/1", "128.0/1", "128/1", "0.0.0.0/1", "128.0.0.0/1"),
        *("::/1", "8000::/1", "2000::/3", "[::]/1", "[8000::]/1", "[2000::]/3"),
    )
)


@dataclass(frozen=True, slots=True)
class Route:
    """A way to a network; without a gateway it is on link. `scoped` ones hold for some traffic only.

    A link-local IPv6 address carries its interface as the zone. `interface` is "" where a table has no names for them;
    `source` is the address of this host that the table puts beside the route.
    """

    network: Network
    gateway: Address | None
    interface: str
    metric: int = 0
    scoped: bool = False
    source: Address | None = None

    @property
    def wide(self) -> bool:
        """Tell whether it is a default route or part of a split one."""
        return self.network.prefixlen == 0 or self.network in SPLIT


class Table:
    """Collects the routes worth keeping, in their order: no more than ROUTES, from no more than LOOKS lines."""

    def __init__(self) -> None:
        self.routes: list[Route] = []
        # Each kind has a half of its own, or the links of a thousand containers would crowd out the default route.
        self._room = {True: ROUTES // 2, False: ROUTES // 2}
        self._looks = {True: LOOKS // 2, False: LOOKS // 2}

    @property
    def full(self) -> bool:
        """Tell whether nothing more will be kept."""
        return not any(self._room[kind] and self._looks[kind] for kind in (True, False))

    def look(self, *, wide: bool) -> bool:
        """Tell whether one more line of this kind is worth a closer look, which is counted."""
        if not self._room[wide] or not self._looks[wide]:
            return False
        self._looks[wide] -= 1
        return True

    def add(self, route: Route) -> None:
        """Keep it if it is a default route, part of a split one, or a network on link."""
        wide = route.wide
        if self._room[wide] and (wide or (route.gateway is None and _is_link(route.network))):
            self._room[wide] -= 1
            self.routes.append(route)


def _is_link(network: Network) -> bool:
    # A single host is a neighbour, or this host itself; nobody has a router in the other two.
    return network.prefixlen < network.max_prefixlen and not network.is_multicast and not network.is_loopback
