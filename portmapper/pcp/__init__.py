"""PCP (RFC 6887): its messages and options, for Conn."""

from portmapper.pcp.options import (
    Description,
    Filter,
    Option,
    PortSet,
    PreferFailure,
    ThirdParty,
    UnknownOption,
)
from portmapper.pcp.results import Result
from portmapper.pcp.wire import (
    AnnounceRequest,
    AnnounceResponse,
    MapRequest,
    MapResponse,
    PeerRequest,
    PeerResponse,
    UnsupportedVersionResponse,
)

__all__ = [
    "AnnounceRequest",
    "AnnounceResponse",
    "Description",
    "Filter",
    "MapRequest",
    "MapResponse",
    "Option",
    "PeerRequest",
    "PeerResponse",
    "PortSet",
    "PreferFailure",
    "Result",
    "ThirdParty",
    "UnknownOption",
    "UnsupportedVersionResponse",
]
