"""Find the services that map ports in a device description (UDA 1.1 clause 2.3). No I/O."""

from dataclasses import dataclass
from xml.etree.ElementTree import Element

from portmapper.errors import ProtocolError
from portmapper.model import IPAddress
from portmapper.upnp.location import control_url
from portmapper.upnp.xml import decode_xml, local_name, text_of

# Best first: version 2 can choose the port itself, and IP is more often the living connection than PPP.
_KINDS = (
    "urn:schemas-upnp-org:service:WANIPConnection",
    "urn:schemas-upnp-org:service:WANPPPConnection",
)


@dataclass(frozen=True, slots=True)
class Service:
    """A service that maps ports: its type as the device writes it, and where to send requests."""

    service_type: str
    control_url: str

    @property
    def version(self) -> int:
        """The version of the service."""
        return int(self.service_type.rpartition(":")[2])


def decode_services(body: bytes, location: str, host: IPAddress) -> tuple[Service, ...]:
    """Return the port mapping services of the device, best first. Raises ProtocolError, and nothing else.

    `location` is where `body` came from, `host` the only address that a control URL may have.
    """
    root = decode_xml(body)
    url_base = text_of(root, "URLBase")
    found: list[Service] = []
    problem = ProtocolError("the device offers no port mapping service")
    for element in root.iter():
        service_type = _mapping_type(element) if local_name(element) == "service" else None
        if service_type is not None:
            try:
                url = control_url(location, url_base, text_of(element, "controlURL") or "", host)
                found.append(Service(service_type, url))
            except ProtocolError as error:
                problem = error  # another service of the device may be sound
    if not found:
        raise problem
    return tuple(sorted(found, key=_rank))


def _mapping_type(service: Element) -> str | None:
    service_type = text_of(service, "serviceType") or ""
    kind, _, version = service_type.rpartition(":")
    return service_type if kind in _KINDS and version in {"1", "2", "3"} else None


def _rank(service: Service) -> tuple[int, int]:
    kind = service.service_type.rpartition(":")[0]
    return (_KINDS.index(kind), -service.version)
