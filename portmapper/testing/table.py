"""The mappings of a simulated gateway, and the ports they forward."""

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address

from anyio.abc import TaskGroup

from portmapper.model import Endpoint, Protocol
from portmapper.testing.forwarding import Forward


class Denied(Exception):
    """The table does not do it; `conflict` tells a taken port from a foreign mapping."""

    def __init__(self, *, conflict: bool) -> None:
        super().__init__("conflict" if conflict else "not yours")
        self.conflict = conflict


@dataclass(slots=True, eq=False)
class Entry:
    """One mapping. `nonce` is PCP's, empty for the other protocols; `ends` is infinity for one without end."""

    protocol: Protocol
    internal: Endpoint
    external_port: int
    ends: float
    nonce: bytes
    description: str
    forward: Forward


class MappingTable:
    """Grants, renews, removes and ends mappings. The time is an argument."""

    def __init__(self, address: IPv4Address, tasks: TaskGroup) -> None:
        self._address = address
        self._tasks = tasks
        self._entries: dict[tuple[Protocol, int], Entry] = {}

    def __iter__(self) -> Iterator[Entry]:
        return iter(tuple(self._entries.values()))

    def at(self, protocol: Protocol, external_port: int) -> Entry | None:
        """Return the mapping of an external port."""
        return self._entries.get((protocol, external_port))

    def to(self, protocol: Protocol, internal: Endpoint) -> Entry | None:
        """Return the mapping that leads to an internal endpoint."""
        return next((e for e in self if e.protocol is protocol and e.internal == internal), None)

    def grant(self, protocol: Protocol, internal: Endpoint, wish: int, ends: float, nonce: bytes = b"") -> Entry:
        """Make or renew the mapping of an internal endpoint, at port `wish` if that is free, else at another.

        Raises Denied when the mapping has another nonce.
        """
        entry = self.to(protocol, internal)
        if entry is None:
            try:
                return self._open(protocol, internal, wish or internal.port, ends, nonce)
            except Denied:
                return self._open(protocol, internal, 0, ends, nonce)
        if entry.nonce != nonce:
            raise Denied(conflict=False)
        entry.ends = ends
        return entry

    def add(
        self, protocol: Protocol, internal: Endpoint, port: int, ends: float, nonce: bytes = b"", description: str = ""
    ) -> Entry:
        """Make the mapping at exactly `port` (0: any), or change the one that the same host has there, as UPnP does.

        Raises Denied when the port is taken.
        """
        entry = self.at(protocol, port)
        if entry is not None:
            if entry.internal.address != internal.address:
                raise Denied(conflict=True)
            entry.internal, entry.ends, entry.description = internal, ends, description
            return entry
        return self._open(protocol, internal, port, ends, nonce, description)

    def remove(self, entry: Entry) -> None:
        """End the mapping now."""
        entry.forward.close()
        del self._entries[entry.protocol, entry.external_port]

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
        self, protocol: Protocol, internal: Endpoint, port: int, ends: float, nonce: bytes, description: str = ""
    ) -> Entry:
        def target() -> tuple[IPv4Address, int]:
            address = entry.internal.address
            if not isinstance(address, IPv4Address):
                raise TypeError(f"{address} is not IPv4")
            return address, entry.internal.port

        try:
            forward = Forward(protocol, self._address, port, target)
        except OSError:
            raise Denied(conflict=True) from None
        entry = Entry(protocol, internal, forward.port, ends, nonce, description, forward)
        self._entries[protocol, forward.port] = entry
        forward.start(self._tasks)
        return entry
