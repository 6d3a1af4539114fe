"""Open a port on the router by PCP, NAT-PMP or UPnP IGD, keep it open, and close it on the way out."""

from portmapper.backend import Backend, BackendOptions
from portmapper.clearing import ClearedMapping
from portmapper.conn import Conn, Message, parse_message
from portmapper.errors import (
    GatewayTimeout,
    GatewayUnreachable,
    InUseLocally,
    InvalidRequest,
    LocalError,
    MapperClosed,
    MappingGone,
    NoGateway,
    NoMapping,
    NoService,
    NotHere,
    PortMapperError,
    PortUnavailable,
    ProtocolError,
    RemoteError,
    RequestRefused,
    UnknownBackend,
    UnsupportedRequest,
    UnsupportedVersion,
)
from portmapper.everywhere import EveryGateway
from portmapper.gateway.detect import gateway_at, gateways
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
    ListedMapping,
    Lost,
    Mapped,
    MappingRequest,
    MappingState,
    Protocol,
    Reachability,
    RemoteFilter,
    Renewed,
    Restored,
)
from portmapper.opening import open_mapping
from portmapper.state.folder import NotedMapping, noted_mappings
from portmapper.state.journal import Note, NoteState

__version__ = "0.1.0"

__all__ = [
    "Backend",
    "BackendOptions",
    "Changed",
    "ClearedMapping",
    "Closed",
    "Conn",
    "Endpoint",
    "Event",
    "EveryGateway",
    "Feature",
    "Gateway",
    "GatewayTimeout",
    "GatewayUnreachable",
    "InUseLocally",
    "InvalidRequest",
    "Lease",
    "ListedMapping",
    "LocalError",
    "Lost",
    "Mapped",
    "MapperClosed",
    "Mapping",
    "MappingGone",
    "MappingRequest",
    "MappingState",
    "Message",
    "NoGateway",
    "NoMapping",
    "NoService",
    "NotHere",
    "Note",
    "NoteState",
    "NotedMapping",
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
    "Restored",
    "UnknownBackend",
    "UnsupportedRequest",
    "UnsupportedVersion",
    "gateway_at",
    "gateways",
    "noted_mappings",
    "open_mapping",
    "parse_message",
]
