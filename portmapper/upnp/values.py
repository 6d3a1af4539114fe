"""Read the simple types of UPnP (UDA 1.1 clause 2.5, WANIPConnection:2 section 1.3) as devices write them. No I/O."""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address

from portmapper import limits
from portmapper.errors import ProtocolError
from portmapper.model import IPAddress
from portmapper.text import safe_text

_NUMBER = re.compile(r"\+?0{0,20}([0-9]{1,10})")
_TRUTH = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
_LOOPBACK = 127


def parse_number(text: str, low: int, high: int) -> int:
    """Return the number in `text`, with + or zeros before it if need be. Raises ProtocolError outside low..high."""
    match = _NUMBER.fullmatch(text)
    if match is None or not low <= int(match.group(1)) <= high:
        raise ProtocolError(f"{safe_text(text)!r} is no number from {low} to {high}")
    return int(match.group(1))


def parse_port(text: str) -> int:
    """Return the port in `text`. Raises ProtocolError for 0 too."""
    return parse_number(text, 1, limits.LAST_PORT)


def parse_truth(text: str) -> bool:
    """Return the boolean in `text`. Raises ProtocolError."""
    if text.lower() not in _TRUTH:
        raise ProtocolError(f"{safe_text(text)!r} is neither true nor false")
    return _TRUTH[text.lower()]


def parse_client(text: str) -> IPAddress | None:
    """Return the address in `text`, None for a host name: not ours, we write addresses."""
    try:
        return ip_address(text)
    except ValueError:
        return None


def parse_external(text: str, device: IPAddress) -> IPv4Address | None:
    """Return the external address that a device tells. Raises ProtocolError.

    None for "" and 0.0.0.0, and for a loopback address unless the device itself has one: it has no address now.
    """
    address = parse_client(text or "0.0.0.0")  # noqa: S104 - an answer, not a socket
    if address is None or isinstance(address, IPv6Address):
        raise ProtocolError(f"{safe_text(text)!r} is no external address")
    nowhere = not int(address) or (address.packed[0] == _LOOPBACK != device.packed[0])
    return None if nowhere else address
