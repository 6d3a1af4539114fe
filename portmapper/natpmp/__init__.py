"""NAT-PMP (RFC 6886): its messages, for Conn."""

from portmapper.natpmp.wire import (
    AddressRequest,
    AddressResponse,
    ErrorResponse,
    MapRequest,
    MapResponse,
    Result,
    UnsupportedVersionResponse,
)

__all__ = [
    "AddressRequest",
    "AddressResponse",
    "ErrorResponse",
    "MapRequest",
    "MapResponse",
    "Result",
    "UnsupportedVersionResponse",
]
