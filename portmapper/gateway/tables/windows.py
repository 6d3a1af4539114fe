"""What `route print` and `netstat -rn` print on Windows, in whatever language.

Every word is translated, so rows are known by their shape: what is no address where a gateway belongs means on link.
"""

from collections.abc import Iterator
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network, ip_address

from portmapper.gateway.tables import fields
from portmapper.gateway.tables.route import HALVES, WIDE, Address, Route, Table

_RULE = "=" * 20  # the parts of the output are set off by 75 of them
_COLUMNS = 5  # destination, netmask, gateway (one word or more), interface, metric
_COLUMNS_6 = 3  # interface, metric, destination, and the gateway, which may be on the next line
_HOST_MASK = "255.255.255.255"


def parse_windows_routes(text: str) -> list[Route]:
    """Return the active routes, in their order. Lines that make no sense are skipped.

    The source of an IPv4 route is the address of its interface, whose name is not shown; IPv6 routes have its number.
    """
    table = Table()
    active = False
    for part in _parts(text):
        for words in _rows(part):
            if table.full:
                break
            with suppress(ValueError):
                if not _is_row6(words):
                    _add(table, words)
                elif active:
                    _add6(table, words)
        # Persistent IPv6 routes look like active ones; but active are those right below the title of a table.
        active = not active and _ends_in_title(part)
    return table.routes


def _parts(text: str) -> Iterator[list[str]]:
    part: list[str] = []
    for line in text.splitlines():
        if line.startswith(_RULE):
            yield part
            part = []
        elif line and not line.isspace():
            part.append(line)
    yield part


def _ends_in_title(lines: list[str]) -> bool:
    # Rows and "None" are indented. Where somebody has removed that, rows still begin with a digit.
    if not lines or lines[-1][0].isspace() or lines[-1][0].isdigit():
        return False
    return len(lines) == 1 or not _is_wrapped(lines[-2].split())


def _rows(lines: list[str]) -> Iterator[list[str]]:
    held: list[str] = []
    for line in lines:
        words = line.split()
        if held and not _is_row6(words):
            words = held + words
        held = words if _is_wrapped(words) else []
        if not held:
            yield words


def _is_row6(words: list[str]) -> bool:
    return len(words) >= _COLUMNS_6 and words[0].isdecimal() and words[1].isdecimal() and ":" in words[2]


def _is_wrapped(words: list[str]) -> bool:
    return len(words) == _COLUMNS_6 and _is_row6(words)


def _add(table: Table, words: list[str]) -> None:
    # Persistent routes have no interface: an address is no metric, and a word no address.
    if len(words) < _COLUMNS:
        return
    destination, mask, *gateway, interface, metric = words
    wide = destination in HALVES and mask in HALVES
    link = gateway == [interface] or not gateway[0][0].isdecimal()  # the former is what Windows XP says
    if mask == _HOST_MASK or not (wide or link) or not table.look(wide=wide):
        return
    source = IPv4Address(interface)
    hop = None if link else _gateway(gateway, "")
    length = fields.prefix_length(int(IPv4Address(mask)))
    network = IPv4Network((int(IPv4Address(destination)), length))
    table.add(Route(network, hop, "", fields.metric(metric), source=source))


def _add6(table: Table, words: list[str]) -> None:
    number, metric, destination, *gateway = words
    wide = destination in WIDE
    if not wide and ":" in gateway[0]:
        return
    if not int(number) or not table.look(wide=wide):
        return  # persistent routes of no interface at all have the number 0
    hop = _gateway(gateway, number)
    table.add(Route(fields.network_of(destination, 6), hop, fields.interface_name(number), fields.metric(metric)))


def _gateway(words: list[str], interface: str) -> Address | None:
    try:
        (word,) = words
        address = ip_address(word)
    except ValueError:
        return None  # On-link, Auf Verbindung
    return fields.next_hop(address, interface)
