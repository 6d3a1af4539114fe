"""The object of the C library, typed, with errors that mean something. Every call blocks."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from ipaddress import IPv4Address
from typing import Any, Protocol, TypeVar
from xml.sax.saxutils import escape

from portmapper import GatewayTimeout, GatewayUnreachable, ProtocolError
from portmapper.text import safe_text
from portmapper_miniupnpc.faults import translated

T = TypeVar("T")

# At import, so that a module that cannot be loaded is told as the reason. It has no annotations to import.
_miniupnpc: Any = import_module("miniupnpc")

_NOTHING_FOUND = "Success"  # what discover() says when nothing answered

# As strict as possible: the library takes for the host what comes before the first colon, so that in
# http://evil:80@192.168.1.1/ it is another than a correct parser finds.
_URL = re.compile(r"http://([0-9.]+)(?::[0-9]{1,5})?(/.*)", re.DOTALL)


class Library(Protocol):
    """What is used of miniupnpc.UPnP. Everything may raise a plain Exception."""

    def discover(self) -> int:
        """Search; return how many answers came."""
        ...

    def selectigd(self) -> str | None:
        """Read what was found; return the control URL of the best one."""
        ...

    def externalipaddress(self) -> str:
        """Return the external address."""
        ...

    def addportmapping(  # noqa: PLR0917 - it takes no names
        self, port: int, protocol: str, client: str, internal: int, text: str, remote: str, lease: int, /
    ) -> bool:
        """Add a mapping."""
        ...

    def getspecificportmapping(self, port: int, protocol: str, /) -> tuple[str, int, str, bool, int] | None:
        """Return client, internal port, description, whether enabled, and the seconds left; None if none."""
        ...

    def deleteportmapping(self, port: int, protocol: str, /) -> bool:
        """Delete a mapping."""
        ...


@dataclass(frozen=True, slots=True)
class Entry:
    """What the device says of a mapping. `lifetime` is the seconds left, 0 if it has no end or the device is silent."""

    client: str
    port: int
    lifetime: int


class Igd:
    """One device, found by `find` and asked by the rest. Raises PortMapperError and nothing else."""

    def __init__(self, source: IPv4Address, *, delay: int) -> None:
        # minissdpd, a cache of announcements on this host, is left out: what counts is who answers now.
        self._library: Library = _miniupnpc.UPnP(
            multicastif=str(source), minissdpdsocket="", discoverdelay=delay, localport=0
        )

    def find(self, gateway: IPv4Address) -> None:
        """Search for the device, which has to be the one at `gateway`."""
        try:
            self._library.discover()
        except Exception as error:  # whatever it is: the C library has no other class
            if str(error) == _NOTHING_FOUND:
                raise GatewayTimeout("no UPnP device answered the search") from error
            raise GatewayUnreachable(f"the search failed: {safe_text(str(error))}") from error
        check_is_at(gateway, _told(self._library.selectigd))

    def external_address(self) -> str:
        """Return what the device calls its external address."""
        return _told(self._library.externalipaddress)

    def add(self, port: int, protocol: str, *, client: str, internal: int, description: str, lifetime: int) -> None:
        """Ask for a mapping; `lifetime` 0 asks for one without end.

        To return proves little: the library takes any answer without an error code for a yes, even a page with 404.
        """
        # It writes texts into the XML as they are, and reads them back into 80 bytes: one cut inside a character
        # could not be read at all, so ASCII only.
        text = escape(description.encode("ascii", "replace").decode())
        _told(lambda: self._library.addportmapping(port, protocol, client, internal, text, "", lifetime))

    def entry(self, port: int, protocol: str) -> Entry | None:
        """Return the mapping at an external port; None if there is none, and also if the device did not say."""
        found = _told(lambda: self._library.getspecificportmapping(port, protocol))
        return None if found is None else Entry(found[0], found[1], max(found[4], 0))

    def delete(self, port: int, protocol: str) -> None:
        """Ask to delete the mapping at an external port; see `add` for what to return proves."""
        _told(lambda: self._library.deleteportmapping(port, protocol))


def check_is_at(gateway: IPv4Address, url: str | None) -> None:
    """Raise unless the control URL is that of a device at `gateway` that maps ports."""
    if url is None:
        raise ProtocolError("the C library could not read what answered the search")
    parts = _URL.fullmatch(url)
    if parts is None or parts[1] != str(gateway):
        raise GatewayUnreachable(f"the device that was found is not the gateway: its URL is {safe_text(url)}")
    if parts[2] == "/":  # without WANIPConnection and WANPPPConnection the library has no path to put there
        raise ProtocolError("the gateway has UPnP, but no service in it that maps ports")


def _told(call: Callable[[], T]) -> T:
    try:
        return call()
    except Exception as error:  # whatever it is: the C library has no other class
        raise translated(error) from error
