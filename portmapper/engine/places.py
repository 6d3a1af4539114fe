"""Which mappings share an external port, and which of a service's was asked for longest ago. No I/O."""

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from math import inf
from typing import TypeAlias

from portmapper.model import Gateway, Protocol

Key: TypeAlias = Hashable
"""Stands for a mapping."""


@dataclass(frozen=True, slots=True)
class Service:
    """What grants: a gateway by one protocol."""

    gateway: Gateway
    backend: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where a mapping is on the gateway; `port` 0 is none."""

    service: Service
    port: int
    protocol: Protocol


class Places:
    """The mappings of each external port, in the order in which they were made.

    miniupnpd 2.3.1 on nftables finds filter rules by their port alone: renewing the TCP mapping replaces the newest
    rule, be it that of UDP, and the other way round. Renewed one after the other in the order they were made, each has
    its rule again. That costs nothing: it counts as the others' own renewal.
    """

    def __init__(self) -> None:
        self._places: dict[Key, Place] = {}
        self._at: dict[tuple[Service, int], dict[Key, None]] = {}

    def add(self, key: Key, place: Place) -> None:
        """Note where `key` is; where it has been already, its order stays."""
        if self._places.get(key) == place:
            return
        self.discard(key)
        self._places[key] = place
        self._at.setdefault((place.service, place.port), {})[key] = None

    def discard(self, key: Key) -> None:
        """Forget where `key` is."""
        place = self._places.pop(key, None)
        if place is not None:
            there = self._at[place.service, place.port]
            del there[key]
            if not there:
                del self._at[place.service, place.port]

    def group(self, key: Key, place: Place) -> tuple[Key, ...]:
        """Return `key` and the mappings of `place` by other protocols, in the order to renew them in."""
        there = self._at.get((place.service, place.port), {}) if place.port else {}
        twins = [one for one in there if one == key or self._places[one].protocol != place.protocol]
        return tuple(twins) if key in there else (key, *twins)


class Rounds:
    """Which mapping to look at next: one of each service every `interval`, that which was asked for longest ago."""

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._keys: dict[Service, dict[Key, None]] = {}  # those asked for longest ago first
        self._next: dict[Service, float] = {}

    @property
    def deadline(self) -> float:
        """When to call `due` next; infinity for never."""
        return min(self._next.values(), default=inf)

    def asked(self, key: Key, service: Service, now: float) -> None:
        """Note that `key` was asked for and has an answer."""
        keys = self._keys.setdefault(service, {})
        keys.pop(key, None)
        keys[key] = None
        self._next.setdefault(service, now + self._interval)

    def discard(self, key: Key, service: Service) -> None:
        """Look at `key` no more."""
        keys = self._keys.get(service, {})
        keys.pop(key, None)
        if not keys:
            self._keys.pop(service, None)
            self._next.pop(service, None)

    def hasten(self, service: Service, when: float) -> None:
        """Look at `service` at `when`, if that is sooner than in its turn, and looks are wanted at all."""
        if service in self._next and self._interval != inf:
            self._next[service] = min(self._next[service], when)

    def due(self, now: float) -> list[Service]:
        """Return whose mappings to look at now, and begin a new round for each."""
        services = [service for service, when in self._next.items() if when <= now]
        self._next.update(dict.fromkeys(services, now + self._interval))
        return services

    def longest_ago(self, service: Service) -> Iterator[Key]:
        """Yield the mappings of `service`, the one that was asked for longest ago first."""
        yield from self._keys[service]
