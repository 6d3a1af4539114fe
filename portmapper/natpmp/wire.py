"""The messages of NAT-PMP (RFC 6886 section 3). No I/O."""

import struct
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address
from typing import TypeAlias

from portmapper import limits
from portmapper.errors import InvalidRequest, ProtocolError
from portmapper.model import Protocol
from portmapper.request import check_range

VERSION = 0
_RESPONSE = 128  # RFC 6886 section 3: opcodes 128 and above are responses
_ADDRESS = 0
_OPCODES = {Protocol.UDP: 1, Protocol.TCP: 2}
_PROTOCOLS = {opcode: protocol for protocol, opcode in _OPCODES.items()}

_HEAD = struct.Struct(">BB")
_MAP_REQUEST = struct.Struct(">BBHHHI")
_RESPONSE_HEAD = struct.Struct(">BBHI")
_ADDRESS_RESPONSE = struct.Struct(">BBHI4s")
_MAP_RESPONSE = struct.Struct(">BBHIHHI")


class Result(IntEnum):
    """Result codes of RFC 6886 section 3.5."""

    SUCCESS = 0
    UNSUPPORTED_VERSION = 1
    NOT_AUTHORIZED = 2
    NETWORK_FAILURE = 3
    OUT_OF_RESOURCES = 4
    UNSUPPORTED_OPCODE = 5


@dataclass(frozen=True, slots=True)
class AddressRequest:
    """Asks for the external address (RFC 6886 section 3.2)."""

    def encode(self) -> bytes:
        """Return the 2 bytes of the request."""
        return _HEAD.pack(VERSION, _ADDRESS)


@dataclass(frozen=True, slots=True, kw_only=True)
class MapRequest:
    """Asks for or renews a mapping, or deletes it with `lifetime` 0 (RFC 6886 3.3, 3.4); `lifetime` in seconds.

    Raises InvalidRequest.
    """

    protocol: Protocol
    internal_port: int
    external_port: int
    lifetime: int

    def __post_init__(self) -> None:
        if self.protocol not in _OPCODES:
            raise InvalidRequest(f"NAT-PMP maps tcp and udp, not {self.protocol}")
        check_range("internal port", self.internal_port, 0, 65535)
        check_range("external port", self.external_port, 0, 65535)
        check_range("lifetime", self.lifetime, 0, limits.MAX_LIFETIME)

    def encode(self) -> bytes:
        """Return the 12 bytes of the request."""
        opcode = _OPCODES[self.protocol]
        return _MAP_REQUEST.pack(VERSION, opcode, 0, self.internal_port, self.external_port, self.lifetime)


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressResponse:
    """The external address (RFC 6886 section 3.2); undefined when `result` is not 0.

    `epoch` is in seconds since the server lost its state.
    """

    result: int
    epoch: int
    address: IPv4Address

    def encode(self) -> bytes:
        """Return the 12 bytes of the response."""
        return _ADDRESS_RESPONSE.pack(VERSION, _RESPONSE, self.result, self.epoch, self.address.packed)


@dataclass(frozen=True, slots=True, kw_only=True)
class MapResponse:
    """What was mapped; only `internal_port` counts when `result` is not 0 (RFC 6886 section 3.3). Times in seconds."""

    protocol: Protocol
    result: int
    epoch: int
    internal_port: int
    external_port: int
    lifetime: int

    def encode(self) -> bytes:
        """Return the 16 bytes of the response."""
        opcode = _RESPONSE + _OPCODES[self.protocol]
        ports = (self.internal_port, self.external_port)
        return _MAP_RESPONSE.pack(VERSION, opcode, self.result, self.epoch, *ports, self.lifetime)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnsupportedVersionResponse:
    """The server does not know the version asked, but `version`; opcode 0 and 8 bytes (RFC 6886 section 3.5).

    `epoch` in seconds, as in every answer.
    A PCP server answers so in its own form, where the last 4 of these bytes are no epoch.
    """

    epoch: int
    version: int = VERSION

    def encode(self) -> bytes:
        """Return the 8 bytes of the response."""
        opcode = 0 if self.version == VERSION else _RESPONSE
        return _RESPONSE_HEAD.pack(self.version, opcode, Result.UNSUPPORTED_VERSION, self.epoch)


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorResponse:
    """An error that carries no more than its head, or echoes a request we cannot read (RFC 6886 section 3.5)."""

    opcode: int
    result: int

    def encode(self) -> bytes:
        """Return the shortest form of the response."""
        return _RESPONSE_HEAD.pack(VERSION, _RESPONSE | self.opcode, self.result, 0)


Request: TypeAlias = AddressRequest | MapRequest
Response: TypeAlias = AddressResponse | MapResponse | UnsupportedVersionResponse | ErrorResponse


def decode_request(data: bytes) -> Request:
    """Return the request in `data`. Raises ProtocolError, and nothing else, whatever `data` holds."""
    if len(data) < _HEAD.size or data[0] != VERSION:
        raise ProtocolError("not a NAT-PMP request")
    opcode = data[1]
    if opcode == _ADDRESS:
        return AddressRequest()
    if opcode not in _PROTOCOLS or len(data) < _MAP_REQUEST.size:
        raise ProtocolError(f"not a NAT-PMP request: opcode {opcode} in {len(data)} bytes")
    _, _, _, internal, external, lifetime = _MAP_REQUEST.unpack_from(data)
    return MapRequest(protocol=_PROTOCOLS[opcode], internal_port=internal, external_port=external, lifetime=lifetime)


def decode_response(data: bytes) -> Response:
    """Return the response in `data`. Raises ProtocolError, and nothing else, whatever `data` holds.

    Bytes after the end of the form are ignored.
    """
    if len(data) < _RESPONSE_HEAD.size:
        raise ProtocolError("shorter than any NAT-PMP response")
    version, opcode, result, epoch = _RESPONSE_HEAD.unpack_from(data)
    # Opcode 0 by section 3.5; 128 + x is seen in the field, and is what a PCP server answers (RFC 6887 section 9).
    if result == Result.UNSUPPORTED_VERSION and (opcode >= _RESPONSE or (version, opcode) == (VERSION, 0)):
        return UnsupportedVersionResponse(epoch=epoch, version=version)
    if version != VERSION:
        raise ProtocolError(f"version {version} is not NAT-PMP")
    if opcode < _RESPONSE:
        raise ProtocolError(f"opcode {opcode} is a request")
    return _decode_body(data, opcode - _RESPONSE, result, epoch)


def _decode_body(data: bytes, opcode: int, result: int, epoch: int) -> Response:
    if result == Result.UNSUPPORTED_OPCODE:  # echoes the request: where the epoch would be are its ports
        return ErrorResponse(opcode=opcode, result=result)
    if opcode == _ADDRESS and len(data) >= _ADDRESS_RESPONSE.size:
        address = IPv4Address(_ADDRESS_RESPONSE.unpack_from(data)[4])
        return AddressResponse(result=result, epoch=epoch, address=address)
    if opcode in _PROTOCOLS and len(data) >= _MAP_RESPONSE.size:
        return _decode_map_response(data, _PROTOCOLS[opcode])
    if result != Result.SUCCESS:
        return ErrorResponse(opcode=opcode, result=result)
    raise ProtocolError(f"response with opcode {opcode} in {len(data)} bytes")


def _decode_map_response(data: bytes, protocol: Protocol) -> MapResponse:
    _, _, result, epoch, internal, external, lifetime = _MAP_RESPONSE.unpack_from(data)
    return MapResponse(
        protocol=protocol,
        result=result,
        epoch=epoch,
        internal_port=internal,
        external_port=external,
        lifetime=lifetime,
    )


def opcode_of(request: Request) -> int:
    """Return the opcode that `request` carries."""
    return _ADDRESS if isinstance(request, AddressRequest) else _OPCODES[request.protocol]
