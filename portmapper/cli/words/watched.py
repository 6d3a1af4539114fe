"""What `watch` says of what it sees: objects for programs, lines for people."""

from datetime import UTC, datetime
from typing import Any

from portmapper.announcements import Announcement, Source
from portmapper.cli.words import objects, sentences
from portmapper.model import Gateway
from portmapper.sightings import (
    AddressSeen,
    Announced,
    Answered,
    Appeared,
    Disappeared,
    FellSilent,
    Moved,
    Restarted,
    Sighting,
)

_SOURCES = {Source.PCP: "PCP", Source.NAT_PMP: "NAT-PMP", Source.SSDP: "UPnP"}
_WHAT = {
    Moved: "gateway",
    Announced: "announced",
    Restarted: "restarted",
    Answered: "answering",
    FellSilent: "silent",
    AddressSeen: "address",
    Appeared: "appeared",
    Disappeared: "disappeared",
}


def sighting_object(sighting: Sighting, now: float) -> dict[str, Any]:
    """Return the object for what was seen at the time of day `now`."""
    return {
        "event": "watched",
        "what": _WHAT[type(sighting)],
        "time": datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds"),
        "gateway": _text(sighting.gateway),
        **_facts(sighting, now),
    }


def _facts(sighting: Sighting, now: float) -> dict[str, Any]:  # noqa: PLR0911 - one for each kind
    match sighting:
        case Moved(_, previous):
            return {"previous": _text(previous)}
        case Announced(_, announcement):
            return {"by": announcement.source, "kind": announcement.kind}
        case Answered(_, backend, answering):
            milliseconds = round(answering.seconds * 1000, 1)
            return {"backend": backend, "milliseconds": milliseconds, "epoch": answering.epoch}
        case FellSilent(_, backend, reason):
            return {"backend": backend, "reason": str(reason)}
        case AddressSeen(_, address, previous):
            return {"address": _text(address), "previous": _text(previous)}
        case Appeared(gateway, mapping) | Disappeared(gateway, mapping):
            facts = objects.listed_object(mapping, gateway, now)
            return {"mapping": {key: facts[key] for key in facts if key not in {"event", "gateway"}}}
        case Restarted():
            return {}


def sighting_line(sighting: Sighting, now: float) -> str:
    """Return the line for what was seen at the time of day `now`."""
    return f"{datetime.fromtimestamp(now).astimezone():%H:%M:%S} {sighting_sentence(sighting, now)}"


def sighting_sentence(sighting: Sighting, now: float) -> str:  # noqa: PLR0911 - one for each kind
    """Return the sentence for what was seen, without the time."""
    match sighting:
        case Moved(gateway, _):
            return _moved(gateway)
        case Announced(gateway, announcement):
            return f"announced in the name of {gateway}: {_announcement(announcement)}"
        case Restarted(gateway):
            return f"{gateway} has lost its state: it restarted, or was reset"
        case Answered(_, backend, answering):
            age = "" if answering.epoch is None else f"; it has had its state for {answering.epoch} s"
            return f"{backend} answers in {answering.seconds * 1000:.1f} ms{age}"
        case FellSilent(_, backend, reason):
            return f"{backend} does not answer: {reason}"
        case AddressSeen(_, address, previous):
            shown = f"the external address is {address}" if address else "there is no external address now"
            return "; ".join([f"{shown}{f', was {previous}' if previous else ''}", *sentences.warnings(address)])
        case Appeared(_, mapping):
            return f"+ {sentences.listed_line(mapping, now)}"
        case Disappeared(_, mapping):
            return f"- {sentences.listed_line(mapping, now)}"


def _moved(gateway: Gateway | None) -> str:
    if gateway is None:
        return "there is no gateway to watch now"
    through = f" through {gateway.interface}" if gateway.interface else ""
    return f"watching {gateway}{through}, from {gateway.source}"


def _announcement(announcement: Announcement) -> str:
    return f"{_SOURCES[announcement.source]} {announcement.kind}"


def _text(one: object | None) -> str | None:
    return None if one is None else str(one)
