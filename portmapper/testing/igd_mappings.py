"""The port mapping actions of WANIPConnection and WANPPPConnection, on the table of a simulated gateway."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network

from portmapper import limits
from portmapper.model import Endpoint, ListedMapping, Protocol
from portmapper.pcp.options import Filter
from portmapper.testing.igd_calls import INVALID_ARGS, OUT_OF_RANGE, Call, Handler, Refused, first_code
from portmapper.testing.igd_pinholes import Pinholes
from portmapper.testing.igd_switches import IgdSwitches
from portmapper.testing.table import Denied, Entry, MappingTable
from portmapper.upnp.listing import encode_listing

_LOW_PORTS = 1024
_TOO_LONG, _NOT_AUTHORIZED, _NO_SUCH_ENTRY = 605, 606, 714
_SAME_PORTS, _ONLY_PERMANENT, _NO_ROOM, _NOT_FOUND, _INCONSISTENT = 724, 725, 728, 730, 733


VERSION_2 = frozenset({"AddAnyPortMapping", "DeletePortMappingRange", "GetListOfPortMappings"})
"""Actions that a service of version 1 does not have."""


@dataclass(frozen=True, slots=True)
class _Wish:
    """What an add asks for."""

    protocol: Protocol
    internal: Endpoint
    port: int
    remote_host: str
    description: str
    lease: int


@dataclass(slots=True)
class Mappings:
    """Carries the actions out. With switches `pinhole_swallows` it looks at `pinholes`."""

    table: MappingTable
    switches: IgdSwitches
    pinholes: Pinholes
    handlers: Mapping[str, Handler] = field(init=False)

    def __post_init__(self) -> None:
        self.handlers = {
            "AddPortMapping": self._add,
            "AddAnyPortMapping": self._add_any,
            "DeletePortMapping": self._delete,
            "DeletePortMappingRange": self._delete_range,
            "GetSpecificPortMappingEntry": self._get_specific,
            "GetGenericPortMappingEntry": self._get_generic,
            "GetListOfPortMappings": self._get_list,
        }

    def _add(self, call: Call) -> dict[str, str]:
        port = call.number("NewExternalPort")
        if not port:
            raise Refused(self.switches.wildcard_code)
        self._enter(call, port)
        return {}

    def _add_any(self, call: Call) -> dict[str, str]:
        try:
            port = self._enter(call, call.number("NewExternalPort"))
        except Refused as refused:
            if refused.code != self.switches.conflict_code:
                raise
            port = self._enter(call, 0)
        return {"NewReservedPort": str(port)}

    def _enter(self, call: Call, port: int) -> int:
        """Make or change a mapping and return its port, which is any one where `port` is 0."""
        wish = self._wish(call, port)
        code = self._refusal(wish, call)
        if code is not None:
            raise Refused(code)
        if self._is_lost(wish):
            return port
        entry = self._enter_table(wish, self._end(wish, call.now))
        remote = IPv4Network(wish.remote_host) if wish.remote_host else None
        entry.filters = [Filter.of(remote)] if remote else []
        return entry.external_port

    def _wish(self, call: Call, port: int) -> _Wish:
        remote_host = "" if self.switches.ignores_remote_host else call.text("NewRemoteHost")
        if remote_host:
            call.ipv4("NewRemoteHost")
        internal = Endpoint(call.ipv4("NewInternalClient"), call.number("NewInternalPort"))
        description, lease = (
            call.text("NewPortMappingDescription"),
            call.number("NewLeaseDuration", limits.MAX_LIFETIME),
        )
        return _Wish(self._protocol(call), internal, port, remote_host, description, lease)

    def _refusal(self, wish: _Wish, call: Call) -> int | None:
        rules, length = self.switches, len(wish.description)
        entry = self.table.at(wish.protocol, wish.port)
        return first_code(
            (not call.flag("NewEnabled") or not wish.internal.port, INVALID_ARGS),
            (wish.internal.address != call.sender, rules.foreign_code),
            (wish.remote_host != "", rules.remote_host_code),
            (0 < wish.port < _LOW_PORTS, rules.low_port_code),
            (rules.same_ports_only and wish.port != wish.internal.port, _SAME_PORTS),
            (rules.max_description is not None and length > rules.max_description, _TOO_LONG),
            (rules.permanent_only and wish.lease != 0, _ONLY_PERMANENT),
            (wish.lease != 0, rules.lease_code),
            (wish.lease == 0, rules.permanent_code),
            (entry is None and self._is_full(), _NO_ROOM),
            (entry is not None and entry.internal == wish.internal, rules.again_code),
        )

    def _is_full(self) -> bool:
        most = self.switches.max_mappings
        return most is not None and len(list(self.table)) >= most

    def _is_lost(self, wish: _Wish) -> bool:
        swallowed = self.switches.pinhole_swallows and self.pinholes.admits(wish.protocol, wish.internal.port)
        return self.switches.adds_nothing or swallowed

    def _end(self, wish: _Wish, now: float) -> float:
        rules, entry = self.switches, self.table.at(wish.protocol, wish.port)
        if entry is not None and rules.keeps_first_lease:
            return entry.ends
        knows_leases = rules.lease_code is None and not rules.permanent_only
        if not wish.lease and not (rules.version > 1 and knows_leases):
            return math.inf
        return now + min(wish.lease or rules.max_lease, rules.max_lease)

    def _enter_table(self, wish: _Wish, ends: float) -> Entry:
        try:
            return self.table.add(
                wish.protocol,
                wish.internal,
                wish.port,
                ends,
                description=wish.description,
                remote_host=wish.remote_host,
                overwrite=self.switches.overwrites_others,
            )
        except Denied:
            raise Refused(self.switches.conflict_code) from None

    def _delete(self, call: Call) -> dict[str, str]:
        entry = self._entry(call)
        if not self._may_remove(entry, call):
            raise Refused(_NOT_AUTHORIZED)
        self.table.remove(entry)
        return {}

    def _delete_range(self, call: Call) -> dict[str, str]:
        doomed = [entry for entry in self._in_range(call) if self._may_remove(entry, call)]
        for entry in doomed:
            self.table.remove(entry)
        if not doomed:
            raise Refused(_NOT_FOUND)
        return {}

    def _may_remove(self, entry: Entry, call: Call) -> bool:
        return self.switches.foreign_code is None or entry.internal.address == call.sender

    def _get_specific(self, call: Call) -> dict[str, str]:
        return _details(self._shown(self._entry(call), call.now))

    def _get_generic(self, call: Call) -> dict[str, str]:
        entries, index = self._listed(), call.number("NewPortMappingIndex")
        if index >= len(entries) and not (entries and self.switches.endless_list):
            raise Refused(self.switches.list_end_code)
        shown = self._shown(entries[min(index, len(entries) - 1)], call.now)
        key = (shown.remote_host, str(shown.external_port), shown.protocol.upper())
        return dict(zip(("NewRemoteHost", "NewExternalPort", "NewProtocol"), key, strict=True)) | _details(shown)

    def _get_list(self, call: Call) -> dict[str, str]:
        if self.switches.refuses_start_0 and not call.number("NewStartPort"):
            raise Refused(INVALID_ARGS)
        most = call.number("NewNumberOfPorts") or None
        listing = [self._shown(entry, call.now) for entry in self._in_range(call)][:most]
        if not listing:
            raise Refused(_NOT_FOUND)
        return {"NewPortListing": encode_listing(listing)}

    def _in_range(self, call: Call) -> list[Entry]:
        first, last, protocol = call.number("NewStartPort"), call.number("NewEndPort"), self._protocol(call)
        if first > last:
            raise Refused(_INCONSISTENT)
        found = [one for one in self._listed() if one.protocol == protocol and first <= one.external_port <= last]
        everybody = call.flag("NewManage")
        return [one for one in found if everybody or one.internal.address == call.sender]

    def _listed(self) -> list[Entry]:
        return [entry for entry in self.table if entry.protocol in {Protocol.TCP, Protocol.UDP}]

    def _shown(self, entry: Entry, now: float) -> ListedMapping:
        rules = self.switches
        return ListedMapping(
            remote_host=entry.remote_host,
            external_port=entry.external_port,
            protocol=entry.protocol,
            internal_port=entry.external_port if rules.shows_external_port else entry.internal.port,
            internal_client=rules.shown_client or str(entry.internal.address),
            enabled=not rules.shows_disabled,
            description=entry.description,
            lifetime=0 if math.isinf(entry.ends) else int(entry.ends - now),
        )

    def _entry(self, call: Call) -> Entry:
        remote_host = "" if self.switches.ignores_remote_host else call.text("NewRemoteHost")
        entry = self.table.at(self._protocol(call), call.number("NewExternalPort"))
        if entry is None or entry.remote_host != remote_host:
            raise Refused(_NO_SUCH_ENTRY)
        return entry

    def _protocol(self, call: Call) -> Protocol:
        name = call.text("NewProtocol")
        if name.upper() not in {"TCP", "UDP"}:
            raise Refused(OUT_OF_RANGE)
        if self.switches.upper_case_only and name != name.upper():
            raise Refused(INVALID_ARGS)
        return Protocol.parse(name)


def _details(shown: ListedMapping) -> dict[str, str]:
    return {
        "NewInternalPort": str(shown.internal_port),
        "NewInternalClient": shown.internal_client,
        "NewEnabled": str(int(shown.enabled)),
        "NewPortMappingDescription": shown.description,
        "NewLeaseDuration": str(shown.lifetime),
    }
