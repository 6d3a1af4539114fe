"""The server side of UPnP IGD, as a simulated gateway speaks it."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address

from portmapper.errors import InvalidRequest, ProtocolError
from portmapper.model import Endpoint, IPAddress, Protocol
from portmapper.testing.table import Denied, Entry, MappingTable
from portmapper.upnp import soap, ssdp

_UUID = "uuid:7f1f3c4e-0000-4000-8000-706f72746d61"
_SERVER = "portmapper UPnP/1.1 SimulatedGateway/1.0"
_CONTROL = "/ctl/IPConn"
DESCRIPTION_PATH = "/rootDesc.xml"


class _Fault(Exception):
    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


@dataclass(slots=True, kw_only=True)
class Igd:
    """Answers searches and HTTP requests from a table. `permanent_only` is a device that knows no finite lease."""

    table: MappingTable
    external_address: IPv4Address
    version: int
    permanent_only: bool
    location: str = ""

    def answer_search(self, data: bytes) -> list[bytes]:
        """Return the datagrams that answer an M-SEARCH."""
        try:
            target = ssdp.decode_search(data)
        except ProtocolError:
            return []
        if not ssdp.is_gateway(target) or int(target.rpartition(":")[2]) > self.version:
            return []
        answer = ssdp.Answer(location=self.location, target=target, usn=f"{_UUID}::{target}", server=_SERVER)
        return [ssdp.encode_answer(answer)]

    def answer_http(self, method: str, path: str, body: bytes, sender: IPAddress, now: float) -> tuple[int, bytes]:
        """Return status and body for a request."""
        if (method, path) == ("GET", DESCRIPTION_PATH):
            return 200, self._description()
        if (method, path) != ("POST", _CONTROL):
            return 404, b"not found"
        try:
            action = soap.decode_action(body)
            return 200, soap.encode_result(action, self._perform(action, sender, now))
        except ProtocolError:
            return 400, b"bad request"
        except _Fault as fault:
            return 500, soap.encode_fault(fault.code)

    def _perform(self, action: soap.Action, sender: IPAddress, now: float) -> dict[str, str]:
        known: dict[str, Callable[[dict[str, str], IPAddress, float], dict[str, str]]] = {
            "AddPortMapping": self._add,
            "DeletePortMapping": self._delete,
            "GetSpecificPortMappingEntry": self._get_specific,
            "GetExternalIPAddress": self._get_address,
        }
        if self.version > 1:
            known["AddAnyPortMapping"] = self._add_any
        if action.name not in known:
            raise _Fault(401)
        try:
            return known[action.name](dict(action.arguments), sender, now)
        except (KeyError, ValueError) as error:
            raise _Fault(402) from error

    def _add(self, arguments: dict[str, str], sender: IPAddress, now: float) -> dict[str, str]:
        self._enter(arguments, int(arguments["NewExternalPort"]), sender, now)
        return {}

    def _add_any(self, arguments: dict[str, str], sender: IPAddress, now: float) -> dict[str, str]:
        try:
            entry = self._enter(arguments, int(arguments["NewExternalPort"]), sender, now)
        except _Fault as fault:
            if fault.code != 718:
                raise
            entry = self._enter(arguments, 0, sender, now)
        return {"NewReservedPort": str(entry.external_port)}

    def _enter(self, arguments: dict[str, str], port: int, sender: IPAddress, now: float) -> Entry:
        lifetime = int(arguments["NewLeaseDuration"])
        if self.permanent_only and lifetime:
            raise _Fault(725)
        client = ip_address(arguments["NewInternalClient"])
        if client != sender:  # "secure mode": a host may map only itself
            raise _Fault(718)
        internal = Endpoint(client, int(arguments["NewInternalPort"]))
        ends = now + lifetime if lifetime else math.inf
        description = arguments["NewPortMappingDescription"]
        try:
            return self.table.add(_protocol(arguments), internal, port, ends, description=description)
        except Denied:
            raise _Fault(718) from None

    def _delete(self, arguments: dict[str, str], sender: IPAddress, now: float) -> dict[str, str]:
        entry = self._entry(arguments)
        if entry.internal.address != sender:
            raise _Fault(606)
        self.table.remove(entry)
        return {}

    def _get_specific(self, arguments: dict[str, str], sender: IPAddress, now: float) -> dict[str, str]:
        entry = self._entry(arguments)
        left = 0 if math.isinf(entry.ends) else int(entry.ends - now)
        return {
            "NewInternalPort": str(entry.internal.port),
            "NewInternalClient": str(entry.internal.address),
            "NewEnabled": "1",
            "NewPortMappingDescription": entry.description,
            "NewLeaseDuration": str(left),
        }

    def _get_address(self, arguments: dict[str, str], sender: IPAddress, now: float) -> dict[str, str]:
        return {"NewExternalIPAddress": str(self.external_address)}

    def _entry(self, arguments: dict[str, str]) -> Entry:
        entry = self.table.at(_protocol(arguments), int(arguments["NewExternalPort"]))
        if entry is None:
            raise _Fault(714)
        return entry

    def _description(self) -> bytes:
        service = (
            f"<service><serviceType>urn:schemas-upnp-org:service:WANIPConnection:{self.version}</serviceType>"
            "<serviceId>urn:upnp-org:serviceId:WANIPConn1</serviceId><SCPDURL>/WANIPCn.xml</SCPDURL>"
            f"<controlURL>{_CONTROL}</controlURL><eventSubURL>/evt/IPConn</eventSubURL></service>"
        )
        device = f"<serviceList>{service}</serviceList>"
        for kind in ("WANConnectionDevice", "WANDevice", "InternetGatewayDevice"):
            device = _device(kind, self.version, device)
        root = f'<root xmlns="urn:schemas-upnp-org:device-1-0">{device}</root>'
        return f'<?xml version="1.0"?>{root}'.encode()


def _device(kind: str, version: int, content: str) -> str:
    inner = content if kind == "WANConnectionDevice" else f"<deviceList>{content}</deviceList>"
    return (
        f"<device><deviceType>urn:schemas-upnp-org:device:{kind}:{version}</deviceType>"
        f"<friendlyName>Simulated gateway</friendlyName><UDN>{_UUID}</UDN>{inner}</device>"
    )


def _protocol(arguments: dict[str, str]) -> Protocol:
    try:
        return Protocol.parse(arguments["NewProtocol"])
    except InvalidRequest as error:
        raise _Fault(601) from error
