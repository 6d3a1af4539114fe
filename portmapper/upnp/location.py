"""Which addresses a device may send us to: its own, and no other. No I/O.

A LOCATION, URLBase or control URL on another host would make us a tool against that host, so none is followed.
"""

import re
from ipaddress import ip_address
from urllib.parse import SplitResult, urljoin, urlsplit

from portmapper import limits
from portmapper.errors import ProtocolError
from portmapper.model import IPAddress
from portmapper.text import safe_text

_PRINTABLE_ASCII = re.compile(r"[\x21-\x7e]+")


def checked_url(url: str, host: IPAddress) -> str:
    """Return `url` if it is plain HTTP to the literal address `host`. Raises ProtocolError."""
    if len(url) > limits.URL_LENGTH or not _PRINTABLE_ASCII.fullmatch(url) or "\\" in url:
        raise ProtocolError(f"not a usable address: {safe_text(url)}")
    try:
        parts = urlsplit(url)
        usable = parts.scheme == "http" and parts.username is None and parts.port != 0
        same_host = ip_address(parts.hostname or "") == host
    except ValueError as error:
        raise ProtocolError(f"not a usable address: {safe_text(url)}") from error
    if not usable or not same_host:
        raise ProtocolError(f"the device at {host} points to {safe_text(url)}, which is refused")
    return _without_fragment(parts)


def control_url(location: str, url_base: str | None, relative: str, host: IPAddress) -> str:
    """Return the absolute form of a URL in a description (UDA 1.1 clause 2.3). Raises ProtocolError.

    A URLBase on another host is ignored, as clients have always had to: routers ship with stale ones.
    """
    try:
        url = urljoin(_base(location, url_base, host), relative.strip())
    except ValueError as error:  # brackets that are no IPv6 address
        raise ProtocolError(f"not a usable address: {safe_text(relative)}") from error
    return checked_url(url, host)


def _base(location: str, url_base: str | None, host: IPAddress) -> str:
    if not url_base:
        return location
    try:
        return checked_url(url_base.strip(), host)
    except ProtocolError:
        return location


def _without_fragment(parts: SplitResult) -> str:
    return parts._replace(fragment="").geturl()
