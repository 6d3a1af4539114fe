"""Find the services of use in a device description (UDA 1.1 clause 2.3). No I/O."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from xml.etree.ElementTree import Element

from portmapper import limits
from portmapper.errors import ProtocolError
from portmapper.upnp.faults import FIREWALL
from portmapper.upnp.location import Place, control_url
from portmapper.upnp.xml import decode_xml, local_name, text_of

# Best first: IP is more often the living connection than PPP, and that of TR-064 mostly wants a password.
_KINDS = (
    "urn:schemas-upnp-org:service:WANIPConnection",
    "urn:schemas-upnp-org:service:WANPPPConnection",
    "urn:dslforum-org:service:WANIPConnection",
    "urn:dslforum-org:service:WANPPPConnection",
)
_FIREWALL = f"urn:schemas-upnp-org:service:{FIREWALL}"
_VERSIONS = {"1", "2", "3"}


@dataclass(frozen=True, slots=True)
class Service:
    """A service: its type as the device writes it, and where to send requests."""

    service_type: str
    control_url: str

    @property
    def version(self) -> int:
        """The version of the service."""
        return int(self.service_type.rpartition(":")[2])

    @property
    def kind(self) -> str:
        """The type without its version."""
        return self.service_type.rpartition(":")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What a device offers: the services that map ports, best first, and the one that makes pinholes."""

    model: str
    connections: tuple[Service, ...]
    firewall: Service | None = None


def decode_description(body: bytes, location: str, place: Place) -> Description:
    """Return what the device in `body` offers. Raises ProtocolError, and nothing else; also when that is nothing.

    `location` is where `body` came from, `place` the only host that a control URL may lead to.
    """
    root = decode_xml(body)
    found, problem = _sound_services(root, location, place)
    connections = tuple(sorted((one for one in found if one.kind in _KINDS), key=rank))
    firewall = next((one for one in found if one.kind == _FIREWALL), None)
    if not connections and firewall is None:
        raise problem
    models = (text_of(element, "modelName") for element in root.iter() if local_name(element) == "device")
    return Description(model=next((one for one in models if one), ""), connections=connections, firewall=firewall)


def rank(service: Service) -> tuple[int, int]:
    """Return how good a port mapping service is by its type alone; the least is the best."""
    return (_KINDS.index(service.kind), -service.version)


def _sound_services(root: Element, location: str, place: Place) -> tuple[list[Service], ProtocolError]:
    url_base = text_of(root, "URLBase")
    found: list[Service] = []
    problem = ProtocolError("the device offers no port mapping service")
    for element in islice(_services(root), limits.SERVICES):
        try:
            url = control_url(location, url_base, text_of(element, "controlURL") or "", place)
            found.append(Service(text_of(element, "serviceType") or "", url))
        except ProtocolError as error:
            problem = error  # another service of the device may be sound
    return found, problem


def _services(root: Element) -> Iterator[Element]:
    for element in root.iter():
        if local_name(element) == "service":
            kind, _, version = (text_of(element, "serviceType") or "").rpartition(":")
            if kind in (*_KINDS, _FIREWALL) and version in _VERSIONS:
                yield element
