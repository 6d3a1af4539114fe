"""Which addresses a device may send us to: its own, and no other. No I/O.

A LOCATION, URLBase or control URL on another host would make us a tool against that host, so none is followed. One that
names another address of the same link is read as the device's own: routers with several addresses name the wrong one.
"""

import re
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import SplitResult, urljoin, urlsplit

from portmapper import limits
from portmapper.errors import ProtocolError
from portmapper.model import IPAddress
from portmapper.text import safe_text

_LOCAL_6 = (IPv6Network("fe80::/10"), IPv6Network("fc00::/7"))
_PRINTABLE_ASCII = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a device is: the address that answered, and the network of the link that it is on, if that is known."""

    address: IPAddress
    network: IPv4Network | None = None

    def is_here(self, other: IPAddress) -> bool:
        """Whether `other` is the device's address; a zone is no part of it."""
        return other.packed == self.address.packed

    def is_near(self, other: IPAddress) -> bool:
        """Whether `other` is on the same link, as far as that shows."""
        if isinstance(other, IPv6Address):
            return isinstance(self.address, IPv6Address) and any(other in network for network in _LOCAL_6)
        return self.network is not None and other in self.network


def checked_url(url: str, place: Place) -> str:
    """Return the plain HTTP URL of the device that `url` means. Raises ProtocolError."""
    if len(url) > limits.URL_LENGTH or not _PRINTABLE_ASCII.fullmatch(url) or "\\" in url:
        raise ProtocolError(f"not a usable address: {safe_text(url)}")
    try:
        parts = urlsplit(url)
        usable = parts.scheme == "http" and parts.username is None and parts.port != 0
        host = ip_address(parts.hostname or "")
    except ValueError as error:
        raise ProtocolError(f"not a usable address: {safe_text(url)}") from error
    if not usable or not (place.is_here(host) or place.is_near(host)):
        raise ProtocolError(f"the device at {place.address} points to {safe_text(url)}, which is refused")
    same = place.is_here(host) and "%" not in parts.netloc
    return _without_fragment(parts if same else parts._replace(netloc=_netloc(place.address, parts.port)))


def control_url(location: str, url_base: str | None, relative: str, place: Place) -> str:
    """Return the absolute form of a URL in a description (UDA 1.1 clause 2.3). Raises ProtocolError.

    A URLBase on another host is ignored, as clients have always had to: routers ship with stale ones.
    """
    try:
        url = urljoin(_base(location, url_base, place), relative.strip())
    except ValueError as error:  # brackets that are no IPv6 address
        raise ProtocolError(f"not a usable address: {safe_text(relative)}") from error
    return checked_url(url, place)


def _base(location: str, url_base: str | None, place: Place) -> str:
    if not url_base:
        return location
    try:
        return checked_url(url_base.strip(), place)
    except ProtocolError:
        return location


def _netloc(address: IPAddress, port: int | None) -> str:
    plain = str(address).partition("%")[0]  # RFC 9110 section 4.2.1: a zone means nothing to the other side
    host = plain if address.version == 4 else f"[{plain}]"  # noqa: PLR2004
    return host if port is None else f"{host}:{port}"


def _without_fragment(parts: SplitResult) -> str:
    return parts._replace(fragment="").geturl()
