"""What to ask next when a device refuses to add a mapping. No I/O: the other ports to try are an argument."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from portmapper import limits
from portmapper.model import Lease, MappingRequest

_CONFLICT = {718, 729}
_SAME_PORT = 724
_ONLY_PERMANENT = 725
_NOT_THERE = {401, 402, 501, 602}  # the action itself, whatever the device calls it


@dataclass(frozen=True, slots=True)
class Attempt:
    """One form of the request. `any_port` is AddAnyPortMapping; `lifetime` 0 asks for a mapping without end."""

    external_port: int
    lifetime: int
    any_port: bool


def first_attempt(request: MappingRequest, *, version: int, renew: Lease | None) -> Attempt:
    """Return what to ask first: version 2 may choose the port; a renewal repeats what was granted."""
    lifetime = min(request.lifetime, limits.UPNP_LIFETIME)
    if renew is not None:
        return Attempt(renew.external.port, 0 if renew.permanent else lifetime, any_port=False)
    # Port 0 would be a wildcard: all ports (WANIPConnection:2 section 2.3.18).
    port = request.external_port or request.internal_port
    return Attempt(port, lifetime, any_port=version > 1)


def next_attempt(attempt: Attempt, code: int, request: MappingRequest, ports: Iterator[int]) -> Attempt | None:
    """Return what to ask after the device said no with `code`; None when there is nothing left to try."""
    if attempt.any_port and code in _NOT_THERE:
        return replace(attempt, any_port=False)
    if code == _ONLY_PERMANENT and attempt.lifetime:
        return replace(attempt, lifetime=0)
    if code == _SAME_PORT and attempt.external_port != request.internal_port:
        return replace(attempt, external_port=request.internal_port)
    if code in _CONFLICT:
        port = next(ports, None)
        return replace(attempt, external_port=port) if port is not None else None
    return None
