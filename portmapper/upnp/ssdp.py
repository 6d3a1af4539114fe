"""Search for a device, its answers, and what it says unasked (UPnP Device Architecture 2.0, clause 1). No I/O."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from portmapper import limits
from portmapper.errors import ProtocolError

_DEVICE, _SERVICE = "urn:schemas-upnp-org:device", "urn:schemas-upnp-org:service"
# Best first; a device answers for each of its types, a version 2 device also for version 1.
TARGETS = (
    f"{_DEVICE}:InternetGatewayDevice:2",
    f"{_DEVICE}:InternetGatewayDevice:1",
    f"{_SERVICE}:WANIPConnection:2",
    f"{_SERVICE}:WANIPConnection:1",
    f"{_SERVICE}:WANPPPConnection:1",
)
# Version 1 does not exist over IPv6: asked for it, devices answer twice.
TARGETS_6 = (f"{_DEVICE}:InternetGatewayDevice:2", f"{_SERVICE}:WANIPv6FirewallControl:1")
_ALL = "ssdp:all"
_ROOT_DEVICE = "upnp:rootdevice"
LAST_RESORT = (_ROOT_DEVICE, _ALL)
"""For devices that know themselves by no other name."""
_MAX_HEADERS = 64
_MAX_AGE = "max-age=1800"  # clauses 1.2.2 and 1.3.3: at least 1800 s
_BOOT_ID, _CONFIG_ID, _NEXT_BOOT_ID = "BOOTID.UPNP.ORG", "CONFIGID.UPNP.ORG", "NEXTBOOTID.UPNP.ORG"
_NUMBER = re.compile(r"0*[0-9]{1,10}")  # clause 1.2.2: leading zeros are ignored


@dataclass(frozen=True, slots=True)
class Answer:
    """Where a device keeps its description, and what it says it is. `boot_id` is another after each restart."""

    location: str
    target: str
    usn: str
    server: str
    boot_id: int | None = None
    config_id: int | None = None


class Kind(StrEnum):
    """What a device says unasked: it is there, it goes, or its `boot_id` changes without a restart."""

    ALIVE = "ssdp:alive"
    BYEBYE = "ssdp:byebye"
    UPDATE = "ssdp:update"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """What a device says of one of its parts, `nt`. A byebye has no `location`; an update has a `next_boot_id`."""

    kind: Kind
    nt: str
    usn: str
    location: str = ""
    server: str = ""
    boot_id: int | None = None
    config_id: int | None = None
    next_boot_id: int | None = None


def encode_search(target: str, *, host: str, max_wait: int | None) -> bytes:
    """Return an M-SEARCH. A multicast one has `max_wait` (MX, seconds), a unicast one has none (clause 1.3.2)."""
    headers = {"HOST": host, "MAN": '"ssdp:discover"', "MX": max_wait, "ST": target}
    return _encode("M-SEARCH * HTTP/1.1", headers)


def decode_search(data: bytes) -> str:
    """Return the target of an M-SEARCH. Raises ProtocolError, and nothing else, whatever `data` holds."""
    start, headers = _decode_head(data)
    if not start.startswith("M-SEARCH ") or headers.get("man") != '"ssdp:discover"' or not headers.get("st"):
        raise ProtocolError("not an M-SEARCH")
    return headers["st"]


def encode_answer(answer: Answer) -> bytes:
    """Return the answer to an M-SEARCH (clause 1.3.3)."""
    headers = {
        "CACHE-CONTROL": _MAX_AGE,
        "EXT": "",
        "LOCATION": answer.location,
        "SERVER": answer.server,
        "ST": answer.target,
        "USN": answer.usn,
        _BOOT_ID: answer.boot_id,
        _CONFIG_ID: answer.config_id,
    }
    return _encode("HTTP/1.1 200 OK", headers)


def decode_answer(data: bytes) -> Answer:
    """Return the answer in `data`. Raises ProtocolError, and nothing else, whatever `data` holds."""
    start, headers = _decode_head(data)
    words = start.split()
    if len(words) < 2 or not words[0].startswith("HTTP/") or words[1] != "200":  # noqa: PLR2004
        raise ProtocolError("not an answer to a search")
    if not headers.get("location") or not headers.get("st"):
        raise ProtocolError("an answer without LOCATION or ST")
    return Answer(
        location=headers["location"],
        target=headers["st"],
        usn=headers.get("usn", ""),
        server=headers.get("server", ""),
        boot_id=_number(headers, _BOOT_ID),
        config_id=_number(headers, _CONFIG_ID),
    )


def encode_notification(notification: Notification, *, host: str) -> bytes:
    """Return the NOTIFY to the group `host` (clauses 1.2.2 to 1.2.4)."""
    headers = {
        "HOST": host,
        "CACHE-CONTROL": _MAX_AGE if notification.kind is Kind.ALIVE else None,
        "LOCATION": notification.location or None,
        "NT": notification.nt,
        "NTS": notification.kind,
        "SERVER": notification.server or None,
        "USN": notification.usn,
        _BOOT_ID: notification.boot_id,
        _CONFIG_ID: notification.config_id,
        _NEXT_BOOT_ID: notification.next_boot_id,
    }
    return _encode("NOTIFY * HTTP/1.1", headers)


def decode_notification(data: bytes) -> Notification:
    """Return the notification in `data`. Raises ProtocolError, and nothing else, whatever `data` holds.

    An id that is no number of 31 bits counts as none: a device that numbers badly still says when it goes.
    """
    start, headers = _decode_head(data)
    kind = _kind(start, headers)
    if not headers.get("nt") or not headers.get("usn"):
        raise ProtocolError("a NOTIFY without NT or USN")
    next_boot_id = _number(headers, _NEXT_BOOT_ID)
    if kind is Kind.UPDATE and next_boot_id is None:
        raise ProtocolError("an ssdp:update without NEXTBOOTID")
    return Notification(
        kind=kind,
        nt=headers["nt"],
        usn=headers["usn"],
        location=headers.get("location", ""),
        server=headers.get("server", ""),
        boot_id=_number(headers, _BOOT_ID),
        config_id=_number(headers, _CONFIG_ID),
        next_boot_id=next_boot_id,
    )


def is_gateway(target: str) -> bool:
    """Whether a search target belongs to an Internet gateway, of whatever version."""
    kinds = {known.rpartition(":")[0] for known in (*TARGETS, *TARGETS_6)}
    return target == _ROOT_DEVICE or target.rpartition(":")[0] in kinds


def rank(target: str) -> int:
    """Return how good an answer for `target` is, the least is the best: version 2 before 1, devices before services."""
    return TARGETS.index(target) if target in TARGETS else len(TARGETS)


def _encode(start: str, headers: Mapping[str, str | int | None]) -> bytes:
    lines = [f"{name}: {value}".rstrip() for name, value in headers.items() if value is not None]
    return "\r\n".join([start, *lines, "", ""]).encode("ascii")


def _kind(start: str, headers: Mapping[str, str]) -> Kind:
    if start.split()[:2] != ["NOTIFY", "*"]:
        raise ProtocolError("not a NOTIFY")
    try:
        return Kind(headers.get("nts", ""))
    except ValueError as error:
        raise ProtocolError("a NOTIFY of an unknown kind") from error


def _number(headers: Mapping[str, str], name: str) -> int | None:
    digits = headers.get(name.lower(), "")
    if not _NUMBER.fullmatch(digits) or int(digits) > limits.SSDP_ID:
        return None
    return int(digits)


def _decode_head(data: bytes) -> tuple[str, dict[str, str]]:
    if len(data) > limits.SSDP_DATAGRAM:
        raise ProtocolError("longer than any SSDP message")
    try:
        lines = data.decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ProtocolError("not text") from error
    if not lines or len(lines) > _MAX_HEADERS:
        raise ProtocolError("not an SSDP message")
    return lines[0], _decode_headers(lines[1:])


def _decode_headers(lines: list[str]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines:
        if not line:
            break  # a body may be ignored (clause 1.1)
        name, colon, value = line.partition(":")
        if colon:
            headers.setdefault(name.strip().lower(), value.strip())
    return headers
