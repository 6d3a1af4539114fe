"""What to ask next when a device refuses to add a mapping. No I/O: the other ports to try are an argument."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from portmapper import limits
from portmapper.model import Lease, MappingRequest

_CONFLICT = {718, 729}
_SAME_PORT = 724
_ONLY_PERMANENT = 725


@dataclass(frozen=True, slots=True)
class Attempt:
    """One form of the request. `any_port` is AddAnyPortMapping; `lifetime` 0 asks for a mapping without end."""

    external_port: int
    lifetime: int
    any_port: bool = False


def first_attempt(request: MappingRequest, *, renew: Lease | None) -> Attempt:
    """Return what to ask first. A renewal repeats what was granted.

    AddPortMapping on version 2 devices too: it tells "not authorised" from "taken", where AddAnyPortMapping (of
    miniupnpd 2.3.1) says that all ports are in use.
    """
    lifetime = min(request.lifetime, limits.UPNP_LIFETIME)
    if renew is not None:
        return Attempt(renew.external.port, 0 if renew.permanent else lifetime)
    return Attempt(_wish(request), lifetime)


def next_attempt(
    attempt: Attempt, code: int, request: MappingRequest, *, version: int, ports: Iterator[int]
) -> Attempt | None:
    """Return what to ask after the device said no with `code`; None when there is nothing left to try.

    After a conflict a version 2 device is asked to choose, any other is offered one of `ports` after the other.
    """
    if code == _ONLY_PERMANENT and attempt.lifetime:
        return replace(attempt, lifetime=0)
    if code == _SAME_PORT and not request.exact and attempt.external_port != request.internal_port:
        return replace(attempt, external_port=request.internal_port, any_port=False)
    if request.exact:
        return None
    if code in _CONFLICT and version > 1 and not attempt.any_port and attempt.external_port == _wish(request):
        return replace(attempt, any_port=True)
    if code in _CONFLICT or attempt.any_port:
        port = next(ports, None)
        return None if port is None else replace(attempt, external_port=port, any_port=False)
    return None


def _wish(request: MappingRequest) -> int:
    # Port 0 would be a wildcard: all ports (WANIPConnection:2 section 2.3.18).
    return request.external_port or request.internal_port
