"""What the command says to people: sentences."""

import math
from collections.abc import Sequence
from datetime import datetime, timedelta

from portmapper.clearing import ClearedMapping
from portmapper.cli.words.verdict import Answers, judge, verdict_line
from portmapper.errors import PortMapperError
from portmapper.gateway.tables.ranking import Candidate
from portmapper.known import KnownMapping
from portmapper.model import (
    Changed,
    Closed,
    Endpoint,
    Event,
    Gateway,
    IPAddress,
    Lost,
    Mapped,
    MappingRequest,
    Reachability,
    Restored,
    reachability,
)
from portmapper.state.folder import NotedMapping
from portmapper.state.journal import Note, NoteState
from portmapper.text import safe_text

_WARNINGS = {
    Reachability.DOUBLE_NAT: "is a private address: another router stands between this gateway and the Internet",
    Reachability.CGNAT: "is shared by your provider (carrier-grade NAT): peers on the Internet cannot reach it",
}


class EventSentences:
    """Sentences for the events of some mappings; what is wrong with their external address is said once."""

    def __init__(self) -> None:
        self._said = set[str]()

    def lines(self, event: Event) -> list[str]:
        """Return the sentences for an event."""
        address = event.lease.external.address if isinstance(event, Mapped | Changed) else None
        fresh = [one for one in warnings(address) if one not in self._said]
        self._said.update(fresh)
        return [*event_lines(event), *fresh]


def event_lines(event: Event) -> list[str]:
    """Return the sentences for what happened to a mapping."""
    lease = event.lease
    what, where = f"{lease.internal}/{lease.request.protocol}", str(lease.external)
    if isinstance(event, Mapped):
        terms = "without end" if lease.permanent else f"for {lease.lifetime} s"
        only = f" to {', '.join(map(str, lease.request.remote))}" if lease.request.remote else ""
        return [f"{what} is open at {where}{only} ({lease.backend} on {lease.gateway}, {terms})"]
    if isinstance(event, Changed):
        return [f"{what} has moved from {event.old.external} to {where}"]
    if isinstance(event, Restored):
        return [f"{what} is open again at {where}: the gateway had lost it, or may have"]
    if isinstance(event, Lost):
        return [f"{what} is lost: {event.reason}; trying to get it back"]
    if isinstance(event, Closed):
        return [_closed_line(event, what, where)]
    return []  # a renewal is nothing to tell a person: with the looks in between there is one a minute


def _closed_line(event: Closed, what: str, where: str) -> str:
    if event.remaining == 0:
        return f"{what} is closed at {where}"
    return f"{what} stays open at {where} {_until(event.remaining)}" + (f" ({event.error})" if event.error else "")


def _until(remaining: float) -> str:
    if math.isinf(remaining):
        return "for good: the gateway knows no end"
    end = datetime.now().astimezone() + timedelta(seconds=remaining)
    return f"until {end:%Y-%m-%d %H:%M:%S}, {remaining:.0f} s from now"


def warnings(address: IPAddress | None) -> list[str]:
    """Return what an external address means for being reached, if it is nothing good."""
    warning = _WARNINGS.get(reachability(address))
    return [f"warning: {address} {warning}"] if warning else []


def address_lines(answers: Answers, gateway: Gateway) -> list[str]:
    """Return the address alone, then what it is worth, then what each backend said."""
    address = judge(answers).address
    shown = str(address) if address else f"the gateway {gateway} has no external address now"
    return [shown, verdict_line(answers), *(f"  {name}: {_told(one)}" for name, one in answers.items())]


def _told(one: IPAddress | PortMapperError | None) -> str:
    return "no external address now" if one is None else str(one)


def gateway_line(gateway: Gateway, reasons: Sequence[str]) -> str:
    """Return the line for a gateway that can be asked."""
    through = f" through {gateway.interface}" if gateway.interface else ""
    return f"{gateway}{through}, from {gateway.source}: {'; '.join(reasons)}"


def surveyed_line(candidate: Candidate, gateway: Gateway | None, reasons: Sequence[str]) -> str:
    """Return the line for what a route leads to, `gateway` if that can be asked."""
    if gateway is not None:
        return gateway_line(gateway, reasons)
    return f"not {candidate.gateway or 'a gateway'} through {candidate.interface}: {'; '.join(reasons)}"


def survey_reasons(candidate: Candidate, gateway: Gateway | None) -> list[str]:
    """Return why a router is ranked so, or why it cannot be asked."""
    gone = gateway is None and candidate.usable
    return [*candidate.reasons, *(["it cannot be reached now"] if gone else [])]


def unmapped_line(request: MappingRequest, backends: Sequence[str], gateway: Gateway) -> str:
    """Return the line for a mapping that backends removed."""
    return f"{request} is no longer mapped at {gateway} (confirmed by {', '.join(backends)})"


def cleared_line(one: ClearedMapping) -> str:
    """Return the line for what became of what a dead program left."""
    if one.error:
        return f"{note_place(one.note)} stays at {one.note.gateway}: {one.error}"
    return f"{note_place(one.note)} is no longer mapped at {one.note.gateway}"


def listed_line(one: KnownMapping, now: float) -> str:
    """Return the line for a mapping that a gateway shows, or a journal; `now` is the time of day."""
    remote = f" for {safe_text(one.remote)} only" if one.remote else ""
    lifetime = one.lifetime(now)
    notes = [
        "this host" if one.own else "",
        f"{lifetime} s left" if lifetime else "without end",
        "switched off" if one.enabled is False else "",
        safe_text(one.description),
        _noted_by(one.noted, listed=one.listed is not None) if one.noted else "",
    ]
    to = f"{safe_text(one.internal_client)}:{one.internal_port or 'all'}"
    return f"{one.external_port or 'all'}/{one.protocol} to {to}{remote} ({', '.join(filter(None, notes))})"


def _noted_by(one: NotedMapping, *, listed: bool) -> str:
    left_on_purpose = one.note.state is NoteState.DETACHED
    fate = "" if one.living else ", which left it on purpose" if left_on_purpose else ", which is dead"
    by = f"by {one.note.backend} for {safe_text(one.program)}, process {one.pid}{fate}"
    return by if listed else f"{by}; known from its journal only"


def noted_line(one: NotedMapping, now: float) -> str:
    """Return the line for what a program of this host has or left; `now` is the time of day."""
    note, owner = one.note, f"{safe_text(one.program)} (process {one.pid})"
    what = f"{owner}, {note.state}" if one.living else f"left on purpose by {owner}"
    if not one.living and note.state is not NoteState.DETACHED:
        what = f"left by {owner}, which is dead: unmap --stale"
    end = "" if note.state is NoteState.ASKED else "without end, "
    rest = end if note.ends is None else f"{note.ends - now:.0f} s left, "
    return f"{note_place(note)} at the gateway {note.gateway} ({rest}{what})"


def note_place(note: Note) -> str:
    """Return which port a note is about."""
    to = f" (external port {note.external.port})" if note.external and note.external.port else ""
    return f"{Endpoint(note.client, note.request.internal_port)}/{note.request.protocol}{to}"
