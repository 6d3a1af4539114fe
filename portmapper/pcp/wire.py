"""The messages of PCP version 2 (RFC 6887 sections 7, 11.1 and 14.1). No I/O."""

import struct
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address
from typing import TypeAlias

from portmapper import limits
from portmapper.errors import ProtocolError
from portmapper.model import IPAddress

VERSION = 2
NONCE = 12
_RESPONSE = 128

_REQUEST_HEAD = struct.Struct(">BBHI16s")
_RESPONSE_HEAD = struct.Struct(">BBBBII12x")
_MAP_BODY = struct.Struct(">12sB3xHH16s")
_OPTION_HEAD = struct.Struct(">BxH")
_VERSION_AND_CODE = struct.Struct(">BBBB")
_MAPPED_PREFIX = bytes(10) + b"\xff\xff"  # section 5: ::ffff:0:0/96


class Opcode(IntEnum):
    """Opcodes of RFC 6887 section 19.2."""

    ANNOUNCE = 0
    MAP = 1


class Result(IntEnum):
    """Result codes of RFC 6887 section 7.4."""

    SUCCESS = 0
    UNSUPP_VERSION = 1
    NOT_AUTHORIZED = 2
    MALFORMED_REQUEST = 3
    UNSUPP_OPCODE = 4
    UNSUPP_OPTION = 5
    MALFORMED_OPTION = 6
    NETWORK_FAILURE = 7
    NO_RESOURCES = 8
    UNSUPP_PROTOCOL = 9
    USER_EX_QUOTA = 10
    CANNOT_PROVIDE_EXTERNAL = 11
    ADDRESS_MISMATCH = 12
    EXCESSIVE_REMOTE_PEERS = 13


@dataclass(frozen=True, slots=True)
class Option:
    """One option (section 7.3), its data without the padding."""

    code: int
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnounceRequest:
    """Asks for the epoch, and so whether PCP is spoken, without changing anything (section 14.1.2)."""

    client: IPAddress
    options: tuple[Option, ...] = ()

    def encode(self) -> bytes:
        """Return the request. Raises ProtocolError if it is too long."""
        return _sized(_request_head(Opcode.ANNOUNCE, 0, self.client) + _encode_options(self.options))


@dataclass(frozen=True, slots=True, kw_only=True)
class MapRequest:
    """Asks for, renews or (with `lifetime` 0) deletes a mapping (section 11.1).

    No preference is external port 0 and the all-zeros address of the wanted family.
    """

    client: IPAddress
    lifetime: int
    nonce: bytes
    protocol: int
    internal_port: int
    external_port: int
    external_address: IPAddress
    options: tuple[Option, ...] = ()

    def encode(self) -> bytes:
        """Return the request. Raises ProtocolError if it is too long."""
        head = _request_head(Opcode.MAP, self.lifetime, self.client)
        return _sized(head + _encode_map_body(self) + _encode_options(self.options))


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnounceResponse:
    """The server is there; `epoch` counts the seconds since it lost its state."""

    result: int
    lifetime: int
    epoch: int
    options: tuple[Option, ...] = ()

    def encode(self) -> bytes:
        """Return the response."""
        head = _response_head(Opcode.ANNOUNCE, self.result, self.lifetime, self.epoch)
        return _sized(head + _encode_options(self.options))


@dataclass(frozen=True, slots=True, kw_only=True)
class MapResponse:
    """What was assigned. `lifetime` is the mapping's on success, else how long the error holds."""

    result: int
    lifetime: int
    epoch: int
    nonce: bytes
    protocol: int
    internal_port: int
    external_port: int
    external_address: IPAddress
    options: tuple[Option, ...] = ()

    def encode(self) -> bytes:
        """Return the response."""
        head = _response_head(Opcode.MAP, self.result, self.lifetime, self.epoch)
        return _sized(head + _encode_map_body(self) + _encode_options(self.options))


@dataclass(frozen=True, slots=True, kw_only=True)
class UnsupportedVersionResponse:
    """The server does not speak version 2; `version` is the highest it does (section 9). 0 is NAT-PMP."""

    version: int

    def encode(self) -> bytes:
        """Return NAT-PMP's 8 bytes for version 0 (RFC 6886 section 3.5), else a PCP head."""
        if self.version == 0:
            return struct.pack(">BBHI", 0, 0, Result.UNSUPP_VERSION, 0)
        return _RESPONSE_HEAD.pack(self.version, _RESPONSE, 0, Result.UNSUPP_VERSION, 0, 0)


Request: TypeAlias = AnnounceRequest | MapRequest
Response: TypeAlias = AnnounceResponse | MapResponse | UnsupportedVersionResponse


def decode_request(data: bytes) -> Request:
    """Return the request in `data`. Raises ProtocolError, and nothing else, whatever `data` holds."""
    _check_size(data)
    version, opcode, _, lifetime, client = _REQUEST_HEAD.unpack_from(data)
    if version != VERSION:
        raise ProtocolError(f"version {version} is not PCP version 2")
    if opcode == Opcode.ANNOUNCE:
        options = _decode_options(data, _REQUEST_HEAD.size)
        return AnnounceRequest(client=decode_address(client), options=options)
    if opcode != Opcode.MAP:
        raise ProtocolError(f"opcode {opcode} is not a request known here")
    nonce, protocol, internal, external, address, options = _decode_map_body(data, _REQUEST_HEAD.size)
    return MapRequest(
        client=decode_address(client),
        lifetime=lifetime,
        nonce=nonce,
        protocol=protocol,
        internal_port=internal,
        external_port=external,
        external_address=address,
        options=options,
    )


def decode_response(data: bytes) -> Response:
    """Return the response in `data`. Raises ProtocolError, and nothing else, whatever `data` holds.

    The order of the checks is that of section 8.3, but for UNSUPP_VERSION: it comes from servers that do not speak
    version 2, NAT-PMP's without the R bit and shorter than any PCP message.
    """
    if len(data) < _VERSION_AND_CODE.size:
        raise ProtocolError("shorter than any PCP response")
    version, opcode, reserved, result = _VERSION_AND_CODE.unpack_from(data)
    if (version, opcode, reserved, result) == (0, 0, 0, Result.UNSUPP_VERSION):
        return UnsupportedVersionResponse(version=0)
    if opcode < _RESPONSE:
        raise ProtocolError("not a response")
    if result == Result.UNSUPP_VERSION:
        return UnsupportedVersionResponse(version=version)
    _check_size(data)
    if version != VERSION:
        raise ProtocolError(f"version {version} is not PCP version 2")
    return _decode_known(data, opcode - _RESPONSE)


def _decode_known(data: bytes, opcode: int) -> Response:
    _, _, _, result, lifetime, epoch = _RESPONSE_HEAD.unpack_from(data)
    if opcode == Opcode.ANNOUNCE:
        options = _decode_options(data, _RESPONSE_HEAD.size)
        return AnnounceResponse(result=result, lifetime=lifetime, epoch=epoch, options=options)
    if opcode != Opcode.MAP:
        raise ProtocolError(f"opcode {opcode} answers nothing that was asked")
    nonce, protocol, internal, external, address, options = _decode_map_body(data, _RESPONSE_HEAD.size)
    return MapResponse(
        result=result,
        lifetime=lifetime,
        epoch=epoch,
        nonce=nonce,
        protocol=protocol,
        internal_port=internal,
        external_port=external,
        external_address=address,
        options=options,
    )


def encode_address(address: IPAddress) -> bytes:
    """Return the 16 bytes of an address; IPv4 as ::ffff:a.b.c.d (section 5)."""
    return _MAPPED_PREFIX + address.packed if isinstance(address, IPv4Address) else address.packed


def decode_address(data: bytes) -> IPAddress:
    """Return the address in 16 bytes; all first 96 bits decide about IPv4 (section 5)."""
    return IPv4Address(data[12:]) if data[:12] == _MAPPED_PREFIX else IPv6Address(data)


def unspecified_like(address: IPAddress) -> IPAddress:
    """Return the all-zeros address of the same family: "no preference" (section 11.1)."""
    return IPv4Address(0) if isinstance(address, IPv4Address) else IPv6Address(0)


def _request_head(opcode: Opcode, lifetime: int, client: IPAddress) -> bytes:
    return _REQUEST_HEAD.pack(VERSION, opcode, 0, lifetime, encode_address(client))


def _response_head(opcode: Opcode, result: int, lifetime: int, epoch: int) -> bytes:
    return _RESPONSE_HEAD.pack(VERSION, _RESPONSE | opcode, 0, result, lifetime, epoch)


def _encode_map_body(message: MapRequest | MapResponse) -> bytes:
    if len(message.nonce) != NONCE:
        raise ProtocolError(f"a nonce has {NONCE} bytes, not {len(message.nonce)}")
    return _MAP_BODY.pack(
        message.nonce,
        message.protocol,
        message.internal_port,
        message.external_port,
        encode_address(message.external_address),
    )


_MapBody: TypeAlias = tuple[bytes, int, int, int, IPAddress, tuple[Option, ...]]


def _decode_map_body(data: bytes, at: int) -> _MapBody:
    if len(data) < at + _MAP_BODY.size:
        raise ProtocolError(f"a MAP message of {len(data)} bytes")
    nonce, protocol, internal, external, address = _MAP_BODY.unpack_from(data, at)
    return nonce, protocol, internal, external, decode_address(address), _decode_options(data, at + _MAP_BODY.size)


def _encode_options(options: tuple[Option, ...]) -> bytes:
    return b"".join(
        _OPTION_HEAD.pack(option.code, len(option.data)) + option.data + bytes(-len(option.data) % 4)
        for option in options
    )


def _decode_options(data: bytes, at: int) -> tuple[Option, ...]:
    options: list[Option] = []
    while at < len(data):
        if len(data) - at < _OPTION_HEAD.size:
            raise ProtocolError("an option without a whole head")
        code, length = _OPTION_HEAD.unpack_from(data, at)
        at += _OPTION_HEAD.size
        if at + length + (-length % 4) > len(data):
            raise ProtocolError(f"option {code} reaches past the end")
        options.append(Option(code, data[at : at + length]))
        at += length + (-length % 4)
    return tuple(options)


def _check_size(data: bytes) -> None:
    if not _REQUEST_HEAD.size <= len(data) <= limits.PCP_DATAGRAM or len(data) % 4:
        raise ProtocolError(f"{len(data)} bytes are no PCP message")  # section 8.3


def _sized(data: bytes) -> bytes:
    if len(data) > limits.PCP_DATAGRAM:
        raise ProtocolError(f"{len(data)} bytes are more than a PCP message may have")  # section 7
    return data
