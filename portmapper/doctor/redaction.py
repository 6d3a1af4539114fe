"""Make a report fit for strangers: what tells whose it is becomes a number, the same everywhere. No I/O.

Masked are public addresses, hardware addresses, UUIDs, serial numbers, and names that people give: of hosts, users,
networks, devices and mappings. Private addresses stay: without them nothing can be understood.
"""

import re
from collections.abc import Iterable, Iterator, Set
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import TypeAlias

from portmapper.model import IPAddress
from portmapper.text import safe_text

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"

# What these keys hold is somebody's own text; an internal client may be a host's name.
_KEYS = {
    "friendly_name": "name",
    "serial_number": "serial",
    "udn": "uuid",
    "hardware": "mac",
    "description": "name",
    "internal_client": "host",
    "ssid": "name",
}
_MODELS = {"model", "manufacturer"}
"""A name that is the model's own tells nothing, and has to stay."""

_SHORT = 3  # a text so short would be found everywhere: it is masked at its own place alone
_KEPT = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16",
        "224.0.0.0/3",
    )
)  # fmt: skip
_KEPT_6 = tuple(IPv6Network(text) for text in ("::/127", "fc00::/7", "fe80::/10", "ff00::/8"))

_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|(?<=uuid:)[^\s:\"'<>]+", re.IGNORECASE)
_MAC = re.compile(
    r"(?<![0-9a-z:])(?:[0-9a-f]{2}[:-]){5}[0-9a-f]{2}(?![0-9a-z:])"
    r"|(?<![0-9a-z])[0-9a-f]{12}(?![0-9a-z])|(?<=enx)[0-9a-f]{12}|(?<=wlx)[0-9a-f]{12}",
    re.IGNORECASE,
)
_IPV6 = re.compile(r"(?<![0-9a-z:.])[0-9a-f]{0,4}:[0-9a-f:]*:[0-9a-f:.]*(?:%[0-9a-z._-]+)?", re.IGNORECASE)
_IPV4 = re.compile(r"(?<![0-9.])[0-9]{1,3}(?:([._-])[0-9]{1,3})(?:\1[0-9]{1,3}){2}(?![0-9])(?!\.[0-9])")
_HEX = re.compile(r"(?<![0-9a-z])([0-9a-f]{16})[0-9a-f]{2,}(?![0-9a-z])")
"""Bytes of a datagram: the head stays, addresses come after it."""


class Masker:
    """Gives each thing its number. `names` are further texts to mask, by kind: the host's name, the user's."""

    def __init__(self, names: Iterable[tuple[str, str]] = ()) -> None:
        self._numbers: dict[tuple[str, str], str] = {}
        self._texts: dict[str, str] = {}
        self._models: set[str] = set()
        for kind, text in names:
            self._learn(kind, text, longer_than=1)

    def redacted(self, value: Json) -> Json:
        """Return a copy of an object as JSON has it with everything masked."""
        self._models = set(_texts_at(value, _MODELS))
        for key, kind in _KEYS.items():
            for text in _texts_at(value, {key}):
                if self._is_own(key, text):
                    self._learn(kind, text)
        return self._masked(value)

    def redacted_text(self, text: str) -> str:
        """Return a text with everything masked that is known by now, or known by its form."""
        for known in sorted(self._texts, key=len, reverse=True):
            text = re.sub(rf"(?<![0-9A-Za-z]){re.escape(known)}(?![0-9A-Za-z])", self._texts[known], text, flags=re.I)
        text = _UUID.sub(lambda match: self._mask("uuid", match[0]), text)
        text = _MAC.sub(lambda match: self._mask("mac", re.sub("[:-]", "", match[0])), text)
        text = _IPV6.sub(lambda match: self._address(match[0]), text)
        text = _IPV4.sub(lambda match: self._address(match[0]), text)
        return _HEX.sub(r"\1..", text)

    def _masked(self, value: Json, key: str = "") -> Json:
        if isinstance(value, dict):
            return {name: self._masked(one, name) for name, one in value.items()}
        if isinstance(value, list):
            return [self._masked(one, key) for one in value]
        if not isinstance(value, str):
            return value
        return self._mask(_KEYS[key], value) if self._is_own(key, value) else self.redacted_text(value)

    def _is_own(self, key: str, value: str) -> bool:
        if key not in _KEYS or not value or value in self._models:
            return False
        return key != "internal_client" or _parsed(value) is None

    def _learn(self, kind: str, text: str, *, longer_than: int = _SHORT) -> None:
        for form in (text, safe_text(text)):
            if len(form) > longer_than:
                self._texts[form] = self._mask(kind, text)

    def _mask(self, kind: str, text: str) -> str:
        of_kind = sum(known == kind for known, _ in self._numbers)
        return self._numbers.setdefault((kind, text.lower()), f"<{kind}-{of_kind + 1}>")

    def _address(self, found: str) -> str:
        # What ends a sentence may be taken for a part of it; but :: is one.
        for text in (found, found.rstrip("."), found[:-1], found.rstrip(":.")):
            address = _parsed(text if ":" in text else re.sub("[_-]", ".", text))
            if address is not None:
                return found if _is_private(address) else self._mask("address", str(address)) + found[len(text) :]
        return found


def _texts_at(value: Json, keys: Set[str], key: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for name, one in value.items():
            yield from _texts_at(one, keys, name)
    elif isinstance(value, list):
        for one in value:
            yield from _texts_at(one, keys, key)
    elif isinstance(value, str) and key in keys:
        yield value


def _parsed(text: str) -> IPAddress | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def _is_private(address: IPAddress) -> bool:
    if isinstance(address, IPv4Address):
        return any(address in network for network in _KEPT)
    return any(address in network for network in _KEPT_6) and not _has_hardware(address)


def _has_hardware(address: IPv6Address) -> bool:
    return address.packed[11:13] == b"\xff\xfe"  # RFC 4291 appendix A: a MAC around these
