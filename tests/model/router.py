"""A router in memory, with every fault that a router can have; it talks in calls instead of datagrams."""

from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from itertools import count
from math import inf
from typing import TypeVar

import anyio

from portmapper.errors import GatewayTimeout, GatewayUnreachable, RequestRefused
from portmapper.model import Gateway, Protocol
from portmapper.net import clock

T = TypeVar("T")
HOST = IPv4Address("192.0.2.9")
STRANGER = IPv4Address("192.0.2.77")
_EXTERNAL = IPv4Address("198.51.100.1")


@dataclass(eq=False)
class Entry:
    """One mapping on the router. `doubtful` is whether the host cannot know of it: an answer about it was lost."""

    protocol: Protocol
    external_port: int
    internal_port: int
    client: IPv4Address
    ends: float
    doubtful: bool = False
    lifetime: int = 0  # as granted last, whatever the router would grant when the answer arrives


@dataclass(eq=False)
class Router:
    """What it has, and what is wrong with it."""

    number: int
    entries: list[Entry] = field(default_factory=list[Entry])
    speaks: set[str] = field(default_factory=lambda: {"keyed", "listed"})
    started: float = 0.0
    silent: bool = False
    mute: bool = False  # does what it is asked, but its answers are lost
    slow: float = 0.0
    refusal: RequestRefused | None = None
    longest: int = 7200
    moves_ports: bool = False  # grants another port than asked for
    address: IPv4Address = _EXTERNAL
    requests: int = 0
    left: bool = False  # the host is plugged in elsewhere, and will not take back what is granted from now on

    @property
    def gateway(self) -> Gateway:
        return Gateway(address=IPv4Address(f"192.0.2.{self.number}"), source=HOST)

    async def exchange(self, protocol: str, timeout: float, work: Callable[[], T], *, question: bool = False) -> T:
        """Carry out `work` and answer, or not. Raises what a client of a real protocol would."""
        self.requests += 1
        await anyio.sleep(0.002)
        if protocol not in self.speaks:
            raise GatewayUnreachable(f"{protocol} is switched off")
        if self.silent:
            await anyio.sleep(timeout)
            raise GatewayTimeout("silence")
        if self.refusal is not None and not question:
            raise self.refusal
        self.expire()
        result = work()
        if self.mute or self.slow >= timeout:
            await anyio.sleep(timeout)
            raise GatewayTimeout("the answer was lost, or late")
        await anyio.sleep(self.slow)
        return result

    def expire(self) -> None:
        now = clock.now()
        self.entries = [one for one in self.entries if one.ends > now]

    def at(self, protocol: Protocol, port: int) -> Entry | None:
        found = [one for one in self.entries if (one.protocol, one.external_port) == (protocol, port)]
        return found[0] if found else None

    def to(self, protocol: Protocol, internal_port: int) -> list[Entry]:
        """Return what leads to a port of the host."""
        wanted = (protocol, internal_port, HOST)
        return [one for one in self.entries if (one.protocol, one.internal_port, one.client) == wanted]

    def free_port(self, protocol: Protocol, wished: int) -> int:
        ports = count(wished + 1 if self.moves_ports or not wished else wished)
        return next(port for port in ports if port >= 1 and self.at(protocol, port) is None)

    def put(self, protocol: Protocol, external_port: int, internal_port: int, lifetime: int) -> Entry:
        """Make or extend a mapping of the host."""
        entry = self.at(protocol, external_port)
        if entry is None:
            entry = Entry(protocol, external_port, internal_port, HOST, 0.0)
            self.entries.append(entry)
        entry.internal_port = internal_port
        entry.lifetime = min(lifetime, self.longest)
        entry.ends = clock.now() + entry.lifetime
        entry.doubtful = self.mute or self.slow > 0
        return entry

    def remove(self, entry: Entry) -> None:
        if entry in self.entries:
            self.entries.remove(entry)

    # --- What can go wrong

    def restart(self, *, forget: bool) -> None:
        self.started = clock.now()
        if forget:
            self.entries.clear()

    def doubt(self, protocol: Protocol, internal_port: int) -> None:
        """Note that a delete did not come through."""
        for entry in self.to(protocol, internal_port):
            entry.doubtful = True

    def steal(self, entry: Entry) -> None:
        """Give a port of the host to a stranger."""
        entry.client, entry.ends = STRANGER, inf
