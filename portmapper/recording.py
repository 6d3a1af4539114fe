"""The mapper's side of its journal: written before anything is asked for, and after each change."""

import logging
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from math import isinf
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup

from portmapper import limits
from portmapper.errors import InUseLocally, LocalError
from portmapper.holding import Holding
from portmapper.model import Gateway, MappingRequest, Renewed
from portmapper.net import clock
from portmapper.net.tasks import finish_begun
from portmapper.state import turns
from portmapper.state.claims import Claim, Obstacle, holders, superseded
from portmapper.state.folder import Found, StateFolder
from portmapper.state.journal import Note, NoteState
from portmapper.state.key import load_key

_log = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(slots=True, eq=False)
class _Pending:
    """What is being asked for, and the claim to it once there is one."""

    wish: Note
    claim: Claim

    @property
    def note(self) -> Note:
        return replace(self.wish, request=self.claim.request)


@dataclass(slots=True)
class _Held:
    since: float
    noted: Note | None = None


class Record:
    """What one mapper has on its gateway, kept where others find it; without a folder nothing is written.

    Trouble with files is never the mapper's: it is warned of once, and everything goes on without.
    """

    def __init__(self, folder: Path | None, gateway: Callable[[], Gateway]) -> None:
        self._path = folder
        self._gateway = gateway
        self._folder: StateFolder | None = None  # while the journal is open
        self._complained = False
        self._pending: list[_Pending] = []
        self._held: dict[Holding, _Held] = {}
        self._leaving: dict[Holding, Note] = {}
        self._left: list[Note] = []
        self._written: list[Note] | None = None  # what `save` wrote, until something else does
        self._changed, self._hurry = anyio.Event(), anyio.Event()
        self._busy = anyio.Lock()
        self._tasks: TaskGroup
        self._room: anyio.CapacityLimiter

    async def open(self) -> bytes | None:
        """Begin the journal; return the key that is kept, None if none is."""
        if self._path is None:
            return None
        self._room = anyio.CapacityLimiter(1)  # our own: threads of the program must not keep us waiting
        folder = StateFolder(self._path)
        key = await self._in_thread(partial(load_key, self._path), None)
        try:
            if await self._in_thread(partial(_begin, folder), False):
                self._folder = folder
        finally:
            if self._folder is None:
                folder.abandon()
        return key

    def start(self, tasks: TaskGroup) -> None:
        """Write down what changes from now on, in `tasks`."""
        self._tasks = tasks
        if self._folder is not None:
            tasks.start_soon(self._write_changes)

    async def close(self) -> None:
        """End the journal; what is still on a gateway is left in it for others to find."""
        if self._path is None:
            return
        async with self._busy:
            folder, self._folder = self._folder, None
            if folder is not None:
                await self._in_thread(partial(folder.end, self._notes()), None)

    @asynccontextmanager
    async def claim(self, request: MappingRequest, *, share: bool) -> AsyncGenerator[MappingRequest]:
        """Note that `request` is going to be asked for; yield it with the external port that it had before.

        What was granted is to be held by the end of the block, and is noted then. Raises InUseLocally when another
        program has the port.
        """
        if self._folder is None or request.peer is not None:  # RFC 6887 section 12.1: that cannot be taken back
            yield request
            return
        wish = Note(request=request, gateway=self._gateway(), state=NoteState.ASKED, since=clock.wall(), ends=None)
        pending = _Pending(wish, Claim(request))
        try:
            await self._get_claim(self._folder, pending, share=share)
            yield pending.claim.request
        finally:
            if pending in self._pending:
                self._pending.remove(pending)
                await self.save()

    def left_ports(self, request: MappingRequest) -> frozenset[int]:
        """Return the external ports where this host may have what is being asked for; 0 for one that is not known."""
        claims = [one.claim for one in self._pending if one.wish.request.overlaps(request)]
        return frozenset(note.external.port if note.external else 0 for claim in claims for note in claim.ours)

    def joins(self, request: MappingRequest) -> bool:
        """Whether another program has what is being asked for, and shares it."""
        return any(one.claim.joins for one in self._pending if one.wish.request.overlaps(request))

    def hold(self, holding: Holding) -> None:
        """Note what was granted, and from now on what becomes of it."""
        if self._folder is not None and holding.request.peer is None:
            self._held[holding] = _Held(clock.wall())
            self._tasks.start_soon(self._watch, holding)

    async def save(self) -> None:
        """Write what there is now, cancelled or not."""
        with anyio.CancelScope(shield=True):
            async with self._busy:
                if self._folder is None or (notes := self._notes()) == self._written:
                    return
                await self._in_thread(partial(self._folder.save, notes), None)
                self._written = notes

    async def leaving(self, holdings: Iterable[Holding]) -> dict[Holding, InUseLocally]:
        """Note that these are going to be taken back; return those that are not to be: other programs hold them too."""
        if self._path is None:
            return {}
        async with self._busy:
            wanted = [holding for holding in holdings if holding in self._held]
            if self._folder is None or not wanted:
                return {}
            notes = {holding: replace(self._note(holding), state=NoteState.LEAVING) for holding in wanted}
            for holding in wanted:
                del self._held[holding]
            work = partial(turns.leave, self._folder, tuple(notes.values()), self._notes())
            shared = await self._in_thread(work, dict[Note, InUseLocally]())
            self._written = None
            self._leaving.update({holding: note for holding, note in notes.items() if note not in shared})
        return {holding: shared[note] for holding, note in notes.items() if note in shared}

    def unshared(self, holdings: Sequence[Holding]) -> Sequence[Holding]:
        """Return those that no other program holds too. It reads the journals here and now, for nothing comes after."""
        noted = [holding for holding in holdings if holding in self._held]
        if self._folder is None or not noted:
            return holdings
        try:
            living = turns.living_journals(self._folder.others())
        except (OSError, LocalError) as problem:
            self._complain(problem)
            return ()
        shared = {one for one in noted if any(other.wanted for _, other in holders(self._note(one), living))}
        return [holding for holding in holdings if holding not in shared]

    def gone(self, holding: Holding) -> None:
        """Note that it was taken back, or could not be."""
        note = self._leaving.pop(holding, None)
        if note is not None and holding.problem is not None:
            self._left.append(replace(note, state=NoteState.LEFT))
        self._ring(hurry=True)

    def detached(self, holding: Holding) -> None:
        """Note that it is left on purpose."""
        if holding in self._held:
            self._left.append(replace(self._note(holding), state=NoteState.DETACHED))
            del self._held[holding]
            self._ring(hurry=True)

    async def inherit(self) -> turns.Inherited:
        """Take over what dead programs left on this gateway. Raises LocalError when there is no journal."""
        async with self._busy:
            if self._folder is None:
                raise LocalError("there is no journal of what was left")
            work = partial(turns.inherit, self._folder, self._gateway(), own=self._notes(), now=clock.wall())
            inherited = await self._in_thread(work, turns.Inherited((), ()))
            self._written = None
            self._left = [*dict.fromkeys((*self._left, *inherited.mine))]
        return inherited

    async def noted(self) -> tuple[Note, ...]:
        """Return what other programs of this host have or left on this gateway; nothing without a journal."""
        async with self._busy:
            if self._folder is None:
                return ()
            found: list[Found] = await self._in_thread(self._folder.others, [])
        now = clock.wall()
        notes = (note for one in found for note in one.journal.notes)
        return tuple(note for note in notes if note.gateway == self._gateway() and not note.ended(now))

    async def forget_removed(self, notes: Iterable[Note]) -> None:
        """Note that these, of programs that died, are on no gateway any more."""
        over = frozenset(notes)
        async with self._busy:
            if self._folder is not None and over:
                await self._in_thread(partial(turns.forget, self._folder, over.__contains__), None)

    async def forget_left(self, request: MappingRequest, backends: Iterable[str]) -> None:
        """Note that what was left of `request` is on this gateway no more, as these backends have it."""
        if self._path is None:
            return
        removed = Note(request=request, gateway=self._gateway(), state=NoteState.LEFT, since=clock.wall(), ends=None)
        names = {None, *backends}
        async with self._busy:
            if self._folder is not None:
                over = partial(turns.forget, self._folder, lambda note: note.is_for(removed) and note.backend in names)
                await self._in_thread(over, None)

    async def forget(self, notes: Iterable[Note]) -> None:
        """Note that these are on no gateway any more."""
        over = set(notes)
        self._left = [note for note in self._left if note not in over]
        await self.save()

    async def _get_claim(self, folder: StateFolder, pending: _Pending, *, share: bool) -> None:
        deadline = clock.now() + limits.OTHERS_TURN
        step = partial(self._ask_others, folder, pending, share=share)
        # What was written is to be known here, also when this is cancelled.
        while (obstacle := await finish_begun(step, grace=limits.JOURNAL_TURN)) is not None:
            if not obstacle.passing or clock.now() > deadline:
                raise obstacle.error
            await anyio.sleep(limits.OTHERS_GAP)

    async def _ask_others(self, folder: StateFolder, pending: _Pending, *, share: bool) -> Obstacle | None:
        async with self._busy:
            if self._folder is None:
                return None  # closed meanwhile
            work = partial(turns.claim, folder, pending.wish, share=share, own=self._notes(), now=clock.wall())
            outcome: turns.Claimed | Obstacle = await self._in_thread(work, turns.Claimed(pending.claim))
            if isinstance(outcome, Obstacle):
                return outcome
            if outcome.trouble is not None:
                self._complain(outcome.trouble)
            self._written = None
            pending.claim = outcome.claim
            self._pending.append(pending)
            self._left.extend(outcome.left)
        return None

    async def _watch(self, holding: Holding) -> None:
        async for event in holding.events():
            self._ring(hurry=not isinstance(event, Renewed))

    async def _write_changes(self) -> None:
        while True:
            await self._changed.wait()
            with anyio.move_on_after(limits.JOURNAL_GAP):
                await self._hurry.wait()
            self._changed, self._hurry = anyio.Event(), anyio.Event()
            await self.save()

    def _ring(self, *, hurry: bool) -> None:
        self._changed.set()
        if hurry:
            self._hurry.set()

    def _notes(self) -> list[Note]:
        """Return all that is, or may be, on a gateway because of this mapper."""
        now = [*(one.note for one in self._pending), *map(self._note, self._held), *self._leaving.values()]
        time = clock.wall()
        self._left = [one for one in self._left if not one.ended(time) and not any(superseded(one, new) for new in now)]
        return [*now, *self._left]

    def _note(self, holding: Holding) -> Note:
        held = self._held[holding]
        before, note = held.noted, _note_of(holding, self._gateway(), held.since)
        if before is not None and before.state is NoteState.HELD and before.gateway != note.gateway:
            self._left.append(replace(before, state=NoteState.LEFT))  # that gateway is out of reach, and was not told
        held.noted = note
        return note

    async def _in_thread(self, work: Callable[[], T], otherwise: T) -> T:
        try:
            return await anyio.to_thread.run_sync(work, limiter=self._room)
        except (OSError, LocalError) as problem:
            self._complain(problem)
            return otherwise

    def _complain(self, problem: Exception) -> None:
        if not self._complained:
            _log.warning("going on without keeping state: %s", problem)
        self._complained = True


def _begin(folder: StateFolder) -> bool:
    folder.begin(clock.wall())
    return True


def _note_of(holding: Holding, gateway: Gateway, since: float) -> Note:
    lease = holding.lease
    note = Note(
        request=holding.request,
        gateway=gateway,
        state=NoteState.ASKED,
        since=since,
        ends=None,
        backend=lease.backend,
        external=lease.external,
    )
    if holding.lost:
        return note
    left = holding.ends - clock.now()
    ends = None if isinf(left) else round(clock.wall() + left)
    return replace(note, gateway=lease.gateway, state=NoteState.HELD, ends=ends)
