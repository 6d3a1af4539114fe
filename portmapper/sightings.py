"""What can be seen of a gateway from outside, and what is another from one look to the next. No I/O."""

from collections.abc import Iterator
from collections.abc import Mapping as Dict
from dataclasses import dataclass, field
from typing import TypeAlias

from portmapper.announcements import Announcement
from portmapper.errors import PortMapperError
from portmapper.known import KnownMapping
from portmapper.model import Gateway, IPAddress


@dataclass(frozen=True, slots=True)
class Answering:
    """A backend that the gateway answers to: after how many seconds, and how long it says it has had its state."""

    seconds: float
    epoch: int | None


@dataclass(frozen=True, slots=True)
class View:
    """What one look at a gateway showed. `address` is None where nobody tells one, or there is none."""

    gateway: Gateway | None = None
    backends: Dict[str, Answering | PortMapperError] = field(default_factory=dict[str, Answering | PortMapperError])
    address: IPAddress | None = None
    mappings: tuple[KnownMapping, ...] = ()


@dataclass(frozen=True, slots=True)
class Moved:
    """Another gateway is watched from now on, or none, because none can be asked."""

    gateway: Gateway | None
    previous: Gateway | None


@dataclass(frozen=True, slots=True)
class Announced:
    """Something came in the name of the gateway; whoever sent it, it is looked at again."""

    gateway: Gateway
    announcement: Announcement


@dataclass(frozen=True, slots=True)
class Restarted:
    """An answer of the gateway says that it has lost its state."""

    gateway: Gateway


@dataclass(frozen=True, slots=True)
class Answered:
    """The gateway answers to a backend that it did not answer to before."""

    gateway: Gateway
    backend: str
    answering: Answering


@dataclass(frozen=True, slots=True)
class FellSilent:
    """The gateway does not answer to a backend, or no more, for a reason."""

    gateway: Gateway
    backend: str
    reason: PortMapperError


@dataclass(frozen=True, slots=True)
class AddressSeen:
    """The external address is this one now; None: there is none, or nobody tells it any more."""

    gateway: Gateway
    address: IPAddress | None
    previous: IPAddress | None


@dataclass(frozen=True, slots=True)
class Appeared:
    """A mapping is there that was not there before."""

    gateway: Gateway
    mapping: KnownMapping


@dataclass(frozen=True, slots=True)
class Disappeared:
    """A mapping is there no more."""

    gateway: Gateway
    mapping: KnownMapping


Sighting: TypeAlias = Moved | Announced | Restarted | Answered | FellSilent | AddressSeen | Appeared | Disappeared


def differences(old: View, new: View) -> Iterator[Sighting]:
    """Return what is another in `new`; of another gateway everything is."""
    if old.gateway != new.gateway:
        yield Moved(new.gateway, old.gateway)
        old = View(new.gateway)
    if new.gateway is not None:
        yield from _backends(old, new, new.gateway)
        if old.address != new.address:
            yield AddressSeen(new.gateway, new.address, old.address)
        yield from _mappings(old, new, new.gateway)


def _backends(old: View, new: View, gateway: Gateway) -> Iterator[Sighting]:
    for name, outcome in new.backends.items():
        before = old.backends.get(name)
        if isinstance(outcome, Answering):
            if not isinstance(before, Answering):
                yield Answered(gateway, name, outcome)
        elif before is None or isinstance(before, Answering):
            yield FellSilent(gateway, name, outcome)


def _mappings(old: View, new: View, gateway: Gateway) -> Iterator[Sighting]:
    before, now = _by_place(old), _by_place(new)
    yield from (Disappeared(gateway, mapping) for place, mapping in before.items() if place not in now)
    yield from (Appeared(gateway, mapping) for place, mapping in now.items() if place not in before)


def _by_place(view: View) -> Dict[object, KnownMapping]:
    return {one.place: one for one in view.mappings}
