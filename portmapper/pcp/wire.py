"""The messages of PCP version 2 (RFC 6887 sections 7, 11.1, 12.1 and 14.1). No I/O."""

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, TypeAlias

from portmapper import limits
from portmapper.errors import InvalidRequest, ProtocolError
from portmapper.model import IPAddress
from portmapper.pcp.address import decode_address, encode_address
from portmapper.pcp.options import Option, decode_options, encode_options
from portmapper.pcp.results import Result
from portmapper.pcp.rules import check_announce_options, check_map_options, check_peer_options
from portmapper.request import check_range

VERSION = 2
NONCE = 12
_RESPONSE = 128

_REQUEST_HEAD = struct.Struct(">BBHI16s")
_RESPONSE_HEAD = struct.Struct(">BBBBII12x")
_MAP_BODY = struct.Struct(">12sB3xHH16s")
_PEER_BODY = struct.Struct(">H2x16s")
_VERSION_AND_CODE = struct.Struct(">BBBB")


class Opcode(IntEnum):
    """Opcodes of RFC 6887 section 19.2."""

    ANNOUNCE = 0
    MAP = 1
    PEER = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnounceRequest:
    """Asks for the epoch, and so whether PCP is spoken, without changing anything (RFC 6887 section 14.1)."""

    client: IPAddress
    options: tuple[Option, ...] = ()

    def __post_init__(self) -> None:
        check_announce_options(self.options)

    def encode(self) -> bytes:
        """Return the request. Raises InvalidRequest if it is too long."""
        return _sized(_request_head(Opcode.ANNOUNCE, 0, self.client) + encode_options(self.options))


@dataclass(frozen=True, slots=True, kw_only=True)
class MapRequest:
    """Asks for or renews a mapping, or deletes it with `lifetime` 0 (RFC 6887 11.1); `lifetime` in seconds.

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

    def __post_init__(self) -> None:
        _check_mapping(self)
        if self.internal_port and not self.protocol:
            raise InvalidRequest("all protocols go only with all ports")  # section 11.1
        check_map_options(
            self.options,
            internal_port=self.internal_port,
            external_port=self.external_port,
            lifetime=self.lifetime,
        )

    def encode(self) -> bytes:
        """Return the request. Raises InvalidRequest if it is too long."""
        head = _request_head(Opcode.MAP, self.lifetime, self.client)
        return _sized(head + _encode_map_body(self) + encode_options(self.options))


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerRequest:
    """Asks for, or renews, an outbound mapping to one remote peer (RFC 6887 section 12.1); `lifetime` in seconds."""

    client: IPAddress
    lifetime: int
    nonce: bytes
    protocol: int
    internal_port: int
    external_port: int
    external_address: IPAddress
    remote_port: int
    remote_address: IPAddress
    options: tuple[Option, ...] = ()

    def __post_init__(self) -> None:
        _check_mapping(self)
        check_range("remote port", self.remote_port, 1, limits.LAST_PORT)
        if not (self.protocol and self.internal_port):
            raise InvalidRequest("PEER needs a protocol and an internal port")  # section 12.1
        check_peer_options(self.options)

    def encode(self) -> bytes:
        """Return the request. Raises InvalidRequest if it is too long."""
        head = _request_head(Opcode.PEER, self.lifetime, self.client)
        return _sized(head + _encode_map_body(self) + _encode_peer_body(self) + encode_options(self.options))


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnounceResponse:
    """The server is there; `epoch` counts the seconds since it lost its state (RFC 6887 section 14.1)."""

    result: int
    lifetime: int
    epoch: int
    options: tuple[Option, ...] = ()

    def __post_init__(self) -> None:
        _check_answer(self)
        check_range("lifetime", self.lifetime, 0, limits.MAX_LIFETIME)

    def encode(self) -> bytes:
        """Return the response. Raises InvalidRequest if it is too long."""
        return _sized(_response_head(Opcode.ANNOUNCE, self) + encode_options(self.options))


@dataclass(frozen=True, slots=True, kw_only=True)
class MapResponse:
    """What was assigned (RFC 6887 section 11.1); times in seconds.

    `lifetime` is the mapping's on success, else how long the error holds.
    """

    result: int
    lifetime: int
    epoch: int
    nonce: bytes
    protocol: int
    internal_port: int
    external_port: int
    external_address: IPAddress
    options: tuple[Option, ...] = ()

    def __post_init__(self) -> None:
        _check_answer(self)
        _check_mapping(self)

    def encode(self) -> bytes:
        """Return the response. Raises InvalidRequest if it is too long."""
        return _sized(_response_head(Opcode.MAP, self) + _encode_map_body(self) + encode_options(self.options))


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerResponse:
    """What was assigned for one remote peer (RFC 6887 section 12.1); times in seconds.

    The fields are those of MapResponse and PeerRequest.
    """

    result: int
    lifetime: int
    epoch: int
    nonce: bytes
    protocol: int
    internal_port: int
    external_port: int
    external_address: IPAddress
    remote_port: int
    remote_address: IPAddress
    options: tuple[Option, ...] = ()

    def __post_init__(self) -> None:
        _check_answer(self)
        _check_mapping(self)
        check_range("remote port", self.remote_port, 0, limits.LAST_PORT)

    def encode(self) -> bytes:
        """Return the response. Raises InvalidRequest if it is too long."""
        head = _response_head(Opcode.PEER, self)
        return _sized(head + _encode_map_body(self) + _encode_peer_body(self) + encode_options(self.options))


@dataclass(frozen=True, slots=True, kw_only=True)
class UnsupportedVersionResponse:
    """The server does not speak version 2; `version` is the highest it does (RFC 6887 section 9). 0 is NAT-PMP."""

    version: int

    def __post_init__(self) -> None:
        check_range("version", self.version, 0, 255)

    def encode(self) -> bytes:
        """Return NAT-PMP's 8 bytes for version 0 (RFC 6886 section 3.5), else a PCP head."""
        if self.version == 0:
            return struct.pack(">BBHI", 0, 0, Result.UNSUPP_VERSION, 0)
        return _RESPONSE_HEAD.pack(self.version, _RESPONSE, 0, Result.UNSUPP_VERSION, 0, 0)


Mapping: TypeAlias = MapRequest | MapResponse | PeerRequest | PeerResponse
Request: TypeAlias = AnnounceRequest | MapRequest | PeerRequest
Answer: TypeAlias = AnnounceResponse | MapResponse | PeerResponse
Response: TypeAlias = Answer | UnsupportedVersionResponse


def decode_request(data: bytes) -> Request:
    """Return the request in `data`. Raises ProtocolError, and nothing else, whatever `data` holds."""
    try:
        return _decode_request(data)
    except InvalidRequest as error:  # theirs here, not ours
        raise ProtocolError(str(error)) from error


def _decode_request(data: bytes) -> Request:
    _check_head(data)
    _, opcode, _, lifetime, client = _REQUEST_HEAD.unpack_from(data)
    common: dict[str, Any] = {"client": decode_address(client)}
    if opcode == Opcode.ANNOUNCE:
        return AnnounceRequest(**common, options=decode_options(data, _REQUEST_HEAD.size))
    if opcode == Opcode.MAP:
        return MapRequest(**common, lifetime=lifetime, **_decode_map_body(data))
    if opcode == Opcode.PEER:
        return PeerRequest(**common, lifetime=lifetime, **_decode_peer_body(data))
    raise ProtocolError(f"opcode {opcode} is not a request known here")


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
    _check_head(data)
    return _decode_known(data, opcode - _RESPONSE)


def _decode_known(data: bytes, opcode: int) -> Response:
    _, _, _, result, lifetime, epoch = _RESPONSE_HEAD.unpack_from(data)
    common: dict[str, Any] = {"result": result, "lifetime": lifetime, "epoch": epoch}
    if opcode == Opcode.ANNOUNCE:
        return AnnounceResponse(**common, options=decode_options(data, _RESPONSE_HEAD.size))
    if opcode == Opcode.MAP:
        return MapResponse(**common, **_decode_map_body(data))
    if opcode == Opcode.PEER:
        return PeerResponse(**common, **_decode_peer_body(data))
    raise ProtocolError(f"opcode {opcode} answers nothing that was asked")


def _request_head(opcode: Opcode, lifetime: int, client: IPAddress) -> bytes:
    return _REQUEST_HEAD.pack(VERSION, opcode, 0, lifetime, encode_address(client))


def _response_head(opcode: Opcode, answer: Answer) -> bytes:
    return _RESPONSE_HEAD.pack(VERSION, _RESPONSE | opcode, 0, answer.result, answer.lifetime, answer.epoch)


def _encode_map_body(message: Mapping) -> bytes:
    ports = (message.internal_port, message.external_port)
    return _MAP_BODY.pack(message.nonce, message.protocol, *ports, encode_address(message.external_address))


def _encode_peer_body(message: PeerRequest | PeerResponse) -> bytes:
    return _PEER_BODY.pack(message.remote_port, encode_address(message.remote_address))


def _decode_map_body(data: bytes, *, with_options: bool = True) -> dict[str, Any]:
    end = _REQUEST_HEAD.size + _MAP_BODY.size
    if len(data) < end:
        raise ProtocolError(f"a mapping in {len(data)} bytes")
    nonce, protocol, internal, external, address = _MAP_BODY.unpack_from(data, _REQUEST_HEAD.size)
    return {
        "nonce": nonce,
        "protocol": protocol,
        "internal_port": internal,
        "external_port": external,
        "external_address": decode_address(address),
        "options": decode_options(data, end) if with_options else (),
    }


def _decode_peer_body(data: bytes) -> dict[str, Any]:
    fields = _decode_map_body(data, with_options=False)
    at = _REQUEST_HEAD.size + _MAP_BODY.size
    if len(data) < at + _PEER_BODY.size:
        raise ProtocolError(f"a PEER message of {len(data)} bytes")
    port, address = _PEER_BODY.unpack_from(data, at)
    peer = {"remote_port": port, "remote_address": decode_address(address)}
    return {**fields, **peer, "options": decode_options(data, at + _PEER_BODY.size)}


def _check_head(data: bytes) -> None:
    if not _REQUEST_HEAD.size <= len(data) <= limits.PCP_DATAGRAM or len(data) % 4:
        raise ProtocolError(f"{len(data)} bytes are no PCP message")  # section 8.3
    if data[0] != VERSION:
        raise ProtocolError(f"version {data[0]} is not PCP version 2")


def _check_mapping(message: Mapping) -> None:
    if len(message.nonce) != NONCE:
        raise InvalidRequest(f"a nonce has {NONCE} bytes, not {len(message.nonce)}")
    check_range("protocol", message.protocol, 0, 255)
    check_range("internal port", message.internal_port, 0, limits.LAST_PORT)
    check_range("external port", message.external_port, 0, limits.LAST_PORT)
    check_range("lifetime", message.lifetime, 0, limits.MAX_LIFETIME)


def _check_answer(answer: Answer) -> None:
    check_range("result", answer.result, 0, 255)
    check_range("epoch", answer.epoch, 0, 2**32 - 1)


def _sized(data: bytes) -> bytes:
    if len(data) > limits.PCP_DATAGRAM:
        raise InvalidRequest(f"{len(data)} bytes are more than a PCP message may have")  # section 7
    return data
