"""PCP behind the common contract."""

from contextlib import suppress
from dataclasses import replace
from ipaddress import IPv4Address
from typing import ClassVar, Self

import anyio

from portmapper import limits
from portmapper.backend import Backend, BackendOptions, lease_for
from portmapper.errors import PortMapperError, ProtocolError, RequestRefused
from portmapper.model import Endpoint, Feature, Gateway, IPAddress, Lease, MappingRequest, Protocol
from portmapper.net import clock
from portmapper.net.datagram import unused_udp_port
from portmapper.pcp import wire
from portmapper.pcp.client import PcpClient, Waits, answers, fast_waits, probe_waits, rfc_waits
from portmapper.pcp.epoch import EpochWatch
from portmapper.pcp.request import (
    check_filters,
    delete_request,
    external_endpoint,
    granted_ports,
    mapping_nonce,
    mapping_request,
)
from portmapper.pcp.results import Result

# miniupnpd 2.3.1 calls every option malformed whose length is no multiple of 4, as that of PORT_SET.
_OPTION_REFUSED = {Result.UNSUPP_OPTION, Result.MALFORMED_OPTION}


class PcpBackend(Backend):
    """Maps any protocol's ports, on IPv4 and IPv6 gateways."""

    name: ClassVar[str] = "pcp"
    title: ClassVar[str] = "PCP"
    offers: ClassVar[frozenset[Feature]] = frozenset(Feature)
    tells_address: ClassVar[bool] = False

    def __init__(self, gateway: Gateway, options: BackendOptions) -> None:
        self._gateway = gateway
        self._key = options.key
        self._state_lost = options.state_lost
        self._epoch: EpochWatch = options.memory.setdefault(self.name, EpochWatch())  # per server (section 8.5)
        self._client = self._client_with(rfc_waits if options.patient else fast_waits)

    @classmethod
    async def open(cls, gateway: Gateway, options: BackendOptions) -> Self:
        """Ask for the epoch, which changes nothing. Any answer in version 2 will do."""
        backend = cls(gateway, options)
        prober = backend._client if options.patient else backend._client_with(probe_waits)
        await prober.announce(timeout=options.timeout)
        return backend

    @property
    def epoch(self) -> int | None:
        """What the last answer said."""
        return self._epoch.last

    async def check(self) -> None:
        """Ask for the epoch."""
        await self._client_with(fast_waits).announce(timeout=limits.DISCOVERY)

    async def verify(self, lease: Lease) -> Lease | None:
        """Leave IPv4 mappings to be extended. IPv6 pinholes only have their epoch asked for.

        miniupnpd 2.3.1 deletes no pinhole that was ever extended, so one would stay after its mapping was closed.
        """
        if isinstance(self._gateway.source, IPv4Address) or lease.request.peer is not None:
            return None
        await self.check()
        return lease

    async def map(self, request: MappingRequest, *, renew: Lease | None = None) -> Lease:
        """Ask for the mapping, or for a PEER mapping if the request is for one.

        A server that does not take PORT_SET is asked for the first port alone.
        """
        nonce = mapping_nonce(self._key, self._gateway, request)
        try:
            granted = await self._ask(request, nonce, renew)
        except RequestRefused as refusal:
            if request.count == 1 or refusal.code not in _OPTION_REFUSED:
                raise
            granted = await self._ask(replace(request, count=1), nonce, renew)
        if not granted.lifetime:
            raise ProtocolError("the gateway granted a lifetime of 0")
        first, count = granted_ports(request, granted)
        external = external_endpoint(granted, self._gateway.source)
        if external.port + count - 1 > limits.LAST_PORT:
            raise ProtocolError(f"the gateway granted {count} ports from {external.port} on")
        return lease_for(
            self,
            request,
            self._gateway,
            external,
            lifetime=granted.lifetime,
            first_port=first,
            count=count,
            token=nonce,
        )

    async def unmap(self, lease: Lease) -> None:
        """Delete the mapping, with the nonce it was made with. A PEER mapping cannot be deleted (section 12.1)."""
        if lease.request.peer is None:
            await self._client.map(delete_request(lease, self._gateway.source))

    def farewell(self, lease: Lease) -> bytes | None:
        """Return the request that deletes the mapping; there is none for a PEER mapping."""
        return None if lease.request.peer else delete_request(lease, self._gateway.source).encode()

    async def find(self, request: MappingRequest) -> Lease:
        """Return a lease to delete by: the nonce follows from the key."""
        nonce = mapping_nonce(self._key, self._gateway, request)
        external = Endpoint(None, request.external_port)
        return lease_for(
            self, request, self._gateway, external, lifetime=request.lifetime, count=request.count, token=nonce
        )

    async def external_address(self) -> IPAddress | None:
        """Map an unused port for a moment: PCP has no other way to ask (section 11.6)."""
        port = unused_udp_port(self._gateway.source)
        request = MappingRequest(protocol=Protocol.UDP, internal_port=port, lifetime=limits.PROBE_LIFETIME)
        made = True  # even by an answer that is lost, or not waited for
        try:
            return (await self.map(request)).external.address
        except RequestRefused:
            made = False
            raise
        finally:
            if made:
                with anyio.move_on_after(limits.GRACE, shield=True), suppress(PortMapperError):
                    await self.undo(request)

    def is_update(self, lease: Lease, data: bytes) -> bool:
        """Whether `data` is a Mapping Update (section 14.2) that says something new about `lease`."""
        asked = mapping_request(lease.request, self._gateway.source, lease.token, lease)
        try:
            told = wire.decode_response(data)
            if not isinstance(told, wire.MapResponse | wire.PeerResponse) or not answers(asked, told):
                return False
            return bool(told.result) or external_endpoint(told, self._gateway.source) != lease.external
        except ProtocolError:
            return False

    async def _ask(
        self, request: MappingRequest, nonce: bytes, renew: Lease | None
    ) -> wire.MapResponse | wire.PeerResponse:
        asked = mapping_request(request, self._gateway.source, nonce, renew)
        if isinstance(asked, wire.PeerRequest):
            return await self._client.peer(asked, renewal=renew is not None)
        granted = await self._client.map(asked, renewal=renew is not None)
        check_filters(request, granted)
        return granted

    def _client_with(self, waits: Waits) -> PcpClient:
        return PcpClient(self._gateway, self._observe_epoch, waits)

    def _observe_epoch(self, epoch: int) -> None:
        if self._epoch.observe(epoch, clock.now()):
            self._state_lost()
