"""What a device says about one mapping (WANIPConnection:2 sections 2.5.14 and 2.5.15). No I/O."""

from collections.abc import Mapping
from dataclasses import dataclass

from portmapper import limits
from portmapper.errors import ProtocolError
from portmapper.model import IPAddress, Lease, MappingRequest
from portmapper.text import safe_text
from portmapper.upnp.attempts import Attempt
from portmapper.upnp.values import parse_client, parse_number, parse_port, parse_truth


@dataclass(frozen=True, slots=True)
class Entry:
    """One mapping as the device has it. `lifetime` is what is left in seconds, 0 for no end, None if it does not say.

    `client` is None for a host name.
    """

    client: IPAddress | None
    port: int
    enabled: bool
    description: str
    lifetime: int | None


def decode_entry(results: Mapping[str, str]) -> Entry:
    """Return the mapping in the answer to GetSpecificPortMappingEntry. Raises ProtocolError when it leads nowhere."""
    return Entry(
        client=parse_client(results.get("newinternalclient", "")),
        port=parse_port(results.get("newinternalport", "")),
        enabled=parse_truth(results.get("newenabled") or "1"),
        description=results.get("newportmappingdescription", ""),
        lifetime=_lifetime(results.get("newleaseduration", "")),
    )


def granted_lifetime(entry: Entry, attempt: Attempt, version: int, before: Entry | None = None) -> int:
    """Return the lifetime of a mapping that was just made by `attempt`, 0 for one without end.

    One that was there `before`, and has no more time now than then, was not made anew.
    """
    told, asked = entry.lifetime, attempt.lifetime
    if told and before is not None and not has_more_time(entry, before):
        return told
    if told is None or asked - limits.READ_BACK_SLACK <= told <= asked or 0 < asked <= limits.READ_BACK_SLACK:
        return asked
    # Version 2 has no mappings without end: 0 there is the device's way not to tell (section 2.3.16).
    return asked if told == 0 and version > 1 else told


def was_lengthened(lifetime: int, lease: Lease) -> bool:
    """Whether a renewed mapping has about as much time again as `lease` had at first; 0 is without end."""
    return not lifetime or lease.permanent or lifetime >= lease.lifetime * 3 // 4


def has_more_time(entry: Entry, before: Entry) -> bool:
    """Whether a mapping has more time left than it had before, as far as that is told: it was renewed since."""
    return not entry.lifetime or not before.lifetime or entry.lifetime > before.lifetime


def who_has(port: int, request: MappingRequest, entry: Entry) -> str:
    """Return a sentence for a person: where the external port leads, and what for, as the device tells."""
    text = f", for {safe_text(entry.description)!r}" if entry.description else ""
    return f"external port {port}/{request.protocol} leads to {entry.client} port {entry.port}{text}"


def _lifetime(text: str) -> int | None:
    try:
        return parse_number(text, 0, limits.MAX_LIFETIME)
    except ProtocolError:
        return None
