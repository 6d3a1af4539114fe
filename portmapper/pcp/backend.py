"""PCP behind the common contract."""

import hashlib
import hmac
from ipaddress import IPv6Address
from typing import ClassVar, Self

from portmapper import limits
from portmapper.backend import Backend, BackendOptions, lease_for
from portmapper.errors import ProtocolError
from portmapper.model import Endpoint, Gateway, IPAddress, Lease, MappingRequest, Protocol
from portmapper.net import clock
from portmapper.net.datagram import unused_udp_port
from portmapper.pcp import wire
from portmapper.pcp.address import unspecified_like
from portmapper.pcp.client import PcpClient
from portmapper.pcp.epoch import EpochWatch
from portmapper.pcp.options import PreferFailure


class PcpBackend(Backend):
    """Maps TCP and UDP ports of this host, on IPv4 and IPv6 gateways."""

    name: ClassVar[str] = "pcp"
    title: ClassVar[str] = "PCP"

    def __init__(self, gateway: Gateway, options: BackendOptions) -> None:
        self._gateway = gateway
        self._key = options.key
        self._state_lost = options.state_lost
        self._epoch = EpochWatch()
        self._client = PcpClient(gateway, self._observe_epoch)

    @classmethod
    async def open(cls, gateway: Gateway, options: BackendOptions) -> Self:
        """Ask for the epoch, which changes nothing. Any answer in version 2 will do."""
        backend = cls(gateway, options)
        await backend._client.announce(timeout=options.timeout)
        return backend

    async def check(self) -> None:
        """Ask for the epoch."""
        await self._client.announce()

    async def map(self, request: MappingRequest, *, renew: Lease | None = None) -> Lease:
        """Ask for the mapping; a renewal suggests what was assigned before (section 11.2.1)."""
        suggested = renew.external if renew else Endpoint(None, request.external_port)
        nonce = mapping_nonce(self._key, self._gateway, request)
        granted = await self._client.map(self._map_request(request, nonce, suggested, request.lifetime))
        external = self._external(granted)
        if not external.port or not granted.lifetime:
            raise ProtocolError("the gateway granted external port 0 or a lifetime of 0")
        return lease_for(self, request, self._gateway, external, lifetime=granted.lifetime, token=nonce)

    async def unmap(self, lease: Lease) -> None:
        """Delete the mapping: lifetime 0, nothing suggested, the nonce it was made with (section 15.1)."""
        await self._client.map(self._map_request(lease.request, lease.token, Endpoint(None, 0), 0))

    async def find(self, request: MappingRequest) -> Lease:
        """Return a lease to delete by: the nonce follows from the key."""
        nonce = mapping_nonce(self._key, self._gateway, request)
        return lease_for(
            self, request, self._gateway, Endpoint(None, request.external_port), lifetime=request.lifetime, token=nonce
        )

    async def external_address(self) -> IPAddress | None:
        """Map an unused port for a moment: PCP has no other way to ask (section 11.6)."""
        port = unused_udp_port(self._gateway.source)
        request = MappingRequest(protocol=Protocol.UDP, internal_port=port, lifetime=limits.PROBE_LIFETIME)
        lease = await self.map(request)
        await self.unmap(lease)
        return lease.external.address

    def _external(self, granted: wire.MapResponse) -> Endpoint:
        source = self._gateway.source
        if isinstance(source, IPv6Address) and granted.external_address == source and not granted.external_port:
            # No NAT (section 11.1), so it is the internal port: miniupnpd 2.3.1 writes 0 when it extends a pinhole.
            return Endpoint(source, granted.internal_port)
        nowhere = granted.external_address == unspecified_like(granted.external_address)
        return Endpoint(None if nowhere else granted.external_address, granted.external_port)

    def _observe_epoch(self, epoch: int) -> None:
        if self._epoch.observe(epoch, clock.now()):
            self._state_lost()

    def _map_request(
        self, request: MappingRequest, nonce: bytes, suggested: Endpoint, lifetime: int
    ) -> wire.MapRequest:
        client = self._gateway.source
        return wire.MapRequest(
            client=client,
            lifetime=lifetime,
            nonce=nonce,
            protocol=request.protocol.number,
            internal_port=request.internal_port,
            external_port=suggested.port,
            external_address=suggested.address or unspecified_like(client),
            options=(PreferFailure(),) if request.exact and lifetime else (),
        )


def mapping_nonce(key: bytes, gateway: Gateway, request: MappingRequest) -> bytes:
    """Return the nonce of a mapping: secret, different for each, and the same after a crash.

    Strict servers refuse renewals and deletes with another nonce, so a fresh one for each request leaks mappings.
    """
    subject = f"{gateway.address} {gateway.source} {request.protocol} {request.internal_port}"
    return hmac.digest(key, subject.encode(), hashlib.sha256)[: wire.NONCE]
