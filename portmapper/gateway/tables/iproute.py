"""What `ip route` prints: of iproute2, BusyBox and Android, as text and as JSON."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from ipaddress import ip_address
from typing import TypeAlias, cast

from portmapper.gateway.tables import fields
from portmapper.gateway.tables.fields import Version
from portmapper.gateway.tables.route import ROUTES, WIDE, Address, Route, Table

_Entry: TypeAlias = Mapping[str, object]  # a route in the words of `ip -json route`, whatever may be in it

# Words that another belongs to, under the name that it has in JSON.
_SAME = ("dev", "metric", "table", "from", "scope", "pref", "expires", "nhid", "weight", "mtu", "tos", "realm", "error")
_VALUED = {word: word for word in _SAME} | {"via": "gateway", "src": "prefsrc", "proto": "protocol"}
_FAMILIES = frozenset(("inet", "inet6"))
_MAIN = frozenset(("", "main", "254", "default", "253", "unspec"))
_LOCAL = frozenset(("local", "255"))
_DOWN = ("dead", "linkdown")
_WORDS = 8192  # of one route: over a thousand next hops, more than anybody has
_SPACE = re.compile(r"[\s,[]*")  # between the routes


def parse_ip_route(text: str, version: Version = 4) -> list[Route]:
    """Return the routes of `ip route`; `version` is that of default routes that do not show theirs."""
    table = Table()
    for words in _lines(text):
        if table.full:
            break
        if words[0] == "unicast":  # as `ip -d` says of the usual ones
            del words[0]
        if words and _worth(table, words[0], "via" not in words):
            entry = _entry(words)
            version = _version(entry, version)
            _add(table, entry, version)
    return table.routes


def parse_ip_json_route(text: str, version: Version = 4) -> list[Route]:
    """Return the routes of `ip -json route`, up to where it is cut off; `version` as in parse_ip_route."""
    table = Table()
    for entry in _objects(text):
        if table.full:
            break
        if _worth(table, _word(entry, "dst"), "gateway" not in entry):
            version = _version(entry, version)
            _add(table, entry, version)
    return table.routes


def _lines(text: str) -> Iterator[list[str]]:
    # One route is one line, and a further one for each next hop; with -o they are joined by backslashes.
    words: list[str] = []
    for line in text.splitlines():
        more = line.replace("\\", " ").split()
        if more[:1] == ["nexthop"] and words:
            words += more if len(words) < _WORDS else []
            continue
        if words:
            yield words
        words = more
    if words:
        yield words


def _worth(table: Table, destination: str, link: bool) -> bool:
    # Cheap, because it is asked of each line of a full BGP table. Lines for unreachable, blackhole, local and all other
    # kinds begin with that word, so it is none of the two.
    wide = destination in WIDE
    return (wide or (link and "/" in destination)) and table.look(wide=wide)


def _entry(words: list[str]) -> _Entry:
    hops: list[list[str]] = [[]]
    for word in words[1:]:
        if word == "nexthop":
            hops.append([])
        else:
            hops[-1].append(word)
    entry: dict[str, object] = {"dst": words[0], **_options(hops[0])}
    if len(hops) > 1:
        entry["nexthops"] = [_options(hop) for hop in hops[1:]]
    return entry


def _options(words: list[str]) -> dict[str, object]:
    found: dict[str, object] = {}
    flags: list[str] = []
    rest = iter(words)
    for word in rest:
        if word not in _VALUED:
            flags.append(word)
            continue
        value = next(rest, "")
        if word == "via" and value in _FAMILIES:  # an IPv4 route by way of an IPv6 router (RFC 8950)
            found["via"] = {"family": value, "host": next(rest, "")}
        else:
            found.setdefault(_VALUED[word], value)
    return {**found, "flags": flags}


def _objects(text: str) -> Iterator[_Entry]:
    # One after the other, so that an answer that was cut off still counts; the first that makes no sense is the last,
    # or each of many broken ones would be read to the end of the text.
    decoder = json.JSONDecoder()
    at = _space_after(text, 0)
    with suppress(ValueError, RecursionError):
        while text[at : at + 1] == "{":
            found, at = decoder.raw_decode(text, at)
            yield cast("_Entry", found)
            at = _space_after(text, at)


def _space_after(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _version(entry: _Entry, before: Version) -> Version:
    # "default dev tun0" is printed for both families. What comes with one family only says which; so do neighbours.
    destination = _word(entry, "dst")
    if destination == "default":
        mark = _word(entry, "gateway") or next((_word(hop, "gateway") for hop in _hops(entry)), "")
        if "pref" in entry or ":" in mark:
            return 6
        return 4 if "scope" in entry or mark or "via" in entry else before
    return 6 if ":" in destination else 4 if "." in destination else before


def _add(table: Table, entry: _Entry, version: Version) -> None:
    if _word(entry, "type") not in {"", "unicast"} or _word(entry, "table") in _LOCAL:
        return
    for hop in _hops(entry):
        if table.full:
            break
        with suppress(ValueError):
            table.add(_route(entry, hop, version))


def _route(entry: _Entry, hop: _Entry, version: Version) -> Route:
    if any(down in _flags(hop) for down in _DOWN):
        raise ValueError("nobody is reached over a link without carrier")
    interface = fields.interface_name(_word(hop, "dev"))
    source = _word(entry, "prefsrc")
    return Route(
        network=fields.network_of(_word(entry, "dst"), version),
        gateway=_gateway(hop, interface),
        interface=interface,
        metric=fields.metric(_word(entry, "metric") or "0"),
        scoped=_scoped(entry),
        source=fields.zoned(ip_address(source), interface) if source else None,
    )


def _scoped(entry: _Entry) -> bool:
    # Rules decide who uses another table than the main one; Android has one table for each interface, and no other.
    return _word(entry, "table") not in _MAIN or _word(entry, "from") not in {"", "::", "::/0", "all"}


def _gateway(hop: _Entry, interface: str) -> Address | None:
    via = hop.get("via")
    if isinstance(via, dict):
        text = _word(cast("_Entry", via), "host")
    elif not (text := _word(hop, "gateway")):
        return None
    return fields.next_hop(ip_address(text), interface)


def _hops(entry: _Entry) -> list[_Entry]:
    hops = entry.get("nexthops")
    if not isinstance(hops, list):
        return [entry]
    return [cast("_Entry", hop) for hop in cast("list[object]", hops[:ROUTES]) if isinstance(hop, dict)]


def _flags(hop: _Entry) -> list[object]:
    flags = hop.get("flags")
    return cast("list[object]", flags) if isinstance(flags, list) else []


def _word(entry: _Entry, key: str) -> str:
    value = entry.get(key)
    return str(value) if isinstance(value, str | int) else ""
