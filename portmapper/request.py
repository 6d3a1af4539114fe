"""What can be asked of a gateway, and what no protocol could carry. No I/O."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import ClassVar, TypeAlias

from portmapper import limits
from portmapper.errors import InvalidRequest
from portmapper.text import safe_text

IPAddress: TypeAlias = IPv4Address | IPv6Address


class Protocol(str):
    """An IP protocol: its lower-case name, or its number where it has no name here. Made by `parse` and `of`.

    `ALL` is every protocol at once.
    """

    __slots__ = ()
    TCP: ClassVar["Protocol"]
    UDP: ClassVar["Protocol"]
    ALL: ClassVar["Protocol"]

    @property
    def number(self) -> int:
        """The IANA protocol number; 0 for all of them, as PCP has it."""
        return _NUMBERS[self] if self in _NUMBERS else int(self)

    @property
    def has_ports(self) -> bool:
        """Whether it is known to have ports of 16 bits."""
        return self in _WITH_PORTS

    @classmethod
    def parse(cls, text: str) -> "Protocol":
        """Return the protocol with the name (in any case) or number `text`. Raises InvalidRequest."""
        name = text.lower()
        if name in _NUMBERS:
            return cls(name)
        if not (text.isascii() and text.isdigit() and len(text) <= 3 and int(text) <= 255):  # noqa: PLR2004 - 8 bits
            raise InvalidRequest(f"protocol must be tcp, udp, another name or a number to 255, not {safe_text(text)!r}")
        return cls.of(int(text))

    @classmethod
    def of(cls, number: int) -> "Protocol":
        """Return the protocol with an IANA number."""
        return cls(_NAMES.get(number, str(number)))


_NUMBERS = {
    "all": 0, "icmp": 1, "tcp": 6, "udp": 17, "dccp": 33, "ipv6": 41, "gre": 47, "esp": 50, "ah": 51, "icmpv6": 58,
    "sctp": 132, "udplite": 136,
}  # fmt: skip
_NAMES = {number: name for name, number in _NUMBERS.items()}
_WITH_PORTS = frozenset({"tcp", "udp", "dccp", "sctp", "udplite"})

Protocol.TCP, Protocol.UDP, Protocol.ALL = Protocol("tcp"), Protocol("udp"), Protocol("all")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address and a port; 0 is all ports. The address is None while the gateway has not told it."""

    address: IPAddress | None
    port: int

    def __str__(self) -> str:
        if not self.port:
            return str(self.address or "(unknown address)")
        if self.address is None:
            return f"(unknown address):{self.port}"
        return f"[{self.address}]:{self.port}" if self.address.version == 6 else f"{self.address}:{self.port}"  # noqa: PLR2004


@dataclass(frozen=True, slots=True)
class RemoteFilter:
    """Remote peers that may reach a mapping: those in `network`, from `port` (0: from any). Raises InvalidRequest."""

    network: IPv4Network | IPv6Network
    port: int = 0

    def __post_init__(self) -> None:
        check_range("the port of a filter", self.port, 0, limits.LAST_PORT)
        if isinstance(self.network, IPv6Network) and not self.network.prefixlen:
            raise InvalidRequest("a filter that admits all of IPv6 is none")  # on the wire it would remove all filters
        _check_not_mapped(self.network.network_address)

    @classmethod
    def parse(cls, text: str) -> "RemoteFilter":
        """Return the filter for ADDRESS, ADDRESS/PREFIX or [ADDRESS/PREFIX]:PORT. Raises InvalidRequest."""
        with_port = _BRACKETED.fullmatch(text)
        network, port = with_port.groups() if with_port else (text, "0")
        try:
            parsed = ip_network(network)
        except ValueError as error:
            raise InvalidRequest(f"{safe_text(text)!r} is not ADDRESS[/PREFIX] or [ADDRESS/PREFIX]:PORT") from error
        return cls(parsed, int(port))

    def __str__(self) -> str:
        return f"[{self.network}]:{self.port}" if self.port else str(self.network)


_BRACKETED = re.compile(r"\[([^\]]+)\]:([0-9]{1,5})")


class Feature(StrEnum):
    """What not every backend can do; the value is how errors call it."""

    PROTOCOLS = "other protocols than TCP and UDP"
    ALL_PORTS = "all ports at once"
    PORT_SET = "several ports in one mapping"
    REMOTE = "mappings for certain remote peers only"
    THIRD_PARTY = "mappings for another host"
    PEER = "mappings towards one remote peer (PEER)"


@dataclass(frozen=True, slots=True, kw_only=True)
class MappingRequest:
    """What the user wants: `lifetime` in seconds; `external_port` 0 leaves the choice to the gateway.

    `internal_port` is 0 with `all_ports`, and for a protocol that has none. `count` asks for so many consecutive ports,
    `remote` lets only these peers in, `internal_address` is another host's, and with `peer` the mapping is for what
    this host sends there. With `exact` no other external port will do. Raises InvalidRequest for values no protocol
    can carry.
    """

    protocol: Protocol
    internal_port: int
    external_port: int = 0
    lifetime: int = limits.DEFAULT_LIFETIME
    description: str = "portmapper"
    exact: bool = False
    all_ports: bool = False
    count: int = 1
    remote: tuple[RemoteFilter, ...] = ()
    internal_address: IPAddress | None = None
    peer: Endpoint | None = None

    def __post_init__(self) -> None:
        _check_ports(self)
        _check_kind(self)
        check_range("lifetime", self.lifetime, 1, limits.MAX_LIFETIME)
        if len(self.description) > limits.DESCRIPTION_TEXT or not self.description.isprintable():
            raise InvalidRequest(f"description must be at most {limits.DESCRIPTION_TEXT} printable characters")

    @property
    def needs(self) -> frozenset[Feature]:
        """What a backend has to offer for this, beyond a TCP or UDP port of this host."""
        wanted = {
            Feature.PROTOCOLS: self.protocol not in {Protocol.TCP, Protocol.UDP},
            Feature.ALL_PORTS: not self.internal_port,
            Feature.PORT_SET: self.count > 1,
            Feature.REMOTE: bool(self.remote),
            Feature.THIRD_PARTY: self.internal_address is not None,
            Feature.PEER: self.peer is not None,
        }
        return frozenset(feature for feature, needed in wanted.items() if needed)

    def overlaps(self, other: "MappingRequest") -> bool:
        """Whether both are for a port of the same host and protocol."""
        if (
            (self.protocol, self.internal_address) != (other.protocol, other.internal_address)
            or self.peer
            or other.peer
        ):
            return False
        last, others_last = self.internal_port + self.count, other.internal_port + other.count
        return self.internal_port < others_last and other.internal_port < last

    def __str__(self) -> str:
        ports = f"{self.internal_port}-{self.internal_port + self.count - 1}" if self.count > 1 else self.internal_port
        what = f"{ports or 'all'}/{self.protocol}"
        return f"{what} towards {self.peer}" if self.peer else what


def parse_host(text: str) -> IPAddress:
    """Return the address of a host that a caller gave. Raises InvalidRequest."""
    try:
        address = ip_address(text)
    except ValueError:
        raise InvalidRequest(f"{safe_text(text)!r} is no IP address") from None
    _check_not_mapped(address)
    return address


def parse_remote(remote: Iterable[RemoteFilter | str] | RemoteFilter | str) -> tuple[RemoteFilter, ...]:
    """Return the filters in what a caller gave: one or several, parsed or as text. Raises InvalidRequest."""
    several = (remote,) if isinstance(remote, RemoteFilter | str) else remote
    return tuple(RemoteFilter.parse(one) if isinstance(one, str) else one for one in several)


def check_interval(seconds: float | None) -> None:
    """Raise InvalidRequest for a `check` of the mapper that would be a flood; None is never."""
    if seconds is not None and not seconds >= limits.CHECK_AGAIN:
        raise InvalidRequest(f"check must be at least {limits.CHECK_AGAIN:g} seconds, or none at all")


def watch_interval(seconds: float) -> None:
    """Raise InvalidRequest for an `interval` of a watch that would be a flood."""
    if not seconds >= limits.CHECK_AGAIN:
        raise InvalidRequest(f"interval must be at least {limits.CHECK_AGAIN:g} seconds")


def check_families(request: MappingRequest, source: IPAddress) -> None:
    """Raise InvalidRequest unless all addresses of `request` are of the family of `source` (RFC 6887 section 13.3)."""
    addresses = [one.network for one in request.remote]
    others = [request.internal_address, request.peer.address if request.peer else None]
    for address in (*addresses, *(other for other in others if other is not None)):
        if address.version != source.version:
            raise InvalidRequest(f"{address} is not of the family of {source}, the address that the mapping is for")


def _check_ports(request: MappingRequest) -> None:
    last = request.count - 1
    needs_port = request.protocol.has_ports and not request.all_ports
    check_range("port", request.internal_port, 1 if needs_port else 0, limits.LAST_PORT)
    check_range("external port", request.external_port, 0, limits.LAST_PORT)
    check_range("count", request.count, 1, limits.LAST_PORT)
    if max(request.internal_port, request.external_port) + last > limits.LAST_PORT:
        raise InvalidRequest(f"{request.count} ports from {request} on go beyond 65535")
    if request.internal_port and request.all_ports:
        raise InvalidRequest("for all ports, port must be 0")
    if request.internal_port and not request.protocol.has_ports:
        raise InvalidRequest(f"{request.protocol} has no ports that are known: port must be 0")  # RFC 6887 11.1, 11.2
    if not request.internal_port and (request.external_port or last):
        raise InvalidRequest("a mapping of all ports has no external port and no count")


def _check_kind(request: MappingRequest) -> None:
    if request.exact and not request.external_port:
        wanted = "the external port that it has to be: write PORT:EXTERNAL (in Python: external_port=)"
        raise InvalidRequest(f"an exact mapping needs {wanted}")
    if request.exact and request.count > 1:
        raise InvalidRequest("several ports cannot be exact ones")  # RFC 7753 section 4.1
    if len(request.remote) > limits.REMOTE_FILTERS:
        raise InvalidRequest(f"at most {limits.REMOTE_FILTERS} filters")
    if request.internal_address is not None and _is_nowhere(request.internal_address):
        raise InvalidRequest(f"{request.internal_address} is no host")
    if request.peer is not None:
        _check_peer(request, request.peer)


def _check_peer(request: MappingRequest, peer: Endpoint) -> None:
    # RFC 6887 section 12.1: protocol and both ports are not zero; no PREFER_FAILURE, FILTER or PORT_SET.
    check_range("the port of the peer", peer.port, 1, limits.LAST_PORT)
    if peer.address is None or _is_nowhere(peer.address):
        raise InvalidRequest("the peer needs an address")
    if not request.internal_port:
        raise InvalidRequest("a mapping towards a peer needs a port")
    if request.exact or request.remote or request.count > 1:
        raise InvalidRequest("a mapping towards a peer cannot be exact, filtered or of several ports")


def _is_nowhere(address: IPAddress) -> bool:
    return address.is_unspecified or address.is_multicast


def _check_not_mapped(address: IPAddress) -> None:
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        raise InvalidRequest(f"{address} is an IPv4 address: write {address.ipv4_mapped}")


def check_range(what: str, value: float, low: int, high: int) -> None:
    """Raise InvalidRequest unless `value` is `low` to `high`."""
    if not isinstance(value, int):
        raise InvalidRequest(f"{what} must be a whole number, not {value!r}")
    if not low <= value <= high:
        raise InvalidRequest(f"{what} must be {low} to {high}, not {value}")
