"""NAT-PMP behind the common contract."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from math import inf
from typing import ClassVar, Self

from portmapper import limits
from portmapper.backend import Backend, BackendOptions, address_or_last, lease_for
from portmapper.errors import GatewayUnreachable, ProtocolError, UnsupportedRequest
from portmapper.model import Endpoint, Gateway, IPAddress, Lease, MappingRequest, Protocol
from portmapper.natpmp import wire
from portmapper.natpmp.client import NatPmpClient, Turn
from portmapper.natpmp.epoch import EpochWatch
from portmapper.net import clock


@dataclass(slots=True)
class _Memory:
    """What belongs to the gateway, not to one opening: its epoch, and whose turn it is (sections 3.6 and 3.1)."""

    epoch: EpochWatch = field(default_factory=EpochWatch)
    turn: Turn = field(default_factory=Turn)


class NatPmpBackend(Backend):
    """Maps TCP and UDP ports of this host on an IPv4 gateway."""

    name: ClassVar[str] = "natpmp"
    title: ClassVar[str] = "NAT-PMP"

    def __init__(self, gateway: Gateway, options: BackendOptions) -> None:
        self._gateway = gateway
        self._state_lost = options.state_lost
        self._memory: _Memory = options.memory.setdefault(self.name, _Memory())
        self._address: IPAddress | None = None
        self._address_asked = -inf
        self._client = self._client_with(limits.NATPMP_WAITS if options.patient else limits.FAST_WAITS)

    @classmethod
    async def open(cls, gateway: Gateway, options: BackendOptions) -> Self:
        """Ask for the external address, which changes nothing."""
        if not isinstance(gateway.address, IPv4Address):
            raise GatewayUnreachable("NAT-PMP is for IPv4 gateways only")
        backend = cls(gateway, options)
        prober = backend._client if options.patient else backend._client_with(limits.PROBE_WAITS)
        backend._learn(await prober.address(timeout=options.timeout))
        return backend

    @property
    def epoch(self) -> int | None:
        """What the last answer said."""
        return self._memory.epoch.last

    async def check(self) -> None:
        """Ask for the external address: a new one is as good as a loss, for the leases tell the old one.

        A renewal that the gateway owes an answer may wait for a minute before it is sent again: that is done now.
        """
        self._memory.turn.ask_afresh()
        client = self._client_with(limits.FAST_WAITS)
        old = self._address
        if old != self._learn(await client.address(timeout=limits.DISCOVERY)):
            self._state_lost()

    async def map(self, request: MappingRequest, *, renew: Lease | None = None) -> Lease:
        """Ask for the mapping and then for the external address, which the answer does not carry."""
        # MikroTik refuses a suggested port of 0; the internal port is as good a wish as any.
        suggested = renew.external.port if renew else request.external_port or request.internal_port
        asked = _map_request(request, suggested, request.lifetime)
        granted = await self._client_for(renew).map(asked)
        if not granted.external_port or not granted.lifetime:
            raise ProtocolError("the gateway granted external port 0 or a lifetime of 0")
        external = Endpoint(await self._address_for(renew), granted.external_port)
        return lease_for(self, request, self._gateway, external, lifetime=granted.lifetime)

    async def unmap(self, lease: Lease) -> None:
        """Delete the mapping; RFC 6886 section 3.4 has external port 0 in a delete."""
        await self._client.map(_map_request(lease.request, 0, 0))

    def farewell(self, lease: Lease) -> bytes | None:
        """Return the request that deletes the mapping."""
        return _map_request(lease.request, 0, 0).encode()

    async def find(self, request: MappingRequest) -> Lease:
        """Return a lease to delete by: the internal port is all it takes."""
        return lease_for(self, request, self._gateway, Endpoint(None, request.external_port), lifetime=request.lifetime)

    async def external_address(self) -> IPAddress | None:
        """Ask for the external address."""
        return self._learn(await self._client.address())

    async def unmap_all(self, protocol: Protocol) -> None:
        """Delete all mappings of TCP or of UDP: port 0 and lifetime 0 (section 3.4). Other programs' too."""
        if protocol not in {Protocol.TCP, Protocol.UDP}:
            raise UnsupportedRequest(f"NAT-PMP maps tcp and udp, not {protocol}")
        await self._client.map(wire.MapRequest(protocol=protocol, internal_port=0, external_port=0, lifetime=0))

    def _client_for(self, renew: Lease | None) -> NatPmpClient:
        if renew is None:
            return self._client
        # By the waits of RFC 6886 3.1 there would be four requests in the second half of a lease of 10 s.
        return self._client_with(limits.NATPMP_WAITS if renew.lifetime > limits.SHORT_LEASE else limits.FAST_WAITS)

    async def _address_for(self, renew: Lease | None) -> IPAddress | None:
        if clock.now() - self._address_asked < limits.ADDRESS_TRUST:
            return self._address
        return await address_or_last(self, renew)

    def _learn(self, address: IPv4Address) -> IPAddress | None:
        self._address_asked = clock.now()
        self._address = None if address == IPv4Address(0) else address
        return self._address

    def _client_with(self, waits: Sequence[float]) -> NatPmpClient:
        return NatPmpClient(self._gateway, self._observe_epoch, waits, self._memory.turn)

    def _observe_epoch(self, epoch: int) -> None:
        if self._memory.epoch.observe(epoch, clock.now()):
            self._state_lost()


def _map_request(request: MappingRequest, external_port: int, lifetime: int) -> wire.MapRequest:
    return wire.MapRequest(
        protocol=request.protocol,
        internal_port=request.internal_port,
        external_port=external_port,
        lifetime=lifetime,
    )
