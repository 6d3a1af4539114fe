"""The nouns: gateway, what was granted, and what happened; with those of a request."""

from dataclasses import dataclass, field, replace
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Network
from typing import TypeAlias

from portmapper import limits
from portmapper.errors import PortMapperError
from portmapper.request import Endpoint, Feature, IPAddress, MappingRequest, Protocol, RemoteFilter

__all__ = [
    "Changed",
    "Closed",
    "Endpoint",
    "Event",
    "Feature",
    "Gateway",
    "IPAddress",
    "Lease",
    "ListedMapping",
    "Lost",
    "Mapped",
    "MappingRequest",
    "MappingState",
    "Protocol",
    "Reachability",
    "RemoteFilter",
    "Renewed",
    "Restored",
    "reachability",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """A router to ask, and the address of this host that faces it; `network` is that of the link, if it is known.

    `tunnel` is whether it is reached through one, as that of a VPN provider is: leases are short there by default. The
    ports differ from the standard ones only for simulated gateways.
    """

    address: IPAddress
    source: IPAddress
    # What tells one gateway from another is the two addresses: a route that comes or goes beside them makes no other.
    interface: str | None = field(default=None, compare=False)
    network: IPv4Network | None = field(default=None, compare=False)
    tunnel: bool = field(default=False, compare=False)
    port: int = limits.SERVER_PORT
    ssdp_port: int = limits.SSDP_PORT

    def __str__(self) -> str:
        return str(self.address)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """What the gateway granted. `lifetime` in seconds, 0 for one without end; `token` is the backend's own.

    With `count` over 1 it holds for so many consecutive ports from those of `internal` and `external` on.
    """

    request: MappingRequest
    gateway: Gateway
    backend: str
    internal: Endpoint
    external: Endpoint
    lifetime: int
    count: int = 1
    token: bytes = field(default=b"", repr=False)

    @property
    def permanent(self) -> bool:
        """Whether the gateway will never end this by itself."""
        return self.lifetime == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedMapping:
    """One mapping that the gateway has, anybody's, as it told.

    `remote_host` "" is any; `internal_client` is an address, or a host name; `lifetime` is what is left in seconds, 0
    for no end. `own` is whether it leads to this host. The texts are somebody else's: they may hold anything.
    """

    remote_host: str
    external_port: int
    protocol: Protocol
    internal_port: int
    internal_client: str
    enabled: bool
    description: str
    lifetime: int
    own: bool = False

    def seen_from(self, host: IPAddress) -> "ListedMapping":
        """Return it with `own` for the host at that address."""
        return replace(self, own=self.internal_client == str(host))


class MappingState(StrEnum):
    """Where a mapping stands."""

    MAPPED = "mapped"
    LOST = "lost"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Mapped:
    """A gateway granted the mapping."""

    lease: Lease


@dataclass(frozen=True, slots=True)
class Renewed:
    """The lease was extended and nothing else changed."""

    lease: Lease


@dataclass(frozen=True, slots=True)
class Restored:
    """The gateway had lost the mapping, or may have, and has it again at the same external endpoint."""

    lease: Lease


@dataclass(frozen=True, slots=True)
class Changed:
    """The lease was extended, but the external endpoint is another one now."""

    old: Lease
    lease: Lease


@dataclass(frozen=True, slots=True)
class Lost:
    """The lease ended without a renewal; the mapper goes on trying to get it back."""

    lease: Lease
    reason: PortMapperError


@dataclass(frozen=True, slots=True)
class Closed:
    """The mapping is over. `error` says why its last lease could not be released.

    `remaining` is how many seconds a lease that was not released still stands on the gateway, infinity for one
    without end; 0 when nothing is left there.
    """

    lease: Lease
    error: PortMapperError | None = None
    remaining: float = 0.0


Event: TypeAlias = Mapped | Renewed | Restored | Changed | Lost | Closed


class Reachability(StrEnum):
    """What the external address says about reaching it from the Internet."""

    PUBLIC = "public"
    DOUBLE_NAT = "double-nat"
    CGNAT = "cgnat"
    UNKNOWN = "unknown"


# Our own table: `ipaddress` classifies differently from one Python version to the next (CVE-2024-4032).
_PRIVATE = tuple(IPv4Network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))
_SHARED = IPv4Network("100.64.0.0/10")  # RFC 6598
_SPECIAL = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "192.0.0.0/24", "192.0.2.0/24", "198.18.0.0/15",
        "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3",
    )
)  # fmt: skip
_GLOBAL_V6 = IPv6Network("2000::/3")
_DOCUMENTATION_V6 = IPv6Network("2001:db8::/32")


def reachability(address: IPAddress | None) -> Reachability:
    """Return what an external `address` promises; it cannot prove that nothing else is in the way."""
    if isinstance(address, IPv4Address):
        return _reachability_v4(address)
    if address is not None and address in _GLOBAL_V6 and address not in _DOCUMENTATION_V6:
        return Reachability.PUBLIC
    return Reachability.UNKNOWN


def _reachability_v4(address: IPv4Address) -> Reachability:
    if address in _SHARED:
        return Reachability.CGNAT
    if any(address in network for network in _PRIVATE):
        return Reachability.DOUBLE_NAT
    if any(address in network for network in _SPECIAL):
        return Reachability.UNKNOWN
    return Reachability.PUBLIC
