"""What can be wrong, by name, and what is said about it. No I/O."""

from dataclasses import dataclass
from enum import StrEnum


class Code(StrEnum):
    """Every verdict, the most decisive first: of several problems the first in this order is the headline.

    What each means, and what can be done, is in docs/doctor.md.
    """

    NO_NETWORK = "no-network"
    VPN = "vpn"
    NO_GATEWAY = "no-gateway"
    LOCAL_FIREWALL = "local-firewall"
    WRONG_INTERFACE = "wrong-interface"
    IPV6_ONLY = "ipv6-only"
    GATEWAY_DEAD = "gateway-dead"
    SERVICES_OFF = "services-off"
    ICMP_REFUSED = "icmp-refused"
    NONSENSE = "nonsense"
    SILENT = "silent"
    BAD_DESCRIPTION = "bad-description"
    NO_NAT = "no-nat"
    CGNAT = "cgnat"
    NOT_AUTHORIZED = "not-authorized"
    WAN_DOWN = "wan-down"
    DOUBLE_NAT = "double-nat"
    NO_ROOM = "no-room"
    CONFLICT = "conflict"
    TRIAL_FAILED = "trial-failed"
    NOBODY_LISTENS = "nobody-listens"
    LOOPBACK_ONLY = "loopback-only"
    OTHER_ADDRESS = "other-address"
    ANSWERS_ELSEWHERE = "answers-elsewhere"
    LEFT_BEHIND = "left-behind"
    ADDRESSES_DIFFER = "addresses-differ"
    PERMANENT_ONLY = "permanent-only"
    PUBLIC_ADDRESS = "public-address"
    OK = "ok"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong, in a sentence, and what can be done. Unless `blocking` people come in all the same."""

    code: Code
    headline: str
    advice: tuple[str, ...] = ()
    blocking: bool = True
