"""What `netstat -rn` and `route -n` print on Linux, and `netstat -rn` on macOS, FreeBSD, OpenBSD and NetBSD.

Columns are told by the shape of what is in them, because Linux translates the words above; those of the BSDs say where
the metric is. FreeBSD cuts off long addresses unless it is given -W.
"""

from contextlib import suppress
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address

from portmapper.gateway.tables import fields
from portmapper.gateway.tables.fields import Version
from portmapper.gateway.tables.route import HALVES, WIDE, Address, Network, Route, Table

_SECTIONS: dict[str, Version] = {"Internet:": 4, "Internet6:": 6}
_CLASSES = ((128, 8), (192, 16), (224, 24))  # first octets below, and the length of netmask that goes without saying
_OCTETS = 4
_LINUX_NUMBERS = 3  # metric, references, use

# Flags of all systems; a letter means the same wherever it is used at all. "!" is Linux's for reject.
_UP, _GATEWAY, _HOST, _SCOPED = "U", "G", "H", "I"
_NOWHERE = frozenset("RB!")


@dataclass(slots=True)
class _Heading:
    """What the lines above the rows say about them."""

    section: Version | None = None  # only the BSDs have sections
    other: bool = False  # a section of another family than the two
    priority: int | None = None
    metric: bool = True


def parse_netstat(text: str) -> list[Route]:
    """Return the routes of a table with flags, in its order. Lines that make no sense are skipped."""
    table = Table()
    heading = _Heading()
    for line in text.splitlines():
        if table.full:
            break
        words = line.split()
        if len(words) == 1 and words[0].endswith(":"):
            heading = _Heading(_SECTIONS.get(words[0]), words[0] not in _SECTIONS)
        elif _is_heading(words):
            heading = _headed(heading, words)
        elif not heading.other:
            with suppress(ValueError, IndexError):
                _add(table, heading, words)
    return table.routes


def _is_heading(words: list[str]) -> bool:
    return any(word in {"Flags", "Iface", "Netif", "Interface", "Genmask"} for word in words[2:])


def _headed(heading: _Heading, words: list[str]) -> _Heading:
    # OpenBSD's Prio orders its routes as metrics do. On Linux `netstat -rn` has the MSS where `route -n` has a metric.
    priority = words.index("Prio") if "Prio" in words else None
    return replace(heading, priority=priority, metric=words[4:5] != ["MSS"])


def _add(table: Table, heading: _Heading, words: list[str]) -> None:
    if heading.section is None and words[2][:1].isdigit():
        _add_linux(table, heading, words)
    elif heading.section is None and "/" in words[0] and _numbers(words[3:6]):
        _add_linux6(table, words)
    else:
        _add_bsd(table, heading, words)


def _numbers(words: list[str]) -> bool:
    return len(words) == _LINUX_NUMBERS and all(word.lstrip("-").isdecimal() for word in words)


# --- Linux: destination, gateway, netmask, flags, metric, references, use, interface; -ee adds three


def _add_linux(table: Table, heading: _Heading, words: list[str]) -> None:
    destination, gateway, mask, flags, metric, _, _, interface = words[:8]
    wide = destination in HALVES and mask in HALVES
    if interface == "*" or not _useful(flags, wide=wide) or not table.look(wide=wide):
        return  # "*" is the interface of blackhole and throw routes, which are up
    name = fields.interface_name(interface)
    length = fields.prefix_length(int(IPv4Address(mask)))
    network = IPv4Network((int(IPv4Address(destination)), length))
    hop = fields.next_hop(IPv4Address(gateway), name) if _GATEWAY in flags else None
    table.add(Route(network, hop, name, fields.metric(metric) if heading.metric else 0))


# --- The same for IPv6: destination, next hop, flags, metric, references, use, interface


def _add_linux6(table: Table, words: list[str]) -> None:
    destination, gateway, flags, metric, _, _, interface = words
    wide = destination in WIDE
    if not _useful(flags, wide=wide) or not table.look(wide=wide):
        return
    name = fields.interface_name(interface)
    hop = fields.next_hop(ip_address(gateway), name) if _GATEWAY in flags else None
    table.add(Route(fields.network_of(destination, 6), hop, name, fields.metric(metric)))


# --- The BSDs: destination, gateway, flags, then numbers or "-" for none, then the interface


def _add_bsd(table: Table, heading: _Heading, words: list[str]) -> None:
    destination, gateway, flags = words[:3]
    wide = destination in WIDE and (destination != "0.0.0.0" or _HOST not in flags)  # noqa: S104
    if not _useful(flags, wide=wide) or not table.look(wide=wide):
        return
    name = fields.interface_name(next(word for word in [*words[3:], ""] if not _is_number(word)).removesuffix("!"))
    via = _GATEWAY in flags
    hop = _bsd_hop(gateway, name) if via else None
    table.add(
        Route(
            network=_bsd_network(destination, heading.section or _version_of(hop)),
            gateway=hop,
            interface=name,
            metric=fields.metric(words[heading.priority]) if heading.priority is not None else 0,
            scoped=_SCOPED in flags,
            source=None if via else _own(gateway, name),
        )
    )


def _useful(flags: str, *, wide: bool) -> bool:
    if _UP not in flags or not _NOWHERE.isdisjoint(flags):
        return False
    return wide or (_GATEWAY not in flags and _HOST not in flags)


def _is_number(word: str) -> bool:
    return word == "-" or word.isdecimal()


def _bsd_hop(text: str, interface: str) -> Address | None:
    if text.startswith("link#") or text == interface:
        return None  # macOS marks routes into its tunnels as if they had a gateway
    address = ip_address(text)
    if isinstance(address, IPv6Address) and address.is_link_local and address.scope_id is None:
        raise ValueError("the BSDs print the zone of a link-local address: this one was cut off")
    return fields.next_hop(address, interface)


def _own(text: str, interface: str) -> Address | None:
    # Without a gateway, OpenBSD shows the address of this host, others link#1, a MAC address or the interface.
    try:
        return fields.zoned(ip_address(text), interface)
    except ValueError:
        return None


def _version_of(hop: Address | None) -> Version:
    return 4 if hop is None or isinstance(hop, IPv4Address) else 6


def _bsd_network(text: str, version: Version) -> Network:
    # "192.168.1", "169.254" and "10" stand for networks of their old class; "10.8/24" leaves out zeros as well.
    if text == "default" or ":" in text:
        return fields.network_of(text, version)
    address, slash, length = text.partition("/")
    octets = [int(octet) for octet in address.split(".")]
    number = int(IPv4Address(bytes(octets + [0] * (_OCTETS - len(octets)))))
    if slash:
        return IPv4Network((number, int(length)))
    if not number:
        return fields.everything(4)
    implied = next((length for below, length in _CLASSES if octets[0] < below), 32)
    return IPv4Network((number, max(implied, 8 * len(octets))))
