"""The device description of a simulated gateway, and where its services are."""

import re
from dataclasses import dataclass
from ipaddress import IPv6Address
from urllib.parse import urljoin, urlsplit
from xml.sax.saxutils import escape

from portmapper.model import IPAddress
from portmapper.testing.igd_switches import IgdSwitches, WanConnection

DESCRIPTION_PATH = "/rootDesc.xml"
FIREWALL = "urn:schemas-upnp-org:service:WANIPv6FirewallControl:1"
_FIREWALL_URL = "/ctl/IP6FW"
_SERVICE = "urn:schemas-upnp-org:service"
_ELEMENT = re.compile(r"<(/?)(\w)")
_EXTRA = '<!-- <service> --><?vendor <service>?><X_Vendor kind="a"><X_Service>urn:x</X_Service></X_Vendor>'


@dataclass(frozen=True, slots=True)
class Site:
    """Where the device is to be found by HTTP."""

    address: IPAddress
    port: int

    @property
    def host(self) -> str:
        """The host as a URL has it."""
        return f"[{self.address}]" if isinstance(self.address, IPv6Address) else str(self.address)

    @property
    def location(self) -> str:
        """The URL of the description."""
        return f"http://{self.host}:{self.port}{DESCRIPTION_PATH}"

    def fill(self, template: str, **more: str) -> str:
        """Put the true host and port into a URL."""
        return template.format(host=self.host, port=self.port, **more)


@dataclass(frozen=True, slots=True)
class Service:
    """A service of the device; `connection` is None for the firewall."""

    service_type: str
    control_url: str
    path: str
    connection: WanConnection | None = None

    def understands(self, service_type: str) -> bool:
        """Whether requests may name this type: its own or an earlier version of it."""
        (kind, _, version), (own, _, latest) = service_type.rpartition(":"), self.service_type.rpartition(":")
        return kind == own and version.isdigit() and int(version) <= int(latest)


def services_of(switches: IgdSwitches, site: Site) -> list[Service]:
    """Return the services in the order of the description."""
    has_firewall = isinstance(site.address, IPv6Address) if switches.firewall is None else switches.firewall
    firewall = [_service(FIREWALL, _FIREWALL_URL, switches, site, None)] if has_firewall else []
    return [_connection(number, switches, site) for number in range(len(switches.connections))] + firewall


def _connection(number: int, switches: IgdSwitches, site: Site) -> Service:
    connection = switches.connections[number]
    service_type = connection.service_type or f"{_SERVICE}:WANIPConnection:{switches.version}"
    template = switches.control_url if connection.control_url is None else connection.control_url
    url = site.fill(template, n=str(number + 1) if number else "")
    return _service(service_type, url, switches, site, connection)


def _service(
    service_type: str, url: str, switches: IgdSwitches, site: Site, connection: WanConnection | None
) -> Service:
    base = site.location if switches.url_base is None else site.fill(switches.url_base)
    parts = urlsplit(urljoin(base, url))
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Service(service_type, url, path, connection)


def description_of(switches: IgdSwitches, site: Site) -> bytes:
    """Return the description as it is sent."""
    base = "" if switches.url_base is None else f"<URLBase>{escape(site.fill(switches.url_base))}</URLBase>"
    version = f"<specVersion><major>1</major><minor>{switches.version - 1}</minor></specVersion>"
    content = f"{version}{base}{_devices(switches, site)}"
    tree = _with_prefix(f"<root>{content}</root>", switches)
    encoding = f' encoding="{switches.declared_charset}"' if switches.declared_charset else ""
    text = f'<?xml version="1.0"{encoding}?>\n{tree}'.encode(switches.charset, "replace")
    return switches.before_xml + text + switches.after_xml


def _with_prefix(tree: str, switches: IgdSwitches) -> str:
    prefix = switches.description_prefix
    declared = f' xmlns{":" if prefix else ""}{prefix}="{switches.namespace}"' if switches.namespace else ""
    named = _ELEMENT.sub(rf"<\1{prefix}:\2", tree) if prefix else tree
    return named.replace("root>", f"root{declared}>", 1)


def _devices(switches: IgdSwitches, site: Site) -> str:
    groups: list[list[Service]] = []
    for service in services_of(switches, site):
        beside = service.connection is None or service.connection.beside
        if not (beside and groups):
            groups.append([])
        groups[-1].append(service)
    inner = "".join(_wan_device(switches, number, group) for number, group in enumerate(groups or [[]], 1))
    return _device("InternetGatewayDevice", "", switches, f"<deviceList>{inner}</deviceList>")


def _wan_device(switches: IgdSwitches, number: int, services: list[Service]) -> str:
    listed = "".join(_service_element(index, one, switches) for index, one in enumerate(services, 1))
    connection = _device("WANConnectionDevice", f"-c{number}", switches, f"<serviceList>{listed}</serviceList>")
    return _device("WANDevice", f"-w{number}", switches, f"<deviceList>{connection}</deviceList>")


def _device(kind: str, suffix: str, switches: IgdSwitches, content: str) -> str:
    values = {
        "deviceType": f"urn:{switches.device_domain}:device:{kind}:{switches.version}",
        "friendlyName": switches.friendly_name,
        "manufacturer": switches.manufacturer,
        "modelName": switches.model_name,
        "UDN": switches.udn + suffix,
    }
    return f"<device>{_elements(values)}{_EXTRA if switches.extra_elements else ''}{content}</device>"


def _service_element(number: int, service: Service, switches: IgdSwitches) -> str:
    name = service.service_type.split(":")[-2]
    values = {
        "serviceType": service.service_type,
        "serviceId": f"urn:upnp-org:serviceId:{name}{number}",
        "SCPDURL": f"/{name}.xml",
        "controlURL": service.control_url,
        "eventSubURL": f"/evt/{name}{number}",
    }
    return f"<service>{_elements(values)}{_EXTRA if switches.extra_elements else ''}</service>"


def _elements(values: dict[str, str]) -> str:
    return "".join(f"<{name}>{escape(value)}</{name}>" for name, value in values.items())
