"""WANIPv6FirewallControl:1 of a simulated gateway: pinholes that are only noted, nothing is filtered."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv6Address

from portmapper.model import Protocol
from portmapper.testing.igd_calls import INVALID_ARGS, NOT_IMPLEMENTED, Call, Handler, Refused, first_code
from portmapper.testing.igd_switches import IgdSwitches

_NOT_AUTHORIZED = 606
_NO_SPACE, _DISABLED, _NOT_ALLOWED, _NO_SUCH_ENTRY, _UNKNOWN_PROTOCOL = 701, 702, 703, 704, 705
_PORT_WILDCARD, _PROTOCOL_WILDCARD, _CLIENT_WILDCARD, _NO_TRAFFIC = 706, 707, 708, 709
_LONGEST = 86400  # UP-123
_ALL_PROTOCOLS = 65535
_TIMEOUT = 120


@dataclass(slots=True)
class Pinhole:
    """A hole in the firewall; `packets` is what GetPinholePackets says."""

    remote_host: str
    remote_port: int
    client: IPv6Address
    port: int
    protocol: int
    ends: float
    packets: int = 0

    @property
    def key(self) -> tuple[str, int, IPv6Address, int, int]:
        """What makes it another pinhole (UP-124)."""
        return self.remote_host, self.remote_port, self.client, self.port, self.protocol


@dataclass(slots=True)
class Pinholes:
    """Carries the actions out; `entries` are the pinholes by UniqueID."""

    switches: IgdSwitches
    entries: dict[int, Pinhole] = field(default_factory=dict[int, Pinhole])
    handlers: Mapping[str, Handler] = field(init=False)
    _last: int = 0

    def __post_init__(self) -> None:
        self.handlers = {
            "GetFirewallStatus": self._get_status,
            "AddPinhole": self._add,
            "UpdatePinhole": self._update,
            "DeletePinhole": self._delete,
            "GetPinholePackets": self._get_packets,
            "CheckPinholeWorking": self._check,
            "GetOutboundPinholeTimeout": self._get_timeout,
        }

    def admits(self, protocol: Protocol, port: int) -> bool:
        """Whether there is a pinhole of an internal port."""
        return any((one.protocol, one.port) == (protocol.number, port) for one in self.entries.values())

    def expire(self, now: float) -> None:
        """Close the pinholes whose time is over."""
        for number in [number for number, one in self.entries.items() if one.ends <= now]:
            del self.entries[number]

    def _get_status(self, call: Call) -> dict[str, str]:
        rules = self.switches
        return {
            "FirewallEnabled": str(int(rules.firewall_enabled)),
            "InboundPinholeAllowed": str(int(rules.inbound_allowed)),
        }

    def _add(self, call: Call) -> dict[str, str]:
        self._check_state()
        self._check_wildcards(call)
        pinhole = _pinhole(call)
        number = next((number for number, one in self.entries.items() if one.key == pinhole.key), None)
        code = first_code(
            (pinhole.client != call.sender, self.switches.foreign_pinhole_code),
            (number is None and self._is_full(), _NO_SPACE),
        )
        if code is not None:
            raise Refused(code)
        if number is None:
            self._last = number = self._last + 1
            self.entries[number] = pinhole
        self.entries[number].ends = pinhole.ends
        return {"UniqueID": str(number)}

    def _check_state(self) -> None:
        rules = self.switches
        code = first_code((not rules.firewall_enabled, _DISABLED), (not rules.inbound_allowed, _NOT_ALLOWED))
        if code is not None:
            raise Refused(code)

    def _check_wildcards(self, call: Call) -> None:
        protocol = call.number("Protocol")
        code = first_code(
            (not call.text("InternalClient"), _CLIENT_WILDCARD),
            (not call.number("InternalPort"), _PORT_WILDCARD),
            (protocol == _ALL_PROTOCOLS, _PROTOCOL_WILDCARD),
            (protocol not in {Protocol.TCP.number, Protocol.UDP.number}, _UNKNOWN_PROTOCOL),
        )
        if code is not None:
            raise Refused(code)

    def _is_full(self) -> bool:
        most = self.switches.max_pinholes
        return most is not None and len(self.entries) >= most

    def _update(self, call: Call) -> dict[str, str]:
        self._check_state()
        self._own(call).ends = call.now + _lease(call, "NewLeaseTime")
        return {}

    def _delete(self, call: Call) -> dict[str, str]:
        self._check_state()
        self._own(call)
        del self.entries[call.number("UniqueID")]
        return {}

    def _get_packets(self, call: Call) -> dict[str, str]:
        return {"PinholePackets": str(self._own(call).packets)}

    def _check(self, call: Call) -> dict[str, str]:
        if not self.switches.offers_check_pinhole:
            raise Refused(NOT_IMPLEMENTED)
        if not self._own(call).packets:
            raise Refused(_NO_TRAFFIC)
        return {"IsWorking": "1"}

    def _get_timeout(self, call: Call) -> dict[str, str]:
        return {"OutboundPinholeTimeout": str(_TIMEOUT)}

    def _own(self, call: Call) -> Pinhole:
        pinhole = self.entries.get(call.number("UniqueID"))
        if pinhole is None:
            raise Refused(_NO_SUCH_ENTRY)
        if self.switches.foreign_pinhole_code is not None and pinhole.client != call.sender:
            raise Refused(_NOT_AUTHORIZED)
        return pinhole


def _pinhole(call: Call) -> Pinhole:
    return Pinhole(
        remote_host=call.text("RemoteHost"),
        remote_port=call.number("RemotePort"),
        client=call.ipv6("InternalClient"),
        port=call.number("InternalPort"),
        protocol=call.number("Protocol"),
        ends=call.now + _lease(call, "LeaseTime"),
    )


def _lease(call: Call, name: str) -> int:
    lease = call.number(name, _LONGEST)
    if not lease:
        raise Refused(INVALID_ARGS)
    return lease
