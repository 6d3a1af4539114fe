"""What the UPnP devices that answered say of themselves: description, then a few questions that change nothing."""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network
from xml.etree.ElementTree import Element

import anyio

from portmapper import limits
from portmapper.doctor.findings import Connection, Device, Search, SearchAnswer
from portmapper.errors import PortMapperError, ProtocolError
from portmapper.model import Gateway
from portmapper.net import http
from portmapper.text import safe_text
from portmapper.upnp import ssdp
from portmapper.upnp.answers import on_link
from portmapper.upnp.client import IgdClient
from portmapper.upnp.description import Service, decode_description
from portmapper.upnp.location import Place, checked_url
from portmapper.upnp.mappings import PortMappings
from portmapper.upnp.values import parse_external, parse_truth
from portmapper.upnp.xml import decode_xml, local_name, text_of

_OK = 200


async def look_at_all(search: Search, gateway: Gateway) -> tuple[tuple[Device, ...], PortMappings | None]:
    """Return what the devices say, the gateway's own first, and the mappings of the first that has any.

    Four devices at most, side by side, in 4 s.
    """
    chosen = _best_first(search.answers, gateway)[: limits.DESCRIPTION_FETCHES]
    looks = [_Look(answer, gateway) for answer in chosen]
    with anyio.move_on_after(limits.DOCTOR_DEVICES):
        async with anyio.create_task_group() as tasks:
            for look in looks:
                tasks.start_soon(look.take)
    mappings = (look.mappings for look in looks if look.mappings is not None)
    return tuple(look.device() for look in looks), next(mappings, None)


def _best_first(answers: Iterable[SearchAnswer], gateway: Gateway) -> list[SearchAnswer]:
    own = gateway.address.packed
    return sorted(answers, key=lambda one: (one.sender.packed != own, ssdp.rank(one.target)))


class _Look:
    """Collects what one device says, so that what it said before the time was up is kept."""

    def __init__(self, answer: SearchAnswer, gateway: Gateway) -> None:
        self._answer = answer
        self._gateway = gateway
        self._facts: dict[str, str] = {}
        self._problem = "it did not describe itself in time"
        self._connections: list[Connection] = []
        self._firewall = False
        self.mappings: PortMappings | None = None

    async def take(self) -> None:
        try:
            root_body, location, place = await self._fetch()
            description = decode_description(root_body, location, place)
            self._facts = _facts(decode_xml(root_body))
        except PortMapperError as error:
            self._problem = str(error)
            return
        self._problem = ""
        self._firewall = description.firewall is not None
        await self._ask(description.connections[: limits.DOCTOR_CONNECTIONS])

    def device(self) -> Device:
        return Device(
            address=self._answer.sender,
            location=self._answer.location,
            server=self._answer.server,
            problem=self._problem,
            claims=self._answer.target in {*ssdp.TARGETS, *ssdp.TARGETS_6},
            connections=tuple(self._connections),
            firewall=self._firewall,
            **self._facts,
        )

    async def _fetch(self) -> tuple[bytes, str, Place]:
        link = on_link(self._gateway)
        place = Place(self._answer.sender, link if isinstance(link, IPv4Network) else None)
        location = checked_url(self._answer.location, place)
        reply = await http.get(location, self._route, limit=limits.DESCRIPTION_BODY)
        if reply.status != _OK:
            raise ProtocolError(f"the device description was answered with status {reply.status}")
        return reply.body, location, place

    @property
    def _route(self) -> http.Route:
        return http.Route(self._answer.sender, self._gateway.source)

    async def _ask(self, services: Iterable[Service]) -> None:
        for service in services:
            client = IgdClient(service, self._route)
            connection = await _connection(client, service, self._gateway)
            self._connections.append(connection)
            if self.mappings is None and not connection.problem and isinstance(self._gateway.source, IPv4Address):
                self.mappings = PortMappings(client, self._gateway.source, self._answer.sender)


async def _connection(client: IgdClient, service: Service, gateway: Gateway) -> Connection:
    try:
        status = await client.ask("GetStatusInfo", within=limits.STATUS)
        kind, nat = await _optional(client, "GetConnectionTypeInfo"), await _optional(client, "GetNATRSIPStatus")
        told = await _optional(client, "GetExternalIPAddress")
    except PortMapperError as error:
        return Connection(service_type=service.service_type, problem=str(error))
    text = told.get("newexternalipaddress")
    try:
        address = None if text is None else parse_external(text, gateway.address)
        enabled = nat.get("newnatenabled")
        does_nat = None if enabled is None else parse_truth(enabled)
    except ProtocolError as error:
        return Connection(service_type=service.service_type, problem=str(error))
    return Connection(
        service_type=service.service_type,
        status=safe_text(status.get("newconnectionstatus", "")),
        connection_type=safe_text(kind.get("newconnectiontype", "")),
        nat=does_nat,
        told_address=text is not None,
        address=address,
    )


async def _optional(client: IgdClient, action: str) -> dict[str, str]:
    try:
        return await client.ask(action, within=limits.STATUS)
    except PortMapperError:
        return {}  # many devices do not have it; what it would have said stays unknown


def _facts(root: Element) -> dict[str, str]:
    device = next((one for one in root.iter() if local_name(one) == "device"), root)
    names = {
        "manufacturer": "manufacturer",
        "model": "modelName",
        "friendly_name": "friendlyName",
        "serial_number": "serialNumber",
        "udn": "UDN",
    }
    return {name: safe_text(text_of(device, tag) or "") for name, tag in names.items()}
