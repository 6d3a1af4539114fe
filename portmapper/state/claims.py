"""Who may have a port of this host, by the journals of all its programs. No I/O, no clock."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from portmapper.errors import InUseLocally
from portmapper.model import MappingRequest
from portmapper.state.journal import Journal, Note, NoteState, Owner


@dataclass(frozen=True, slots=True)
class Claim:
    """A port that may be asked for.

    `request` is what to ask: at the external port where it was, or where another program has it that shares it. `ours`
    are the notes of mappings that may be on the gateway for it, because of dead programs or of those that share it;
    `joins` is whether it is theirs.
    """

    request: MappingRequest
    ours: tuple[Note, ...] = ()
    joins: bool = False


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Who has the port; `passing` is whether it is worth asking again soon."""

    error: InUseLocally
    passing: bool


def decide(wish: Note, *, share: bool, living: Iterable[Journal], left: Iterable[Note]) -> Claim | Obstacle:
    """Return the claim to what `wish` asks for, or who is in the way; `left` are notes that nobody wants any more."""
    shared: list[Note] = []
    for owner, note in holders(wish, living):
        leaving, unknown = note.state is NoteState.LEAVING, note.external is None
        if not share or leaving or unknown or not _agree(wish.request, note):
            return Obstacle(in_use(owner, note), passing=leaving or (share and unknown))
        shared.append(note)
    if shared:
        # With another lifetime each renewal would change when the other's lease ends.
        request = replace(shared[0].located(), description=wish.request.description, exact=wish.request.exact)
        return Claim(request, tuple(shared), joins=True)
    found = tuple(note for note in left if note.is_for(wish))
    return Claim(_at_the_old_port(wish.request, found), found)


def holders(wish: Note, living: Iterable[Journal]) -> Iterator[tuple[Owner, Note]]:
    """Yield who has what `wish` is for, or wants it, or is just giving it back."""
    for journal in living:
        for note in journal.notes:
            if note.is_for(wish) and (note.wanted or note.state is NoteState.LEAVING):
                yield journal.owner, note


def in_use(owner: Owner, note: Note) -> InUseLocally:
    """Return the error that names who has a port."""
    port = note.external.port if note.external else 0
    begin = datetime.fromtimestamp(note.since, UTC).astimezone()
    doing = "is giving it back" if note.state is NoteState.LEAVING else "has it"
    where = f" at external port {port}" if port else ""
    text = f"{note.request}: {owner} on this host {doing}{where}, since {begin:%Y-%m-%d %H:%M:%S}"
    return InUseLocally(text, program=owner.program, pid=owner.pid, since=note.since, external_port=port)


def superseded(note: Note, held: Note) -> bool:
    """Whether what `note` says is on the gateway is what `held` says, or was looked for when that was made."""
    return note.is_for(held) and held.external is not None and (note.external is None or _port(note) == _port(held))


def _port(note: Note) -> int | None:
    return note.external.port if note.external else None


def _agree(request: MappingRequest, note: Note) -> bool:
    """Whether `request` can be had together with the one that `note` is about: one mapping has to do for both."""
    same = ("internal_port", "count", "remote", "all_ports")
    other_port = request.exact and request.external_port != _port(note)
    return not other_port and all(getattr(request, name) == getattr(note.request, name) for name in same)


def _at_the_old_port(request: MappingRequest, left: Iterable[Note]) -> MappingRequest:
    if request.external_port:
        return request
    for note in sorted(left, key=lambda note: note.since, reverse=True):
        if (note.request.internal_port, note.request.count) == (request.internal_port, request.count):
            return replace(request, external_port=note.located().external_port)
    return request
