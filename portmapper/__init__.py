"""Open a port on the router by PCP, NAT-PMP or UPnP IGD, keep it open, and close it on the way out."""

from portmapper.backend import Backend, BackendOptions
from portmapper.conn import Conn, Message, parse_message
from portmapper.errors import (
    GatewayTimeout,
    GatewayUnreachable,
    InvalidRequest,
    LocalError,
    MapperClosed,
    NoGateway,
    NoMapping,
    NoService,
    PortMapperError,
    PortUnavailable,
    ProtocolError,
    RemoteError,
    RequestRefused,
    UnknownBackend,
    UnsupportedRequest,
    UnsupportedVersion,
)
from portmapper.gateway.detect import default_gateways, gateway_at
from portmapper.mapper import PortMapper
from portmapper.mapping import Mapping
from portmapper.model import (
    Changed,
    Closed,
    Endpoint,
    Event,
    Feature,
    Gateway,
    Lease,
    Lost,
    Mapped,
    MappingRequest,
    MappingState,
    Protocol,
    Reachability,
    RemoteFilter,
    Renewed,
)
from portmapper.opening import open_mapping

__version__ = "0.1.0"

__all__ = [
    "Backend",
    "BackendOptions",
    "Changed",
    "Closed",
    "Conn",
    "Endpoint",
    "Event",
    "Feature",
    "Gateway",
    "GatewayTimeout",
    "GatewayUnreachable",
    "InvalidRequest",
    "Lease",
    "LocalError",
    "Lost",
    "Mapped",
    "MapperClosed",
    "Mapping",
    "MappingRequest",
    "MappingState",
    "Message",
    "NoGateway",
    "NoMapping",
    "NoService",
    "PortMapper",
    "PortMapperError",
    "PortUnavailable",
    "Protocol",
    "ProtocolError",
    "Reachability",
    "RemoteError",
    "RemoteFilter",
    "Renewed",
    "RequestRefused",
    "UnknownBackend",
    "UnsupportedRequest",
    "UnsupportedVersion",
    "default_gateways",
    "gateway_at",
    "open_mapping",
    "parse_message",
]
