"""The mappings of a simulated gateway, and the ports they forward."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from ipaddress import IPv4Address, IPv4Network

from anyio.abc import TaskGroup

from portmapper.model import Endpoint, Protocol
from portmapper.pcp.options import Filter
from portmapper.testing.forwarding import Forward

_TRIES = 8
_IPV4_PREFIX = 96


class Denied(Exception):
    """The table does not do it; `conflict` tells a taken port from a foreign mapping."""

    def __init__(self, *, conflict: bool) -> None:
        super().__init__("conflict" if conflict else "not yours")
        self.conflict = conflict


@dataclass(slots=True, eq=False)
class Entry:
    """One mapping. `nonce` is PCP's, `remote_host` UPnP's, else empty; `ends` is infinity for one without end."""

    protocol: Protocol
    internal: Endpoint
    external_port: int
    ends: float
    nonce: bytes
    description: str
    count: int = 1
    filters: list[Filter] = field(default_factory=list[Filter])
    forwards: tuple[Forward, ...] = ()
    remote_host: str = ""

    def covers(self, external_port: int) -> bool:
        """Whether an external port is one of its ports."""
        return self.external_port <= external_port < self.external_port + self.count

    def admits(self, address: IPv4Address, port: int) -> bool:
        """Whether a remote peer may come in."""
        return not self.filters or any(_admits(one, address, port) for one in self.filters)


class MappingTable:
    """Grants, renews, removes and ends mappings. The time is an argument."""

    def __init__(self, address: IPv4Address, tasks: TaskGroup) -> None:
        self._address = address
        self._tasks = tasks
        self._entries: list[Entry] = []

    def __iter__(self) -> Iterator[Entry]:
        return iter(tuple(self._entries))

    def at(self, protocol: Protocol, external_port: int) -> Entry | None:
        """Return the mapping of an external port."""
        return next((e for e in self if e.protocol == protocol and e.covers(external_port)), None)

    def to(self, protocol: Protocol, internal: Endpoint) -> Entry | None:
        """Return the mapping that leads to an internal endpoint."""
        return next((e for e in self if e.protocol == protocol and e.internal == internal), None)

    def grant(
        self, protocol: Protocol, internal: Endpoint, wish: int, ends: float, nonce: bytes = b"", count: int = 1
    ) -> Entry:
        """Make or renew the mapping of an internal endpoint, at port `wish` if that is free, else at another.

        Raises Denied when the mapping has another nonce, or when so many consecutive ports are not to be had.
        """
        entry = self.to(protocol, internal)
        if entry is None:
            for port in (wish or internal.port, *[0] * _TRIES):
                with suppress(Denied):
                    return self._open(protocol, internal, port, ends, nonce, count=count)
            raise Denied(conflict=True)
        if entry.nonce != nonce:
            raise Denied(conflict=False)
        entry.ends = ends
        return entry

    def add(
        self,
        protocol: Protocol,
        internal: Endpoint,
        port: int,
        ends: float,
        *,
        description: str = "",
        remote_host: str = "",
        overwrite: bool = False,
    ) -> Entry:
        """Make the mapping at exactly `port` (0: any), or change the one that is there already, as UPnP does.

        Raises Denied when the port is taken, also by a mapping for another remote host or to another internal one,
        unless `overwrite` replaces these.
        """
        entry = self.at(protocol, port)
        if entry is None:
            entry = self._open(protocol, internal, port, ends, b"", description)
        elif not overwrite and (entry.internal.address, entry.remote_host) != (internal.address, remote_host):
            raise Denied(conflict=True)
        entry.internal, entry.ends, entry.description, entry.remote_host = internal, ends, description, remote_host
        return entry

    def mute(self, entry: Entry) -> None:
        """Forward nothing more, but keep the mapping and say that it is there (quirk 72a)."""
        for forward in entry.forwards:
            forward.close()
        entry.forwards = ()

    def remove(self, entry: Entry) -> None:
        """End the mapping now."""
        self.mute(entry)
        self._entries.remove(entry)

    def expire(self, now: float) -> None:
        """End the mappings whose time is over."""
        for entry in self:
            if entry.ends <= now:
                self.remove(entry)

    def clear(self) -> None:
        """End all mappings, as a router does that reboots."""
        for entry in self:
            self.remove(entry)

    def _open(
        self,
        protocol: Protocol,
        internal: Endpoint,
        port: int,
        ends: float,
        nonce: bytes,
        description: str = "",
        count: int = 1,
    ) -> Entry:
        entry = Entry(protocol, internal, port, ends, nonce, description, count)
        if internal.port and protocol in {Protocol.TCP, Protocol.UDP}:
            self._bind(entry)
        elif self.at(protocol, port) is not None:
            raise Denied(conflict=True)
        self._entries.append(entry)
        for forward in entry.forwards:
            forward.start(self._tasks)
        return entry

    def _bind(self, entry: Entry) -> None:
        try:
            for offset in range(entry.count):
                port = entry.external_port + offset if entry.external_port else 0
                target = partial(_target, entry, offset)
                forward = Forward(entry.protocol, self._address, port, target, entry.admits)
                entry.forwards = (*entry.forwards, forward)
                entry.external_port = entry.forwards[0].port
        except (OSError, OverflowError):
            for forward in entry.forwards:
                forward.close()
            raise Denied(conflict=True) from None


def _target(entry: Entry, offset: int) -> tuple[IPv4Address, int]:
    address = entry.internal.address
    if not isinstance(address, IPv4Address):
        raise TypeError(f"{address} is not IPv4")
    return address, entry.internal.port + offset


def _admits(one: Filter, address: IPv4Address, port: int) -> bool:
    network = IPv4Network((one.address.packed[-4:], one.prefix - _IPV4_PREFIX))
    return address in network and one.port in {0, port}
