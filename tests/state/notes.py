"""Notes to test with."""

from ipaddress import IPv4Address
from typing import Any

from portmapper.model import Endpoint, Gateway, MappingRequest, Protocol
from portmapper.state.journal import Note, NoteState

GATEWAY = Gateway(address=IPv4Address("192.168.1.1"), source=IPv4Address("192.168.1.10"), interface="eth0")
ELSEWHERE = Gateway(address=IPv4Address("10.0.0.1"), source=IPv4Address("10.0.0.7"))


def request(port: int = 8080, protocol: str = "tcp", **more: Any) -> MappingRequest:
    return MappingRequest(protocol=Protocol.parse(protocol), internal_port=port, **more)


def note(
    port: int = 8080,
    external: int | None = 8080,
    *,
    state: NoteState = NoteState.HELD,
    gateway: Gateway = GATEWAY,
    since: float = 1000.0,
    ends: float | None = 8200.0,
    backend: str | None = "pcp",
    **more: Any,
) -> Note:
    """Return a note of `port` at the external port `external` (None: not known)."""
    return Note(
        request=request(port, **more),
        gateway=gateway,
        state=state,
        since=since,
        ends=ends,
        backend=backend,
        external=None if external is None else Endpoint(IPv4Address("203.0.113.7"), external),
    )


def wish(port: int = 8080, **more: Any) -> Note:
    """Return what somebody would like to ask for."""
    return note(port, None, state=NoteState.ASKED, ends=None, backend=None, **more)
