"""UPnP IGD by the C library, behind the contract of portmapper."""

import secrets
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import AddressValueError, IPv4Address
from typing import ClassVar, Self

from portmapper import (
    Backend,
    BackendOptions,
    Endpoint,
    Gateway,
    GatewayUnreachable,
    Lease,
    MappingGone,
    MappingRequest,
    NoMapping,
    PortMapperError,
    ProtocolError,
    RequestRefused,
)
from portmapper.backend import address_or_last, lease_for
from portmapper.text import safe_text
from portmapper_miniupnpc.faults import refusal
from portmapper_miniupnpc.igd import Entry, Igd
from portmapper_miniupnpc.worker import Worker

CALL = 5.0  # seconds for one question, the same as the built-in backend's
DELAY, PATIENT_DELAY = 1000, 3000  # ms that the library listens after each of its four searches; less is made 1000
LONGEST_LEASE = 604800  # WANIPConnection:2 section 2.3.16
PORT_TRIES = 8  # other external ports after a conflict
SSDP_PORT = 1900  # the only one that the library searches at

_NO_SUCH_ENTRY = {714, 730}
_CONFLICT = {718, 729}
_SAME_PORT, _ONLY_PERMANENT = 724, 725
_FIRST_DYNAMIC_PORT = 49152  # RFC 6335 section 6


class MiniupnpcBackend(Backend):
    """Maps TCP and UDP ports of this host on an IPv4 gateway."""

    name: ClassVar[str] = "miniupnpc"
    title: ClassVar[str] = "UPnP IGD (miniupnpc)"

    def __init__(self, gateway: Gateway, igd: Igd, worker: Worker, *, permanent: bool) -> None:
        self._gateway = gateway
        self._permanent = permanent
        self._igd = igd
        self._worker = worker

    @classmethod
    async def open(cls, gateway: Gateway, options: BackendOptions) -> Self:
        """Let the library search and choose; what it chose has to be the gateway."""
        address, source = gateway.address, gateway.source
        if not (isinstance(address, IPv4Address) and isinstance(source, IPv4Address)):
            raise GatewayUnreachable("miniupnpc is for IPv4 gateways only")
        if gateway.ssdp_port != SSDP_PORT:  # a simulated one: do not search the real network for it
            raise GatewayUnreachable(f"miniupnpc cannot search at port {gateway.ssdp_port}")
        igd, worker = Igd(source, delay=PATIENT_DELAY if options.patient else DELAY), Worker()
        await worker.run(lambda: igd.find(address), seconds=options.timeout, what="the search")
        return cls(gateway, igd, worker, permanent=options.permanent)

    async def map(self, request: MappingRequest, *, renew: Lease | None = None) -> Lease:
        """Add the mapping unless somebody has the port, and read it back; adding it again extends it.

        Never by AddAnyPortMapping: the library asks for a mapping without end there. Another external port is chosen
        here instead, so that a lease is left to end by itself if this program dies.
        """
        port = renew.external.port if renew else request.external_port or request.internal_port
        lifetime = 0 if renew and renew.permanent else min(request.lifetime, LONGEST_LEASE)
        other_ports = _other_ports(0 if renew or request.exact else PORT_TRIES)
        while True:
            try:
                await self._check_free(port, request, renew)
                await self._add(port, request, lifetime)
                break
            except RequestRefused as refused:
                following = _following(refused.code, port, lifetime, request, other_ports)
                if following is None or not (following[1] or self._permanent):
                    raise
                port, lifetime = following
        entry = await self._confirm(lease_for(self, request, self._gateway, Endpoint(None, port), lifetime=lifetime))
        shorter = min((one for one in (lifetime, entry.lifetime) if one), default=0)  # 0 is without end
        external = Endpoint(await address_or_last(self, renew), port)
        return lease_for(self, request, self._gateway, external, lifetime=shorter)

    async def unmap(self, lease: Lease) -> None:
        """Delete the mapping unless it is gone or belongs to somebody else by now."""
        if not await self._may_be_ours(lease):
            return
        try:
            await self._delete(lease)
        except RequestRefused as refused:
            if refused.code not in _NO_SUCH_ENTRY:
                raise
            return
        entry = await self._entry(lease.external.port, lease.request)
        if entry is not None and _internal(entry) == lease.internal:
            raise ProtocolError(f"external port {lease.external.port} still leads to {lease.internal}")

    async def find(self, request: MappingRequest) -> Lease:
        """Return the lease at the external port, which must lead to the internal port on this host."""
        port = request.external_port or request.internal_port
        lease = lease_for(self, request, self._gateway, Endpoint(None, port), lifetime=request.lifetime)
        entry = await self._entry(port, request)
        if entry is None:
            with suppress(RequestRefused):
                await self.external_address()  # "none" is also what the library says of a device that is silent
        if entry is None or _internal(entry) != lease.internal:
            raise NoMapping(f"external port {port}/{request.protocol} does not lead to {lease.internal}")
        return lease

    async def external_address(self) -> IPv4Address | None:
        """Ask for the external address; devices say "" or 0.0.0.0 when there is none."""
        text = await self._worker.run(self._igd.external_address, seconds=CALL, what="GetExternalIPAddress")
        try:
            address = IPv4Address(text or "0.0.0.0")  # noqa: S104 - an answer, not a socket
        except AddressValueError as error:
            raise ProtocolError(f"{safe_text(text)!r} is no external address") from error
        return None if address == IPv4Address(0) else address

    async def _check_free(self, port: int, request: MappingRequest, renew: Lease | None) -> None:
        # Some devices let the newer mapping replace the older one without a word.
        try:
            entry = await self._entry(port, request)
        except ProtocolError:
            return  # it cannot be read: the device has to say
        if entry is None or _internal(entry) == Endpoint(self._gateway.source, request.internal_port):
            return
        if renew is not None:
            leads = f"leads to {safe_text(entry.client)} port {entry.port}"
            raise MappingGone(f"external port {port}/{request.protocol} {leads}")
        raise refusal("ConflictInMappingEntry")

    async def _add(self, port: int, request: MappingRequest, lifetime: int) -> None:
        def add() -> None:
            self._igd.add(
                port,
                request.protocol.upper(),
                client=str(self._gateway.source),
                internal=request.internal_port,
                description=request.description,
                lifetime=lifetime,
            )

        await self._worker.run(add, seconds=CALL, what="AddPortMapping")

    async def _entry(self, port: int, request: MappingRequest) -> Entry | None:
        def entry() -> Entry | None:
            return self._igd.entry(port, request.protocol.upper())

        return await self._worker.run(entry, seconds=CALL, what="GetSpecificPortMappingEntry")

    async def _delete(self, lease: Lease) -> None:
        def delete() -> None:
            self._igd.delete(lease.external.port, lease.request.protocol.upper())

        await self._worker.run(delete, seconds=CALL, what="DeletePortMapping")

    async def _confirm(self, lease: Lease) -> Entry:
        """Return what the device says of a mapping that it granted, or so the library believes."""
        try:
            return _checked(await self._entry(lease.external.port, lease.request), lease)
        except ProtocolError:
            with suppress(PortMapperError):
                await self.unmap(lease)  # it may be there all the same
            raise

    async def _may_be_ours(self, lease: Lease) -> bool:
        try:
            entry = await self._entry(lease.external.port, lease.request)
        except ProtocolError:
            return True  # it cannot be read: delete what we made
        return entry is None or _internal(entry) == lease.internal


def _following(
    code: int, port: int, lifetime: int, request: MappingRequest, other_ports: Iterator[int]
) -> tuple[int, int] | None:
    """Return port and lifetime to ask for after a refusal; None when there is nothing left to try."""
    if code == _ONLY_PERMANENT and lifetime:
        return port, 0
    if code == _SAME_PORT and not request.exact and port != request.internal_port:
        return request.internal_port, lifetime
    other = next(other_ports, None) if code in _CONFLICT else None
    return None if other is None else (other, lifetime)


def _checked(entry: Entry | None, lease: Lease) -> Entry:
    if entry is None:
        raise ProtocolError("the device did not refuse the mapping, but does not know of it either")
    if _internal(entry) != lease.internal:
        raise ProtocolError(f"the device did not refuse, but external port {lease.external.port} leads elsewhere")
    return entry


def _internal(entry: Entry) -> Endpoint | None:
    try:
        return Endpoint(IPv4Address(entry.client), entry.port)
    except AddressValueError:
        return None  # a host name: not ours, we write addresses


def _other_ports(count: int) -> Iterator[int]:
    for _ in range(count):
        yield _FIRST_DYNAMIC_PORT + secrets.randbelow(65536 - _FIRST_DYNAMIC_PORT)
