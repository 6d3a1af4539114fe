"""What the command says: sentences for people, one JSON object a line for programs."""

import json
import logging
import math
import os
import signal
import sys
import time
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio

from portmapper.clearing import ClearedMapping
from portmapper.errors import NoService, PortMapperError
from portmapper.gateway.tables.ranking import Candidate
from portmapper.model import (
    Changed,
    Closed,
    Endpoint,
    Event,
    Gateway,
    IPAddress,
    Lease,
    ListedMapping,
    Lost,
    Mapped,
    MappingRequest,
    Reachability,
    Restored,
    reachability,
)
from portmapper.net.tasks import end_tasks
from portmapper.state.folder import NotedMapping
from portmapper.state.journal import Note, NoteState
from portmapper.text import safe_text

Json = dict[str, Any]

_LINE = 500
_PATIENCE = 0.7  # shorter waits need no word
_WARNINGS = {
    Reachability.DOUBLE_NAT: "is a private address: another router stands between this gateway and the Internet",
    Reachability.CGNAT: "is shared by your provider (carrier-grade NAT): peers on the Internet cannot reach it",
}


class Complaints(logging.Handler):
    """Tells on standard error what goes wrong beside the work."""

    def emit(self, record: logging.LogRecord) -> None:
        """Tell it in a line."""
        print(f"portmapper: {safe_text(record.getMessage(), limit=_LINE)}", file=sys.stderr)  # noqa: T201


class Output:
    """Writes results to standard output, complaints and progress to standard error."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json

    def event(self, event: Event) -> None:
        """Tell what happened to a mapping."""
        self._write(event_json(event), event_lines(event))

    def address(self, address: IPAddress | None, gateway: Gateway) -> None:
        """Tell the external address."""
        facts = {"address": _text(address), "reachability": reachability(address), "gateway": str(gateway)}
        shown = str(address) if address else f"the gateway {gateway} has no external address now"
        self._write({"event": "address", **facts}, [shown, *_warnings(address)])

    def gateway(self, gateway: Gateway, reasons: Sequence[str] = ("named by you",)) -> None:
        """Tell a gateway, and why it is ranked so."""
        facts = {"address": str(gateway), "source": str(gateway.source), "interface": gateway.interface}
        more = {"family": gateway.address.version, "tunnel": gateway.tunnel, "usable": True, "reasons": list(reasons)}
        through = f" through {gateway.interface}" if gateway.interface else ""
        line = f"{gateway}{through}, from {gateway.source}: {'; '.join(reasons)}"
        self._write({"event": "gateway", **facts, **more}, [line])

    def candidate(self, candidate: Candidate, gateway: Gateway | None) -> None:
        """Tell a router that the routes lead to, and whether it can be asked."""
        if gateway is not None:
            self.gateway(gateway, candidate.reasons)
            return
        reasons = [*candidate.reasons, *(["it cannot be reached now"] if candidate.usable else [])]
        facts = {"address": _text(candidate.gateway), "source": None, "interface": candidate.interface}
        more = {"family": None, "tunnel": candidate.gateway is None, "usable": False, "reasons": reasons}
        line = f"not {candidate.gateway or 'a gateway'} through {candidate.interface}: {'; '.join(reasons)}"
        self._write({"event": "gateway", **facts, **more}, [line])

    def listed(self, mappings: Iterable[ListedMapping], gateway: Gateway) -> None:
        """Tell all mappings of a gateway, one a line."""
        found = list(mappings)
        if self._as_json:
            for one in found:
                self._write({"event": "listed", **_listed_json(one), "gateway": str(gateway)}, [])
        else:
            self._print("\n".join(map(_listed_line, found)) or f"the gateway {gateway} has no mappings")

    def noted(self, mappings: Sequence[NotedMapping]) -> None:
        """Tell what programs of this host have or left."""
        now = time.time()
        found = [one for one in mappings if not one.note.ended(now)]
        for one in found:
            self._write({"event": "noted", **_noted_json(one, now)}, [_noted_line(one, now)])
        if not found and not self._as_json:
            self._print("nothing is noted of any program of this host")

    def cleared(self, cleared: Sequence[ClearedMapping], gateway: Gateway) -> None:
        """Tell what became of what dead programs left."""
        for one in cleared:
            reason = str(one.error) if one.error else None
            facts = {"event": "cleared", **_note_json(one.note), "removed": one.error is None, "reason": reason}
            stays = f"{_where(one.note)} stays at {one.note.gateway}: {reason}"
            self._write(facts, [stays if reason else f"{_where(one.note)} is no longer mapped at {one.note.gateway}"])
        if not cleared and not self._as_json:
            self._print(f"no program of this host that died has left anything at {gateway}")

    def unmapped(self, request: MappingRequest, backends: Iterable[str], gateway: Gateway) -> None:
        """Tell which backends removed a mapping."""
        names, port = list(backends), request.internal_port
        facts = {"protocol": request.protocol, "internal": {"port": port}, "backends": names, "gateway": str(gateway)}
        text = f"{request} is no longer mapped at {gateway} (confirmed by {', '.join(names)})"
        self._write({"event": "unmapped", **facts}, [text])

    def error(self, error: PortMapperError) -> None:
        """Tell why it did not work, in one line if there is one reason."""
        if self._as_json:
            self._print(json.dumps(error_json(error)))
        print(f"portmapper: {error}", file=sys.stderr)  # noqa: T201

    def _write(self, facts: Json, lines: Iterable[str]) -> None:
        if self._as_json:
            self._print(json.dumps(facts))
        elif text := "\n".join(lines):
            self._print(text)

    def _print(self, text: str) -> None:
        try:
            print(text, flush=True)  # noqa: T201
        except BrokenPipeError:
            # Nobody reads any more: leave as if told to, releasing what is open.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            signal.raise_signal(signal.SIGTERM)


def event_json(event: Event) -> Json:
    """Return the object for an event; its keys are part of the public interface."""
    facts: Json = {"event": type(event).__name__.lower(), **_lease_json(event.lease)}
    if isinstance(event, Changed):
        facts["previous"] = _endpoint_json(event.old.external)
    if isinstance(event, Lost):
        facts["reason"] = str(event.reason)
    if isinstance(event, Closed):
        facts["released"] = event.remaining == 0
        facts["remaining"] = None if math.isinf(event.remaining) else round(event.remaining)
        facts["reason"] = str(event.error) if event.error else None
    return facts


def error_json(error: PortMapperError) -> Json:
    """Return the object for an error."""
    facts: Json = {"event": "error", "error": type(error).__name__, "message": str(error)}
    if isinstance(error, NoService):
        facts["message"] = error.args[0]
        facts["reasons"] = {name: str(reason) for name, reason in error.reasons.items()}
    return facts


def event_lines(event: Event) -> list[str]:
    """Return the sentences for an event."""
    lease = event.lease
    what, where = f"{lease.internal}/{lease.request.protocol}", str(lease.external)
    if isinstance(event, Mapped):
        terms = "without end" if lease.permanent else f"for {lease.lifetime} s"
        only = f" to {', '.join(map(str, lease.request.remote))}" if lease.request.remote else ""
        line = f"{what} is open at {where}{only} ({lease.backend} on {lease.gateway}, {terms})"
        return [line, *_warnings(lease.external.address)]
    if isinstance(event, Changed):
        return [f"{what} has moved from {event.old.external} to {where}", *_warnings(lease.external.address)]
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


def _warnings(address: IPAddress | None) -> list[str]:
    warning = _WARNINGS.get(reachability(address))
    return [f"warning: {address} {warning}"] if warning else []


def _lease_json(lease: Lease) -> Json:
    return {
        "protocol": lease.request.protocol,
        "internal": _endpoint_json(lease.internal),
        "external": _endpoint_json(lease.external),
        "remote": [str(one) for one in lease.request.remote],
        "lifetime": lease.lifetime,
        "backend": lease.backend,
        "gateway": str(lease.gateway),
        "reachability": reachability(lease.external.address),
    }


def _endpoint_json(endpoint: Endpoint) -> Json:
    return {"address": _text(endpoint.address), "port": endpoint.port}


def _listed_json(one: ListedMapping) -> Json:
    return {
        "protocol": one.protocol,
        "external": {"port": one.external_port},
        "internal": {"address": one.internal_client, "port": one.internal_port},
        "remote": one.remote_host or None,
        "enabled": one.enabled,
        "description": one.description,
        "lifetime": one.lifetime,
        "own": one.own,
    }


def _listed_line(one: ListedMapping) -> str:
    remote = f" for {safe_text(one.remote_host)} only" if one.remote_host else ""
    notes = [
        "this host" if one.own else "",
        "without end" if one.lifetime == 0 else f"{one.lifetime} s left",
        "" if one.enabled else "switched off",
        safe_text(one.description),
    ]
    to = f"{safe_text(one.internal_client)}:{one.internal_port}"
    return f"{one.external_port}/{one.protocol} to {to}{remote} ({', '.join(filter(None, notes))})"


def _note_json(note: Note) -> Json:
    return {
        "protocol": note.request.protocol,
        "internal": {"address": str(note.client), "port": note.request.internal_port},
        "external": _endpoint_json(note.external) if note.external else None,
        "remote": [str(one) for one in note.request.remote],
        "backend": note.backend,
        "gateway": str(note.gateway),
    }


def _noted_json(one: NotedMapping, now: float) -> Json:
    note = one.note
    return {
        **_note_json(note),
        "state": note.state,
        "remaining": None if note.ends is None else round(note.ends - now),
        "description": note.request.description,
        "since": datetime.fromtimestamp(note.since, UTC).isoformat(timespec="seconds"),
        "program": one.program,
        "pid": one.pid,
        "living": one.living,
    }


def _noted_line(one: NotedMapping, now: float) -> str:
    note, owner = one.note, f"{safe_text(one.program)} (process {one.pid})"
    what = f"{owner}, {note.state}" if one.living else f"left on purpose by {owner}"
    if not one.living and note.state is not NoteState.DETACHED:
        what = f"left by {owner}, which is dead: unmap --stale"
    end = "" if note.state is NoteState.ASKED else "without end, "
    rest = end if note.ends is None else f"{note.ends - now:.0f} s left, "
    return f"{_where(note)} at the gateway {note.gateway} ({rest}{what})"


def _where(note: Note) -> str:
    to = f" (external port {note.external.port})" if note.external and note.external.port else ""
    return f"{Endpoint(note.client, note.request.internal_port)}/{note.request.protocol}{to}"


def _text(address: IPAddress | None) -> str | None:
    return str(address) if address else None


@asynccontextmanager
async def progress(text: str) -> AsyncGenerator[None]:
    """Show on a terminal what is being waited for, if it takes long enough to wonder."""
    if not sys.stderr.isatty():
        yield
        return
    tasks = await anyio.create_task_group().__aenter__()
    tasks.start_soon(_show, text)
    try:
        yield
    finally:
        await end_tasks(tasks)


async def _show(text: str) -> None:
    await anyio.sleep(_PATIENCE)
    from rich.console import Console  # noqa: PLC0415 - 80 ms that most calls need not spend

    with Console(stderr=True).status(text):
        await anyio.sleep_forever()
