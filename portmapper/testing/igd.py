"""The server side of UPnP IGD, as a simulated gateway speaks it: searches and requests in, answers out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from portmapper.errors import ProtocolError
from portmapper.model import IPAddress
from portmapper.testing import igd_search
from portmapper.testing.igd_answers import encode_fault, encode_result
from portmapper.testing.igd_calls import INVALID_ACTION, Call, Handler, Refused
from portmapper.testing.igd_description import DESCRIPTION_PATH, Service, Site, description_of, services_of
from portmapper.testing.igd_mappings import VERSION_2, Mappings
from portmapper.testing.igd_pinholes import Pinholes
from portmapper.testing.igd_status import Status
from portmapper.testing.igd_switches import IgdSwitches
from portmapper.testing.table import MappingTable
from portmapper.upnp import soap, ssdp


@dataclass(slots=True, kw_only=True)
class Igd:
    """Answers searches and HTTP requests from a table. `begin` is when the device was started."""

    table: MappingTable
    external_address: IPv4Address
    switches: IgdSwitches
    site: Site
    begin: float
    boot_id: int | None = field(init=False)
    pinholes: Pinholes = field(init=False)
    _mappings: Mappings = field(init=False)

    def __post_init__(self) -> None:
        self.boot_id = self.switches.boot_id
        self.pinholes = Pinholes(self.switches)
        self._mappings = Mappings(self.table, self.switches, self.pinholes)

    @property
    def location(self) -> str:
        """The URL of the description, where it really is."""
        return self.site.location

    @property
    def services(self) -> list[Service]:
        """The services in the order of the description."""
        return services_of(self.switches, self.site)

    def reboot(self, now: float) -> None:
        """Start afresh without pinholes, with the next boot id."""
        self.begin = now
        self.pinholes.entries.clear()
        if self.boot_id is not None:
            self.boot_id += 1

    def answer_search(self, data: bytes) -> list[bytes]:
        """Return the datagrams that answer an M-SEARCH."""
        return igd_search.answers_to(
            data, switches=self.switches, site=self.site, services=self.services, boot_id=self.boot_id
        )

    def notification(self, kind: ssdp.Kind, nt: str, *, boot_id: int | None, next_boot_id: int | None) -> bytes:
        """Return what the device says unasked of its part `nt`; `boot_id` None is its own."""
        return igd_search.notification_of(
            kind,
            nt or f"{igd_search.DEVICE}:InternetGatewayDevice:{self.switches.version}",
            switches=self.switches,
            site=self.site,
            boot_id=self.boot_id if boot_id is None else boot_id,
            next_boot_id=next_boot_id,
        )

    def answer_http(self, method: str, path: str, body: bytes, sender: IPAddress, now: float) -> tuple[int, bytes]:
        """Return status and body for a request."""
        if (method, path) == ("GET", DESCRIPTION_PATH):
            return 200, description_of(self.switches, self.site)
        service = next((one for one in self.services if one.path == path), None)
        if method != "POST" or service is None:
            return 404, b"not found"
        try:
            action = soap.decode_action(body)
            results = self._handler(service, action)(Call(action.arguments, sender, now))
            return 200, encode_result(action, results, self.switches)
        except ProtocolError:
            return 400, b"bad request"
        except Refused as refused:
            return self.switches.fault_status, encode_fault(refused.code, self.switches)

    def _handler(self, service: Service, action: soap.Action) -> Handler:
        if action.name in self.switches.refuses:
            raise Refused(self.switches.refuses[action.name])
        old = action.service_type.endswith(":1") and action.name in VERSION_2
        handlers = self._handlers(service)
        if old or action.name not in handlers or not service.understands(action.service_type):
            raise Refused(INVALID_ACTION)
        return handlers[action.name]

    def _handlers(self, service: Service) -> Mapping[str, Handler]:
        if service.connection is None:
            return self.pinholes.handlers
        status = Status(service.connection, self.switches, self.external_address, self.begin)
        return {**self._mappings.handlers, **status.handlers}
