"""What one process does with the journals while the others wait. For a thread; raises OSError and LocalError."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from portmapper import limits
from portmapper.errors import InUseLocally, LocalError
from portmapper.model import Gateway
from portmapper.state.claims import Claim, Obstacle, decide, holders, in_use, superseded
from portmapper.state.folder import Found, StateFolder
from portmapper.state.journal import Journal, Note, NoteState


@dataclass(frozen=True, slots=True)
class Inherited:
    """What dead programs left: to be removed now, and what cannot be, with the reason."""

    mine: tuple[Note, ...]
    others: tuple[tuple[Note, LocalError], ...]


@dataclass(frozen=True, slots=True)
class Claimed:
    """A claim, and notes of dead programs for the same port, which are in this process's journal from now on.

    `trouble` is why nothing could be written.
    """

    claim: Claim
    left: tuple[Note, ...] = ()
    trouble: OSError | LocalError | None = None


def claim(folder: StateFolder, wish: Note, *, share: bool, own: Sequence[Note], now: float) -> Claimed | Obstacle:
    """Note `wish` beside what is this process's `own`, unless somebody is in the way."""
    with folder.turn():
        found = folder.others()
        left = [replace(note, state=_left_state(note)) for note in left_notes(found, now) if note.is_for(wish)]
        outcome = decide(wish, share=share, living=living_journals(found), left=[*left, *_left_of(own)])
        if isinstance(outcome, Obstacle):
            return outcome
        try:
            folder.save([*own, replace(wish, request=outcome.request), *left])
            folder.take(found, wish.is_for)
        except (OSError, LocalError) as trouble:
            return Claimed(outcome, trouble=trouble)
        return Claimed(outcome, tuple(left))


def leave(folder: StateFolder, leaving: Sequence[Note], own: Sequence[Note]) -> dict[Note, InUseLocally]:
    """Note that mappings are being taken back; return those that are not to be, because others hold them too."""
    with folder.turn(limits.JOURNAL_TURN_LEAVING):
        found = folder.others()
        shared: dict[Note, InUseLocally] = {}
        for note in leaving:
            for owner, other in holders(note, living_journals(found)):
                if other.wanted:
                    shared[note] = in_use(owner, other)
        last = [note for note in leaving if note not in shared]
        folder.save([*own, *last])
        folder.take(found, lambda left: any(superseded(left, note) for note in last))  # those are the same mappings
        return shared


def inherit(folder: StateFolder, gateway: Gateway, *, own: Sequence[Note], now: float) -> Inherited:
    """Take over what dead programs left on `gateway`, except on purpose and where somebody holds the port again."""
    with folder.turn():
        found = folder.others()
        living = [*living_journals(found), Journal(folder.owner, tuple(own))]
        mine: list[Note] = []
        others: list[tuple[Note, LocalError]] = []
        for note in left_notes(found, now):
            reason = _not_ours(note, gateway, living)
            if reason is not None:
                others.append((note, reason))
            elif note.state is not NoteState.DETACHED:
                mine.append(note)
        taken = [replace(note, state=NoteState.LEFT) for note in mine]
        folder.save([*own, *taken])
        folder.take(found, mine.__contains__)
        return Inherited((*taken, *_left_of(own)), tuple(others))


def forget(folder: StateFolder, over: Callable[[Note], bool]) -> None:
    """Remove notes of what dead programs left."""
    with folder.turn():
        folder.take(folder.others(), over)


def left_notes(found: Iterable[Found], now: float) -> list[Note]:
    """Return what dead processes left and what has not ended by itself."""
    return [note for one in found if not one.living for note in one.journal.notes if not note.ended(now)]


def living_journals(found: Iterable[Found]) -> list[Journal]:
    """Return the journals of processes that still run."""
    return [one.journal for one in found if one.living]


def _not_ours(note: Note, gateway: Gateway, living: Iterable[Journal]) -> LocalError | None:
    """Return why `note` is not about something to be removed from `gateway` by this process."""
    if note.gateway != gateway:
        return LocalError(f"it is on the gateway {note.gateway}, for {note.gateway.source}")
    return next((in_use(owner, other) for owner, other in holders(note, living)), None)


def _left_of(notes: Iterable[Note]) -> list[Note]:
    return [note for note in notes if note.state is NoteState.LEFT]


def _left_state(note: Note) -> NoteState:
    return NoteState.DETACHED if note.state is NoteState.DETACHED else NoteState.LEFT
