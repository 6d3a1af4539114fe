"""UPnP IGD behind the common contract."""

import logging
from dataclasses import replace
from ipaddress import IPv4Address
from math import inf
from typing import ClassVar, Self
from urllib.parse import urlsplit

import anyio

from portmapper import limits
from portmapper.backend import Backend, BackendOptions, address_or_last, lease_for
from portmapper.errors import ProtocolError
from portmapper.model import Endpoint, Feature, Gateway, IPAddress, Lease, ListedMapping, MappingRequest
from portmapper.net import clock, http
from portmapper.upnp.choice import best_connection, check_nat
from portmapper.upnp.client import IgdClient
from portmapper.upnp.description import Service
from portmapper.upnp.grants import MappingGrants
from portmapper.upnp.mappings import PortMappings
from portmapper.upnp.memory import Granted, Memory
from portmapper.upnp.pinhole_grants import PinholeGrants
from portmapper.upnp.pinholes import Pinholes
from portmapper.upnp.search import Device, find_device

_log = logging.getLogger(__name__)


class UpnpBackend(Backend):
    """Maps TCP and UDP ports of this host: IPv4 by WANIPConnection or WANPPPConnection, IPv6 by pinholes."""

    name: ClassVar[str] = "upnp"
    title: ClassVar[str] = "UPnP IGD"
    offers: ClassVar[frozenset[Feature]] = frozenset({Feature.THIRD_PARTY, Feature.REMOTE})

    def __init__(self, gateway: Gateway, grants: MappingGrants | PinholeGrants, memory: Memory) -> None:
        self._gateway = gateway
        self._grants = grants
        self._memory = memory

    @classmethod
    async def open(cls, gateway: Gateway, options: BackendOptions) -> Self:
        """Search for the device, read its description, and choose the connection or the firewall to talk to."""
        memory: Memory = options.memory.setdefault(cls.name, Memory())
        device = await find_device(gateway, timeout=min(options.timeout, limits.DISCOVERY), turn=memory.turn)
        session = _Session(gateway, options, memory, device)
        if isinstance(gateway.address, IPv4Address):
            return cls(gateway, await session.mapping_grants(), memory)
        return cls(gateway, session.pinhole_grants(), memory)

    def hurry(self) -> None:
        """Make several requests at once; back to one when the device drops them, or something is to be mapped."""
        self._memory.hurry()

    async def check(self) -> None:
        """Look for what was granted."""
        await self._grants.check()

    async def verify(self, lease: Lease) -> Lease | None:
        """Look for the mapping, and for the external address, which may be another by now."""
        if not await self._grants.shows(lease):
            return None
        address = await address_or_last(self, lease)
        return replace(lease, external=Endpoint(address, lease.external.port))

    def renewal_span(self, lease: Lease) -> float:
        """Begin sooner with a short lease: where packets are lost, several questions by TCP take seconds."""
        return lease.lifetime * limits.UPNP_SHORT_SPAN if lease.lifetime <= limits.SHORT_LEASE else inf

    async def map(self, request: MappingRequest, *, renew: Lease | None = None) -> Lease:
        """Make the mapping in a form that the device accepts, or extend it, and read back what became of it."""
        self._memory.calm()  # whoever closed something in a hurry before has not left
        granted = await (self._grants.map(request) if renew is None else self._grants.renew(request, renew))
        address = granted.external.address or await self._address(renew)
        self._grants.settle(request)
        return self._lease(request, granted, Endpoint(address, granted.external.port))

    async def unmap(self, lease: Lease) -> None:
        """Delete the mapping unless it is gone or belongs to somebody else by now."""
        await self._grants.unmap(lease)

    async def find(self, request: MappingRequest) -> Lease:
        """Return the lease of what leads to the internal port on this host."""
        granted = await self._grants.find(request)
        return self._lease(request, granted, granted.external)

    async def undo(self, request: MappingRequest) -> None:
        """Take back what was begun, if it shows; nothing that another program made."""
        await self._grants.undo(request)

    async def external_address(self) -> IPAddress | None:
        """Ask for the external address; devices say "" or 0.0.0.0 when there is none."""
        return await self._grants.external_address()

    async def list_mappings(self) -> tuple[ListedMapping, ...]:
        """Ask for every mapping of the device."""
        return await self._grants.list_all()

    async def _address(self, renew: Lease | None) -> IPAddress | None:
        """Ask for the external address, but not for so long that a short lease ends meanwhile."""
        if renew is None or renew.permanent:
            return await address_or_last(self, renew)
        with anyio.move_on_after(renew.lifetime * limits.UPNP_ADDRESS_SHARE):
            return await address_or_last(self, renew)
        return renew.external.address

    def _lease(self, request: MappingRequest, granted: Granted, external: Endpoint) -> Lease:
        return lease_for(self, request, self._gateway, external, lifetime=granted.lifetime, token=granted.token)


class _Session:
    """One device, and how to find it again when it has moved."""

    def __init__(self, gateway: Gateway, options: BackendOptions, memory: Memory, device: Device) -> None:
        self._gateway = gateway
        self._options = options
        self._memory = memory
        self._device = device

    async def mapping_grants(self) -> MappingGrants:
        """Return the mappings of the best connection. Raises RequestRefused when that maps nothing."""
        if not self._device.description.connections:
            raise ProtocolError("the device offers no port mapping service")
        client = await self._sound_connection()
        return MappingGrants(
            PortMappings(client, self._gateway.source, self._device.route.address),
            self._memory,
            self._device.make,
            permanent=self._options.permanent,
            state_lost=self._options.state_lost,
            left_ports=self._options.left_ports,
        )

    async def _sound_connection(self) -> IgdClient:
        services = self._device.description.connections
        async with self._memory.choosing:  # asked for several ports at once, it is asked about its connections once
            chosen = self._memory.chosen_of(services, clock.now())
            if chosen is not None:
                return self._client(chosen)
            clients = [self._client(service) for service in services]
            several = len(clients) > 1
            client = await best_connection(clients, self._device.route.address) if several else clients[0]
            await check_nat(client)
            self._memory.choose(services, client.service, clock.now())
        return client

    def pinhole_grants(self) -> PinholeGrants:
        """Return the pinholes of the firewall. Raises ProtocolError when the device has none."""
        firewall = self._device.description.firewall
        if firewall is None:
            raise ProtocolError("the device has no service that opens pinholes for IPv6")
        pinholes = Pinholes(self._client(firewall), self._gateway.source)
        return PinholeGrants(pinholes, self._gateway.source, state_lost=self._options.state_lost)

    def _client(self, service: Service) -> IgdClient:
        async def find_again() -> tuple[Service, http.Route]:
            return await self._find_again(service)

        return IgdClient(service, self._device.route, turn=self._memory.turn, find_again=find_again)

    async def _find_again(self, service: Service) -> tuple[Service, http.Route]:
        device = await find_device(self._gateway, timeout=limits.DISCOVERY)
        offered = (*device.description.connections, device.description.firewall)
        same = [one for one in offered if one is not None and one.kind == service.kind]
        if not same:
            raise ProtocolError("the device does not offer the same service any more")
        found = min(same, key=lambda one: _path(one) != _path(service))  # one of several that are alike
        _log.info("the device at %s is at %s now", self._gateway, found.control_url)
        self._memory.miss_all()
        self._options.state_lost()
        return found, device.route


def _path(service: Service) -> str:
    return urlsplit(service.control_url)._replace(scheme="", netloc="").geturl()
