"""What the engine is told."""

from dataclasses import dataclass
from math import inf
from typing import TypeAlias

from portmapper.engine.places import Key, Place
from portmapper.errors import PortMapperError


@dataclass(frozen=True, slots=True)
class Granted:
    """A lease of `lifetime` seconds that was asked for at `asked`; one without end is renewed as if it had `span`."""

    key: Key
    place: Place
    asked: float
    lifetime: float
    span: float = inf


@dataclass(frozen=True, slots=True)
class Seen:
    """The gateway showed that it has the lease."""

    key: Key


@dataclass(frozen=True, slots=True)
class Failed:
    """An attempt came to nothing."""

    key: Key
    problem: PortMapperError


@dataclass(frozen=True, slots=True)
class Began:
    """Somebody asks for these now, unbidden."""

    keys: tuple[Key, ...]


@dataclass(frozen=True, slots=True)
class Ended:
    """An attempt is over."""

    keys: tuple[Key, ...]


@dataclass(frozen=True, slots=True)
class Dropped:
    """The mapping is not wanted any more."""

    key: Key


@dataclass(frozen=True, slots=True)
class TakenBack:
    """The lease was given back, to be got anew in `pause` seconds unless somebody is sooner."""

    key: Key
    pause: float


@dataclass(frozen=True, slots=True)
class Suspected:
    """Something was heard about this mapping, or about all (None): renew it soon."""

    key: Key | None = None


@dataclass(frozen=True, slots=True)
class Disturbed:
    """What was done to another mapping of their external port may have broken these: renew them at once."""

    keys: tuple[Key, ...]


@dataclass(frozen=True, slots=True)
class StateLost:
    """The gateway has forgotten its mappings."""


@dataclass(frozen=True, slots=True)
class Moved:
    """The network changed: the gateway that granted is out of reach."""


@dataclass(frozen=True, slots=True)
class Answering:
    """The gateway answers: what is lost may be had again."""


@dataclass(frozen=True, slots=True)
class MakeWay:
    """Searches for what is lost have to begin again, in `pause` seconds.

    `unasked` is whether nobody waits for what they make way for: it was heard, and anybody can say it all the time.
    """

    pause: float
    unasked: bool = False


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


Event: TypeAlias = (
    Granted
    | Seen
    | Failed
    | Began
    | Ended
    | Dropped
    | TakenBack
    | Suspected
    | Disturbed
    | StateLost
    | Moved
    | Answering
    | MakeWay
    | Tick
)
