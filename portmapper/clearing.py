"""Remove from a gateway what dead programs of this host left there."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from portmapper.access import Access
from portmapper.backend import Backend, check_offered
from portmapper.errors import NoMapping, PortMapperError
from portmapper.state.journal import Note


@dataclass(frozen=True, slots=True)
class ClearedMapping:
    """What became of one mapping that a dead program left; `error` is why it may still be there, None if it is not."""

    note: Note
    error: PortMapperError | None = None


async def clear(access: Access, notes: Iterable[Note]) -> list[ClearedMapping]:
    """Ask the gateway to remove each, by the backend that gave it; by all that answer where that is not known.

    One of those that says yes will do: the others know nothing of it, and miniupnpd refuses to delete what it has not.
    """
    todo = dict.fromkeys(notes)
    outcome: dict[Note, PortMapperError | None] = {}
    async with access.select() as selection:
        while todo and (backend := await selection.next()) is not None:
            for note in [note for note in todo if note.backend in {None, backend.name}]:
                if note.backend is not None:
                    del todo[note]
                failure = await _remove(backend, note)
                if failure is None or note not in outcome:
                    outcome[note] = failure
        for note in todo:
            if note not in outcome:
                outcome[note] = selection.reasons.get(note.backend or "") or selection.failure()
    return [ClearedMapping(note, error) for note, error in outcome.items()]


async def _remove(backend: Backend, note: Note) -> PortMapperError | None:
    request = note.located()
    try:
        check_offered(backend, request)
        with suppress(NoMapping):  # gone already
            await backend.unmap(await backend.find(request))
    except PortMapperError as failure:
        return failure
    return None
