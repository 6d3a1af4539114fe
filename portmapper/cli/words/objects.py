"""What the command says to programs: the JSON objects; their keys are part of the public interface."""

import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from portmapper.clearing import ClearedMapping
from portmapper.cli.words.verdict import Answers, judge
from portmapper.errors import NoService, PortMapperError
from portmapper.gateway.tables.ranking import Candidate
from portmapper.known import KnownMapping
from portmapper.model import (
    Changed,
    Closed,
    Endpoint,
    Event,
    Gateway,
    IPAddress,
    Lease,
    Lost,
    MappingRequest,
    reachability,
)
from portmapper.state.folder import NotedMapping
from portmapper.state.journal import Note

Object = dict[str, Any]


def event_object(event: Event) -> Object:
    """Return the object for an event; its keys are part of the public interface."""
    facts: Object = {"event": type(event).__name__.lower(), **lease_object(event.lease)}
    if isinstance(event, Changed):
        facts["previous"] = endpoint_object(event.old.external)
    if isinstance(event, Lost):
        facts["reason"] = str(event.reason)
    if isinstance(event, Closed):
        facts["released"] = event.remaining == 0
        facts["remaining"] = None if math.isinf(event.remaining) else round(event.remaining)
        facts["reason"] = str(event.error) if event.error else None
    return facts


def error_object(error: PortMapperError) -> Object:
    """Return the object for an error."""
    facts: Object = {"event": "error", "error": type(error).__name__, "message": str(error)}
    if isinstance(error, NoService):
        facts["message"] = error.args[0]
        facts["reasons"] = {name: str(reason) for name, reason in error.reasons.items()}
    return facts


def address_object(answers: Answers, gateway: Gateway) -> Object:
    """Return the object for the external address, as each backend told it."""
    verdict = judge(answers)
    return {
        "event": "address",
        "address": _text(verdict.address),
        "reachability": reachability(verdict.address),
        "gateway": str(gateway),
        "agree": verdict.agree,
        "answers": {name: _answer(one) for name, one in answers.items()},
    }


def _answer(one: IPAddress | PortMapperError | None) -> Object:
    if isinstance(one, PortMapperError):
        return {"address": None, "error": str(one)}
    return {"address": _text(one), "error": None}


def gateway_object(gateway: Gateway, reasons: Sequence[str]) -> Object:
    """Return the object for a gateway that can be asked."""
    return {
        "event": "gateway",
        "address": str(gateway),
        "source": str(gateway.source),
        "interface": gateway.interface,
        "family": gateway.address.version,
        "tunnel": gateway.tunnel,
        "usable": True,
        "reasons": list(reasons),
    }


def surveyed_object(candidate: Candidate, gateway: Gateway | None, reasons: Sequence[str]) -> Object:
    """Return the object for what a route leads to, `gateway` if that can be asked."""
    if gateway is not None:
        return gateway_object(gateway, reasons)
    return {
        "event": "gateway",
        "address": _text(candidate.gateway),
        "source": None,
        "interface": candidate.interface,
        "family": None,
        "tunnel": candidate.gateway is None,
        "usable": False,
        "reasons": list(reasons),
    }


def unmapped_object(request: MappingRequest, backends: Iterable[str], gateway: Gateway) -> Object:
    """Return the object for a mapping that backends removed."""
    return {
        "event": "unmapped",
        "protocol": request.protocol,
        "internal": {"port": request.internal_port},
        "backends": list(backends),
        "gateway": str(gateway),
    }


def cleared_object(one: ClearedMapping) -> Object:
    """Return the object for what became of what a dead program left."""
    reason = str(one.error) if one.error else None
    return {"event": "cleared", **_note_object(one.note), "removed": one.error is None, "reason": reason}


def lease_object(lease: Lease) -> Object:
    """Return what a lease says, without the name of an event."""
    return {
        "protocol": lease.request.protocol,
        "internal": endpoint_object(lease.internal),
        "external": endpoint_object(lease.external),
        "remote": [str(one) for one in lease.request.remote],
        "lifetime": lease.lifetime,
        "backend": lease.backend,
        "gateway": str(lease.gateway),
        "reachability": reachability(lease.external.address),
    }


def endpoint_object(endpoint: Endpoint) -> Object:
    """Return the object for an address and a port."""
    return {"address": _text(endpoint.address), "port": endpoint.port}


def listed_object(one: KnownMapping, gateway: Gateway, now: float) -> Object:
    """Return the object for a mapping that a gateway shows, or a journal; `now` is the time of day."""
    return {
        "event": "listed",
        "protocol": one.protocol,
        "external": {"port": one.external_port},
        "internal": {"address": one.internal_client, "port": one.internal_port},
        "remote": one.remote or None,
        "enabled": one.enabled,
        "description": one.description,
        "lifetime": one.lifetime(now),
        "own": one.own,
        "gateway": str(gateway),
        "known_from": list(one.sources),
        "noted": _owner_object(one.noted) if one.noted else None,
    }


def _owner_object(one: NotedMapping) -> Object:
    return {
        "backend": one.note.backend,
        "state": one.note.state,
        "since": _time(one.note.since),
        "program": one.program,
        "pid": one.pid,
        "living": one.living,
    }


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _note_object(note: Note) -> Object:
    return {
        "protocol": note.request.protocol,
        "internal": {"address": str(note.client), "port": note.request.internal_port},
        "external": endpoint_object(note.external) if note.external else None,
        "remote": [str(one) for one in note.request.remote],
        "backend": note.backend,
        "gateway": str(note.gateway),
    }


def noted_object(one: NotedMapping, now: float) -> Object:
    """Return the object for what a program of this host has or left; `now` is the time of day."""
    note = one.note
    return {
        "event": "noted",
        **_note_object(note),
        "state": note.state,
        "remaining": None if note.ends is None else round(note.ends - now),
        "description": note.request.description,
        "since": _time(note.since),
        "program": one.program,
        "pid": one.pid,
        "living": one.living,
    }


def _text(address: IPAddress | None) -> str | None:
    return str(address) if address else None
