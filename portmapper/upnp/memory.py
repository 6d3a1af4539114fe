"""What is remembered of the devices of one gateway, and what they grant."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias

import anyio

from portmapper import limits
from portmapper.model import Endpoint, MappingRequest, Protocol
from portmapper.upnp.attempts import Habits
from portmapper.upnp.description import Service
from portmapper.upnp.recent import Recent

Key: TypeAlias = tuple[int, Protocol, str]
"""External port, protocol and remote host."""

Make: TypeAlias = tuple[str, str, int]
"""Server, model and version of the service."""


@dataclass(slots=True)
class Memory:
    """What is known about the devices of one gateway, shared by the backends that are opened there in turn."""

    turn: anyio.CapacityLimiter = field(default_factory=partial(anyio.CapacityLimiter, 1))
    removal: anyio.CapacityLimiter = field(default_factory=partial(anyio.CapacityLimiter, 1))
    making: anyio.Lock = field(default_factory=anyio.Lock)
    habits: dict[Make, Habits] = field(default_factory=dict[Make, Habits])
    choosing: anyio.Lock = field(default_factory=anyio.Lock)
    made: Recent[Key, MappingRequest] = field(default_factory=Recent[Key, MappingRequest])
    """What was made there, by external port, protocol and remote host, and not taken back."""

    begun: Recent[Key, None] = field(default_factory=Recent[Key, None])
    """What was asked for where nothing was, and may be there though nothing told so."""

    missed: Recent[Key, None] = field(default_factory=Recent[Key, None])
    """What of that was told to be lost and is not made again yet: one restart is told once, whatever is missing."""

    _chosen: tuple[Sequence[Service], Service, float] | None = None

    def hurry(self) -> None:
        """Let several requests be made at once."""
        self.turn.total_tokens = self.removal.total_tokens = limits.HURRY_WIDTH

    def calm(self) -> None:
        """Let one request be made at a time again."""
        self.turn.total_tokens = self.removal.total_tokens = 1

    def choose(self, services: Sequence[Service], best: Service, now: float) -> None:
        """Remember for a minute which of the connections of a device is the best, and does address translation."""
        self._chosen = (services, best, now + limits.CHOICE)

    def chosen_of(self, services: Sequence[Service], now: float) -> Service | None:
        """Return the connection that was chosen not long ago among these."""
        if self._chosen is None or self._chosen[0] != services or self._chosen[2] < now:
            return None
        return self._chosen[1]

    def miss_all(self) -> None:
        """Note that the device has lost everything."""
        for key, _ in self.made:
            self.missed.note(key, None)

    def learn(self, make: Make, habits: Habits) -> None:
        """Remember what a make of device needs."""
        if make in self.habits or len(self.habits) < limits.MAKES:
            self.habits[make] = habits


@dataclass(frozen=True, slots=True)
class Granted:
    """What the device has now: where it is reached, for how long (0: without end), and its own word for it."""

    external: Endpoint
    lifetime: int
    token: bytes = b""
