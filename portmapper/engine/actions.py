"""What the engine decides."""

from dataclasses import dataclass
from typing import TypeAlias

from portmapper.engine.places import Key


@dataclass(frozen=True, slots=True)
class Attempt:
    """Renew the lease of `key`, or search for one; with it come those of the same external port, in this order."""

    key: Key
    group: tuple[Key, ...]


@dataclass(frozen=True, slots=True)
class Look:
    """Have the gateway show the lease of `key`; if it has no way to, renew it as an `Attempt`."""

    key: Key
    group: tuple[Key, ...]


@dataclass(frozen=True, slots=True)
class Probe:
    """Ask whether what gave the lost lease of `key` answers again."""

    key: Key


@dataclass(frozen=True, slots=True)
class Lose:
    """The lease is over: say so."""

    key: Key


@dataclass(frozen=True, slots=True)
class Halt:
    """Stop the attempt that is under way for `key`."""

    key: Key


Action: TypeAlias = Attempt | Look | Probe | Lose | Halt
