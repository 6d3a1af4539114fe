"""The journal of one process: what is on a gateway because of it, so that another finds it. No I/O, no clock."""

import json
from collections.abc import Mapping as Dict
from dataclasses import dataclass, replace
from enum import StrEnum
from ipaddress import ip_address
from typing import Any

from portmapper import limits
from portmapper.errors import InvalidRequest, LocalError
from portmapper.model import Endpoint, Gateway, IPAddress, MappingRequest, Protocol, RemoteFilter

_VERSION = 1
_LAST_TIME = 2.0**40  # far beyond any lease, and exact in JSON


class NoteState(StrEnum):
    """What became of a mapping: two of these are for others to leave alone, and one to wait for."""

    ASKED = "asked"
    """A gateway is being asked for it, or will be again: whether it has it, and at which port, is not known."""
    HELD = "held"
    LEAVING = "leaving"
    """It is being taken back right now."""
    LEFT = "left"
    """It could not be taken back, and nobody wants it any more."""
    DETACHED = "detached"
    """It was left on purpose, until its lease ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """One mapping that a gateway may have.

    `external` is what was granted by `backend` (or by the one before, when it is asked for again); None: not known.
    `since` and `ends` are seconds since 1970; `ends` is None for a mapping that the gateway will never end by itself.
    """

    request: MappingRequest
    gateway: Gateway
    state: NoteState
    since: float
    ends: float | None
    backend: str | None = None
    external: Endpoint | None = None

    @property
    def client(self) -> IPAddress:
        """The address of the host that it leads to."""
        return self.request.internal_address or self.gateway.source

    @property
    def wanted(self) -> bool:
        """Whether a process that lives holds it, or wants it."""
        return self.state in {NoteState.ASKED, NoteState.HELD}

    def ended(self, now: float) -> bool:
        """Whether its lease is over by the clock of this host."""
        return self.ends is not None and self.ends <= now

    def is_for(self, other: "Note") -> bool:
        """Whether both are for a port of the same host, on the same gateway."""
        return self.gateway == other.gateway and self.request.overlaps(other.request)

    def located(self) -> MappingRequest:
        """Return the request as it finds the mapping: at the external port that was granted."""
        port = self.external.port if self.external else 0
        if not port or not self.request.internal_port or port + self.request.count - 1 > limits.LAST_PORT:
            return self.request
        return replace(self.request, external_port=port)


@dataclass(frozen=True, slots=True)
class Owner:
    """The process that a journal is of."""

    pid: int
    program: str

    def __str__(self) -> str:
        return f"{self.program} (process {self.pid})"


@dataclass(frozen=True, slots=True)
class Journal:
    """What one process has, or had when it died."""

    owner: Owner
    notes: tuple[Note, ...]


def encode_journal(journal: Journal) -> bytes:
    """Return the file of a journal. Raises LocalError for one with more than it may hold."""
    if len(journal.notes) > limits.JOURNAL_NOTES:
        raise LocalError(f"a journal has no room for more than {limits.JOURNAL_NOTES} mappings")
    facts = {
        "version": _VERSION,
        "pid": journal.owner.pid,
        "program": journal.owner.program,
        "mappings": [_note_facts(note) for note in journal.notes],
    }
    data = json.dumps(facts, separators=(",", ":")).encode()
    if len(data) > limits.JOURNAL_BYTES:
        raise LocalError(f"a journal has no room for more than {limits.JOURNAL_BYTES} bytes")
    return data


def decode_journal(data: bytes) -> Journal:
    """Return the journal in a file. Raises LocalError when it is none of ours, or of another version."""
    if len(data) > limits.JOURNAL_BYTES:
        raise LocalError(f"it is longer than {limits.JOURNAL_BYTES} bytes")
    try:
        facts = json.loads(data)
        if facts["version"] != _VERSION:
            raise LocalError("it is of another version")
        if len(facts["mappings"]) > limits.JOURNAL_NOTES:
            raise LocalError(f"it has more than {limits.JOURNAL_NOTES} mappings")
        owner = Owner(_number(facts["pid"]), _text(facts["program"], limits.PROGRAM_NAME))
        return Journal(owner, tuple(_note(one) for one in facts["mappings"]))
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise LocalError("it is damaged") from error  # InvalidRequest is a ValueError


def _note_facts(note: Note) -> dict[str, Any]:
    request, gateway = note.request, note.gateway
    return {
        "state": note.state,
        "since": note.since,
        "ends": note.ends,
        "backend": note.backend,
        "external": _endpoint_facts(note.external),
        "protocol": request.protocol,
        "internal_port": request.internal_port,
        "external_port": request.external_port,
        "exact": request.exact,
        "all_ports": request.all_ports,
        "count": request.count,
        "remote": [str(one) for one in request.remote],
        "internal_address": _address_text(request.internal_address),
        "lifetime": request.lifetime,
        "description": request.description,
        "gateway": {
            "address": str(gateway.address),
            "source": str(gateway.source),
            "interface": gateway.interface,
            "port": gateway.port,
            "ssdp_port": gateway.ssdp_port,
        },
    }


def _note(facts: Dict[str, Any]) -> Note:
    return Note(
        request=_request(facts),
        gateway=_gateway(facts["gateway"]),
        state=NoteState(facts["state"]),
        since=_time(facts["since"]),
        ends=None if facts["ends"] is None else _time(facts["ends"]),
        backend=_optional_text(facts["backend"], limits.BACKEND_NAME),
        external=_endpoint(facts["external"]),
    )


def _request(facts: Dict[str, Any]) -> MappingRequest:
    address = facts["internal_address"]
    return MappingRequest(
        protocol=Protocol.parse(_text(facts["protocol"], limits.SHOWN_TEXT)),
        internal_port=_number(facts["internal_port"]),
        external_port=_number(facts["external_port"]),
        exact=_truth(facts["exact"]),
        all_ports=_truth(facts["all_ports"]),
        count=_number(facts["count"]),
        remote=tuple(RemoteFilter.parse(one) for one in facts["remote"]),
        internal_address=None if address is None else ip_address(_text(address, limits.SHOWN_TEXT)),
        lifetime=_number(facts["lifetime"]),
        description=_text(facts["description"], limits.DESCRIPTION_TEXT),
    )


def _gateway(facts: Dict[str, Any]) -> Gateway:
    return Gateway(
        address=ip_address(_text(facts["address"], limits.SHOWN_TEXT)),
        source=ip_address(_text(facts["source"], limits.SHOWN_TEXT)),
        interface=_optional_text(facts["interface"], limits.SHOWN_TEXT),
        port=_port(facts["port"]),
        ssdp_port=_port(facts["ssdp_port"]),
    )


def _endpoint(facts: Dict[str, Any] | None) -> Endpoint | None:
    if facts is None:
        return None
    address = facts["address"]
    return Endpoint(None if address is None else ip_address(_text(address, limits.SHOWN_TEXT)), _port(facts["port"]))


def _endpoint_facts(endpoint: Endpoint | None) -> dict[str, Any] | None:
    return None if endpoint is None else {"address": _address_text(endpoint.address), "port": endpoint.port}


def _address_text(address: object | None) -> str | None:
    return None if address is None else str(address)


def _optional_text(value: object, limit: int) -> str | None:
    return None if value is None else _text(value, limit)


def _text(value: object, limit: int) -> str:
    if not isinstance(value, str) or len(value) > limit or not value.isprintable():
        raise InvalidRequest("no text of ours")
    return value


def _number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= limits.MAX_LIFETIME:
        raise InvalidRequest("no number of ours")
    return value


def _port(value: object) -> int:
    number = _number(value)
    if number > limits.LAST_PORT:
        raise InvalidRequest("no port")
    return number


def _truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise InvalidRequest("neither true nor false")
    return value


def _time(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= _LAST_TIME:
        raise InvalidRequest("no time")
    return value
