"""Leases and stand-ins for mappings, for tests that need no gateway."""

from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import cast

from portmapper.errors import PortMapperError
from portmapper.mapping import Mapping
from portmapper.model import Endpoint, Gateway, Lease, MappingRequest, MappingState, Protocol

HERE, ROUTER, OUTSIDE = IPv4Address("192.0.2.10"), IPv4Address("192.0.2.1"), IPv4Address("203.0.113.7")


def lease(port: int = 8080, external: int = 80, *, protocol: Protocol = Protocol.TCP, backend: str = "pcp") -> Lease:
    return Lease(
        request=MappingRequest(protocol=protocol, internal_port=port),
        gateway=Gateway(address=ROUTER, source=HERE),
        backend=backend,
        internal=Endpoint(HERE, port),
        external=Endpoint(OUTSIDE, external),
        lifetime=7200,
    )


@dataclass(eq=False)
class StandIn:
    """What the command looks at of a mapping."""

    lease: Lease = field(default_factory=lease)
    state: MappingState = MappingState.MAPPED
    next_attempt: float = 3600.0
    remaining: float = 7200.0
    problem: PortMapperError | None = None

    @property
    def internal_port(self) -> int:
        return self.lease.request.internal_port

    @property
    def protocol(self) -> Protocol:
        return self.lease.request.protocol

    @property
    def gateway(self) -> Gateway:
        return self.lease.gateway

    @property
    def mapping(self) -> Mapping:
        return cast("Mapping", self)
