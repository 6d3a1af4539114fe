"""The mappings on a gateway as they are known: by its own list, by the journals of this host, or by both. No I/O."""

from collections.abc import Iterable
from dataclasses import dataclass

from portmapper.model import Endpoint, Gateway, ListedMapping, Protocol
from portmapper.state.folder import NotedMapping
from portmapper.state.journal import NoteState

_GRANTED = {NoteState.HELD, NoteState.LEAVING, NoteState.LEFT, NoteState.DETACHED}


@dataclass(frozen=True, slots=True)
class KnownMapping:
    """One mapping that a gateway has: `listed` is what it shows itself, `noted` what a program of this host notes.

    One of the two may be None: many gateways list nothing, and of what others made nothing is noted here. `seen` is the
    time of day when it was listed, in seconds since 1970.
    """

    listed: ListedMapping | None
    noted: NotedMapping | None
    seen: float

    @property
    def place(self) -> tuple[object, ...]:
        """What tells it from the others of its gateway."""
        return (self.protocol, self.external_port, self.remote, self.internal_client, self.internal_port)

    @property
    def protocol(self) -> Protocol:
        """Its protocol."""
        return self.listed.protocol if self.listed else self._of_note.note.request.protocol

    @property
    def external_port(self) -> int:
        """Its external port; 0 is all ports."""
        return self.listed.external_port if self.listed else self._external.port

    @property
    def internal_client(self) -> str:
        """The host that it leads to, as the gateway calls it: not to be shown as it is."""
        return self.listed.internal_client if self.listed else str(self._of_note.note.client)

    @property
    def internal_port(self) -> int:
        """The port that it leads to; 0 is all ports."""
        return self.listed.internal_port if self.listed else self._of_note.note.request.internal_port

    @property
    def remote(self) -> str:
        """Who alone may come in, "" for all: not to be shown as it is."""
        if self.listed:
            return self.listed.remote_host
        return ", ".join(map(str, self._of_note.note.request.remote))

    @property
    def description(self) -> str:
        """What its maker calls it: not to be shown as it is."""
        return self.listed.description if self.listed else self._of_note.note.request.description

    @property
    def own(self) -> bool:
        """Whether it leads to this host, or a program of this host made it."""
        return self.noted is not None or (self.listed is not None and self.listed.own)

    @property
    def enabled(self) -> bool | None:
        """Whether it is switched on; None where the gateway does not tell."""
        return self.listed.enabled if self.listed else None

    @property
    def sources(self) -> tuple[str, ...]:
        """Where it is known from: "gateway", "journal" or both."""
        return tuple(name for name, known in (("gateway", self.listed), ("journal", self.noted)) if known is not None)

    def lifetime(self, now: float) -> int:
        """Return the seconds that are left, 0 for no end; `now` is the time of day."""
        if self.listed:
            ends = self.seen + self.listed.lifetime if self.listed.lifetime else None
        else:
            ends = self._of_note.note.ends
        return 0 if ends is None else max(round(ends - now), 1)

    @property
    def _of_note(self) -> NotedMapping:
        assert self.noted is not None  # noqa: S101 - one of the two is there
        return self.noted

    @property
    def _external(self) -> Endpoint:
        return self._of_note.note.external or Endpoint(None, 0)


def join(
    listed: Iterable[ListedMapping], noted: Iterable[NotedMapping], gateway: Gateway, now: float
) -> tuple[KnownMapping, ...]:
    """Return each mapping of `gateway` once: what it lists, in its order, then what is only noted.

    What has ended by `now`, the time of day, and what is only being asked for is left out.
    """
    notes = [one for one in noted if _is_granted(one, gateway, now)]
    notes.sort(key=lambda one: not one.living)  # of two that note the same port, the one that lives knows more
    known: list[KnownMapping] = []
    for entry in listed:
        same = [one for one in notes if _is_same(entry, one)]
        notes = [one for one in notes if one not in same]
        known.append(KnownMapping(entry, same[0] if same else None, now))
    return (*known, *(KnownMapping(None, one, now) for one in _each_once(notes)))


def _is_granted(one: NotedMapping, gateway: Gateway, now: float) -> bool:
    note = one.note
    there = note.gateway == gateway and note.state in _GRANTED
    return there and note.external is not None and not note.ended(now)


def _is_same(entry: ListedMapping, one: NotedMapping) -> bool:
    note = one.note
    first = note.external.port if note.external else 0
    leads = (entry.protocol, entry.internal_client) == (note.request.protocol, str(note.client))
    offset = entry.external_port - first
    return leads and 0 <= offset < note.request.count and entry.internal_port == note.request.internal_port + offset


def _each_once(notes: Iterable[NotedMapping]) -> Iterable[NotedMapping]:
    places: dict[tuple[Protocol, Endpoint | None], NotedMapping] = {}
    for one in notes:
        places.setdefault((one.note.request.protocol, one.note.external), one)
    return places.values()
