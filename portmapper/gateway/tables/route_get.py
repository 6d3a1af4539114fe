"""What `route -n get default` prints on macOS and the BSDs, and `ip route get` with a public address on Linux."""

from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from portmapper.gateway.tables import fields
from portmapper.gateway.tables.route import Address, Network, Route

_LINES = 64  # the answer has about fifteen
_DEAD = frozenset(("REJECT", "BLACKHOLE"))
_OWN = ("if address", "local addr")  # of OpenBSD, of NetBSD; macOS and FreeBSD say nothing


def parse_route_get(text: str) -> list[Route]:
    """Return the route that `route -n get default` found: one or none."""
    found: dict[str, str] = {}
    for line in text.splitlines()[:_LINES]:
        name, colon, value = line.partition(": ")
        if colon:
            found.setdefault(name.strip(), value.strip())
    with suppress(ValueError):
        return [route for route in _found(found) if route.wide]
    return []


def parse_ip_route_get(text: str) -> list[Route]:
    """Return the route that `ip route get` found, as a default route: one or none."""
    # Where rules choose among tables, or nobody may read them (Android), only the kernel knows the way out.
    words = next((line for line in text.splitlines()[:_LINES] if " dev " in line), "").split()
    with suppress(ValueError, IndexError):
        destination = ip_address(words[0])  # for one that is unreachable or this host's own, a word comes first
        value = {words[at]: words[at + 1] for at in range(1, len(words) - 1)}
        name = fields.interface_name(value.get("dev", ""))
        via = words[words.index("via") + 2] if value.get("via") in {"inet", "inet6"} else value.get("via")
        source = fields.zoned(ip_address(value["src"]), name) if "src" in value else None
        hop = fields.next_hop(ip_address(via), name) if via else None
        return [Route(fields.everything(destination.version), hop, name, source=source)]
    return []


def _found(found: dict[str, str]) -> list[Route]:
    flags = frozenset(found.get("flags", "").strip("<>").split(","))
    if "UP" not in flags or not _DEAD.isdisjoint(flags):
        return []
    name = fields.interface_name(found.get("interface", ""))
    own = next((fields.zoned(ip_address(found[key]), name) for key in _OWN if key in found), None)
    hop = _hop(found.get("gateway", ""), name) if "GATEWAY" in flags else None
    priority = found.get("priority", "0").partition(" ")[0]
    network = _network(found, hop or own)
    return [Route(network, hop, name, fields.metric(priority), "IFSCOPE" in flags, own)]


def _hop(text: str, interface: str) -> Address | None:
    # The gateway of a tunnel is its interface.
    if not text or text == interface or text.startswith(("link#", "index:")):
        return None
    return fields.next_hop(ip_address(text), interface)


def _network(found: dict[str, str], known: Address | None) -> Network:
    # The answer to "default" may be one half of a split default route: its mask tells. `route` abbreviates zeros.
    destination, mask = (found.get(key, "default") for key in ("destination", "mask"))
    if ":" in destination + mask or isinstance(known, IPv6Address):
        ones = int(IPv6Address("::" if mask == "default" else mask))
        start = int(IPv6Address("::" if destination == "default" else destination.partition("%")[0]))
        return IPv6Network((start, ones.bit_count()))
    ones = 0 if mask == "default" else int(IPv4Address(mask))
    start = 0 if destination == "default" else int(IPv4Address(destination))
    return IPv4Network((start, fields.prefix_length(ones)))
