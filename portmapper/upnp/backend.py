"""UPnP IGD behind the common contract."""

import secrets
from collections.abc import Iterator
from ipaddress import IPv4Address, ip_address
from typing import ClassVar, Self

from portmapper import limits
from portmapper.backend import Backend, BackendOptions, address_or_last, lease_for
from portmapper.errors import NoMapping, ProtocolError
from portmapper.model import Endpoint, Feature, Gateway, IPAddress, Lease, MappingRequest
from portmapper.text import safe_text
from portmapper.upnp.attempts import Attempt, first_attempt, next_attempt
from portmapper.upnp.client import IgdClient, find_services
from portmapper.upnp.soap import Fault

_NO_SUCH_ENTRY = 714
_FIRST_DYNAMIC_PORT = 49152  # RFC 6335 section 6


class UpnpBackend(Backend):
    """Maps TCP and UDP ports of this host through WANIPConnection or WANPPPConnection."""

    name: ClassVar[str] = "upnp"
    title: ClassVar[str] = "UPnP IGD"
    offers: ClassVar[frozenset[Feature]] = frozenset({Feature.THIRD_PARTY})

    def __init__(self, gateway: Gateway, client: IgdClient) -> None:
        self._gateway = gateway
        self._client = client

    @classmethod
    async def open(cls, gateway: Gateway, options: BackendOptions) -> Self:
        """Search for the device and read its description."""
        services = await find_services(gateway, timeout=min(options.timeout, limits.DISCOVERY))
        return cls(gateway, IgdClient(services[0]))

    async def map(self, request: MappingRequest, *, renew: Lease | None = None) -> Lease:
        """Add the mapping, step by step in the forms that devices accept; adding it again extends it."""
        version = self._client.service.version
        attempt, ports = first_attempt(request, renew=renew), _other_ports()
        while True:
            try:
                port = await self._add(attempt, request)
            except Fault as fault:
                following = next_attempt(attempt, fault.code, request, version=version, ports=ports)
                if following is None or renew is not None:
                    raise
                attempt = following
            else:
                external = Endpoint(await address_or_last(self, renew), port)
                return lease_for(self, request, self._gateway, external, lifetime=attempt.lifetime)

    async def unmap(self, lease: Lease) -> None:
        """Delete the mapping unless it is gone or belongs to somebody else by now."""
        port = lease.external.port
        try:
            holder = await self._holder(port, lease.request)
        except Fault:
            holder = lease.internal  # the device cannot tell: delete what we made
        if holder != lease.internal:
            return
        try:
            await self._client.call("DeletePortMapping", **_key_of(port, lease.request))
        except Fault as fault:
            if fault.code != _NO_SUCH_ENTRY:
                raise

    async def find(self, request: MappingRequest) -> Lease:
        """Return the lease at the external port, which must lead to the internal port on this host."""
        port = request.external_port or request.internal_port
        lease = lease_for(self, request, self._gateway, Endpoint(None, port), lifetime=request.lifetime)
        if await self._holder(port, request) != lease.internal:
            raise NoMapping(f"external port {port}/{request.protocol} does not lead to {lease.internal}")
        return lease

    async def external_address(self) -> IPAddress | None:
        """Ask for the external address; devices say "" or 0.0.0.0 when there is none."""
        text = (await self._client.call("GetExternalIPAddress")).get("newexternalipaddress", "")
        try:
            address = IPv4Address(text or "0.0.0.0")  # noqa: S104 - an answer, not a socket
        except ValueError as error:
            raise ProtocolError(f"{safe_text(text)!r} is no external address") from error
        return None if address == IPv4Address(0) else address

    async def _add(self, attempt: Attempt, request: MappingRequest) -> int:
        name = "AddAnyPortMapping" if attempt.any_port else "AddPortMapping"
        results = await self._client.call(
            name,
            **_key_of(attempt.external_port, request),
            NewInternalPort=request.internal_port,
            NewInternalClient=str(request.internal_address or self._gateway.source),
            NewEnabled=1,
            NewPortMappingDescription=request.description,
            NewLeaseDuration=attempt.lifetime,
        )
        return _port(results.get("newreservedport", "")) if attempt.any_port else attempt.external_port

    async def _holder(self, port: int, request: MappingRequest) -> Endpoint | None:
        """Return where the external port leads, None if nowhere. Raises Fault when the device cannot tell."""
        try:
            entry = await self._client.call("GetSpecificPortMappingEntry", **_key_of(port, request))
        except Fault as fault:
            if fault.code == _NO_SUCH_ENTRY:
                return None
            raise
        return Endpoint(_address(entry.get("newinternalclient", "")), _port(entry.get("newinternalport", "")))


def _key_of(port: int, request: MappingRequest) -> dict[str, str | int]:
    # RemoteHost is empty: "0.0.0.0" cannot be renewed and anything else is a filter.
    return {"NewRemoteHost": "", "NewExternalPort": port, "NewProtocol": request.protocol.upper()}


def _other_ports() -> Iterator[int]:
    for _ in range(limits.UPNP_PORT_TRIES):
        yield _FIRST_DYNAMIC_PORT + secrets.randbelow(65536 - _FIRST_DYNAMIC_PORT)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) < 65536):  # noqa: PLR2004
        raise ProtocolError(f"{safe_text(text)!r} is no port")
    return int(text)


def _address(text: str) -> IPAddress | None:
    try:
        return ip_address(text)
    except ValueError:
        return None  # a host name: not ours, we write addresses
