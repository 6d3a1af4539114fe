"""Remove from a gateway what dead programs of this host left there, or all that this host has."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from portmapper.access import Access
from portmapper.backend import Backend, check_offered
from portmapper.errors import InvalidRequest, NoMapping, PortMapperError, ProtocolError, UnsupportedRequest
from portmapper.model import Endpoint, Gateway, ListedMapping, MappingRequest, Protocol, RemoteFilter
from portmapper.net import clock
from portmapper.state.journal import Note, NoteState


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


@dataclass(frozen=True, slots=True)
class Swept:
    """What became of all that a host had on a gateway.

    `cleared` are the mappings that were known of; `wholesale` the protocols of which a backend, here by name, removed
    whatever there was. `problems` is, by backend, why there may be more.
    """

    cleared: tuple[ClearedMapping, ...]
    wholesale: tuple[tuple[Protocol, str], ...]
    problems: dict[str, PortMapperError]


async def sweep(access: Access, notes: Iterable[Note]) -> Swept:
    """Remove what the gateway lists for this host, what is noted, and what a backend removes unseen. Raises NoService.

    All is looked for before anything is removed: what one backend made another may list, and a third remove.
    """
    work = _Sweep(access.gateway, notes)
    listings = await access.ask_every(lambda backend, _: work.look(backend))
    for name, listed in listings.items():
        work.add(name, [] if isinstance(listed, PortMapperError) else listed)
    await access.by_each(work.remove)
    return Swept(tuple(ClearedMapping(*one) for one in work.outcome.items()), tuple(work.wholesale), work.problems)


class _Sweep:
    """What is to be removed, by which backends, and what became of it so far."""

    def __init__(self, gateway: Gateway, notes: Iterable[Note]) -> None:
        self._gateway = gateway
        self._todo: dict[Note, set[str | None]] = {note: {note.backend} for note in notes}
        self.outcome: dict[Note, PortMapperError | None] = {}
        self.wholesale: list[tuple[Protocol, str]] = []
        self.problems: dict[str, PortMapperError] = {}

    async def look(self, backend: Backend) -> list[ListedMapping]:
        """Return what `backend` lists for this host."""
        own = str(self._gateway.source)
        try:
            return [one for one in await backend.list_mappings() if one.internal_client == own]
        except UnsupportedRequest:
            return []
        except PortMapperError as problem:
            self.problems[backend.name] = problem
            return []

    def add(self, name: str, listed: Iterable[ListedMapping]) -> None:
        """Have removed what the backend `name` lists."""
        for entry in listed:
            known = next((note for note in self._todo if _is_listed(note, entry)), None)
            self._todo.setdefault(known or _note_of(entry, self._gateway, name), set()).add(name)

    async def remove(self, backend: Backend) -> None:
        """Remove what `backend` may have made or lists, then what it has besides, and look what is still there."""
        wanted = [note for note, names in self._todo.items() if not names.isdisjoint({None, backend.name})]
        for note in wanted:
            failure = await _remove(backend, note)
            if failure is None or note not in self.outcome:
                self.outcome[note] = failure
        for protocol in (Protocol.TCP, Protocol.UDP):
            await self._remove_all(backend, protocol)
        for entry in await self.look(backend):
            for note in (one for one in wanted if _is_listed(one, entry)):
                self.outcome[note] = self.outcome[note] or ProtocolError("the gateway said yes, and lists it still")

    async def _remove_all(self, backend: Backend, protocol: Protocol) -> None:
        try:
            await backend.unmap_all(protocol)
        except UnsupportedRequest:
            return
        except PortMapperError as problem:
            self.problems[backend.name] = problem
        else:
            self.wholesale.append((protocol, backend.name))


def _is_listed(note: Note, entry: ListedMapping) -> bool:
    port = note.external.port if note.external else note.request.external_port
    leads = (note.request.protocol, note.request.internal_port) == (entry.protocol, entry.internal_port)
    return leads and str(note.client) == entry.internal_client and port in {0, entry.external_port}


def _note_of(entry: ListedMapping, gateway: Gateway, backend: str) -> Note:
    request = MappingRequest(
        protocol=entry.protocol,
        internal_port=entry.internal_port,
        external_port=entry.external_port,
        remote=_remote(entry.remote_host),
    )
    ends = None if entry.lifetime == 0 else clock.wall() + entry.lifetime
    external = Endpoint(None, entry.external_port)
    return Note(
        request=request,
        gateway=gateway,
        state=NoteState.LEFT,
        since=clock.wall(),
        ends=ends,
        backend=backend,
        external=external,
    )


def _remote(text: str) -> tuple[RemoteFilter, ...]:
    try:
        return (RemoteFilter.parse(text),) if text else ()
    except InvalidRequest:  # a host name, say: it is looked for without
        return ()
