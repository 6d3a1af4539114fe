"""The options of PCP (RFC 6887 sections 7.3 and 13, RFC 7220, RFC 7753). No I/O."""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import ClassVar, TypeAlias

from portmapper.errors import InvalidRequest, ProtocolError
from portmapper.model import IPAddress
from portmapper.pcp.address import decode_address, encode_address
from portmapper.request import check_range

_HEAD = struct.Struct(">BxH")
_FILTER = struct.Struct(">xBH16s")
_PORT_SET = struct.Struct(">HHB")
_IPV4_PREFIX = 96  # an IPv4 prefix of n bits is one of 96 + n (RFC 6887 section 13.3)
_IPV6_PREFIX = 128
_DESCRIPTION = 1016  # RFC 7220 section 2


@dataclass(frozen=True, slots=True)
class ThirdParty:
    """The mapping is for another host (RFC 6887 section 13.1)."""

    code: ClassVar[int] = 1
    address: IPAddress

    @property
    def data(self) -> bytes:
        """The option without head and padding."""
        return encode_address(self.address)


@dataclass(frozen=True, slots=True)
class PreferFailure:
    """Rather none than another external port or address (RFC 6887 section 13.2)."""

    code: ClassVar[int] = 2
    data: ClassVar[bytes] = b""


@dataclass(frozen=True, slots=True)
class Filter:
    """Only these remote peers (RFC 6887 section 13.3); `port` 0 is all ports, `prefix` 0 removes all filters.

    `prefix` is as on the wire: 96 to 128 for IPv4.
    """

    code: ClassVar[int] = 3
    address: IPAddress
    prefix: int
    port: int = 0

    def __post_init__(self) -> None:
        check_range("the prefix of a filter", self.prefix, 0, _IPV6_PREFIX)
        check_range("the port of a filter", self.port, 0, 65535)

    @classmethod
    def of(cls, network: IPv4Network | IPv6Network, port: int = 0) -> "Filter":
        """Return the filter that admits `network`. Raises InvalidRequest."""
        offset = _IPV4_PREFIX if isinstance(network, IPv4Network) else 0
        return cls(network.network_address, network.prefixlen + offset, port)

    @property
    def data(self) -> bytes:
        """The option without head and padding."""
        return _FILTER.pack(self.prefix, self.port, encode_address(self.address))


@dataclass(frozen=True, slots=True)
class Description:
    """What the mapping is for (RFC 7220); a server may cut it, even inside a character."""

    code: ClassVar[int] = 128
    text: str

    def __post_init__(self) -> None:
        try:
            size = len(self.data)
        except UnicodeEncodeError as error:
            raise InvalidRequest("the description is no text") from error
        if size > _DESCRIPTION:
            raise InvalidRequest(f"a description has at most {_DESCRIPTION} bytes")

    @property
    def data(self) -> bytes:
        """The option without head and padding."""
        return self.text.encode("utf-8", "surrogateescape")


@dataclass(frozen=True, slots=True)
class PortSet:
    """Several consecutive ports (RFC 7753); `parity` asks that odd stays odd."""

    code: ClassVar[int] = 130
    size: int
    first_port: int
    parity: bool = False

    def __post_init__(self) -> None:
        if not (1 <= self.size <= 65535 and 0 <= self.first_port <= 65535):  # noqa: PLR2004 - 16 bits
            raise InvalidRequest(f"a port set of {self.size} ports from {self.first_port} is not possible")

    @property
    def data(self) -> bytes:
        """The option without head and padding."""
        return _PORT_SET.pack(self.size, self.first_port, self.parity)


@dataclass(frozen=True, slots=True)
class UnknownOption:
    """An option that is not known here, kept as it came (RFC 6887 section 7.3)."""

    code: int
    data: bytes

    def __post_init__(self) -> None:
        check_range("the code of an option", self.code, 0, 255)
        check_range("the length of an option", len(self.data), 0, 65535)


_SIZES = {ThirdParty.code: 16, PreferFailure.code: 0, Filter.code: _FILTER.size, PortSet.code: _PORT_SET.size}

Option: TypeAlias = ThirdParty | PreferFailure | Filter | Description | PortSet | UnknownOption


def is_mandatory(code: int) -> bool:
    """Whether a server must process the option or refuse the request (section 7.3)."""
    return code < 128  # noqa: PLR2004 - the top bit


def encode_options(options: Iterable[Option]) -> bytes:
    """Return the options one after the other, each padded to a multiple of 4."""
    return b"".join(
        _HEAD.pack(option.code, len(option.data)) + option.data + bytes(-len(option.data) % 4) for option in options
    )


def decode_options(data: bytes, at: int) -> tuple[Option, ...]:
    """Return the options in `data` from `at` to its end. Raises ProtocolError, and nothing else."""
    options: list[Option] = []
    while at < len(data):
        if len(data) - at < _HEAD.size:
            raise ProtocolError("an option without a whole head")
        code, length = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        end = at + length + (-length % 4)
        if end > len(data):
            raise ProtocolError(f"option {code} reaches past the end")
        options.append(_decode_option(code, data[at : at + length]))
        at = end
    return tuple(options)


def _decode_option(code: int, data: bytes) -> Option:
    if len(data) != _SIZES.get(code, len(data)):
        raise ProtocolError(f"option {code} with {len(data)} bytes")
    if code == ThirdParty.code:
        return ThirdParty(decode_address(data))
    if code == PreferFailure.code:
        return PreferFailure()
    try:
        return _decode_checked(code, data)
    except InvalidRequest as error:  # theirs here, not ours
        raise ProtocolError(str(error)) from error


def _decode_checked(code: int, data: bytes) -> Option:
    if code == Filter.code:
        prefix, port, address = _FILTER.unpack(data)
        return Filter(decode_address(address), prefix, port)
    if code == Description.code:
        return Description(data.decode("utf-8", "surrogateescape"))
    if code == PortSet.code:
        size, first_port, flags = _PORT_SET.unpack(data)
        return PortSet(size, first_port, parity=bool(flags & 1))
    return UnknownOption(code, data)
