"""A short trial mapping by each backend that answers: made, looked at, removed."""

import math
from dataclasses import replace
from pathlib import Path

import anyio

from portmapper import limits
from portmapper.doctor.findings import Trial
from portmapper.errors import NoService, PortMapperError, RequestRefused
from portmapper.mapper import PortMapper
from portmapper.mapping import Mapping
from portmapper.model import Closed, Gateway, ListedMapping, MappingRequest
from portmapper.net import clock
from portmapper.upnp.mappings import PortMappings


def trial_request(request: MappingRequest) -> MappingRequest:
    """Return what is asked for: for two minutes, and at the same external port unless another was named."""
    wished = request.external_port or request.internal_port
    return replace(request, external_port=wished, lifetime=limits.DOCTOR_LIFETIME)


async def try_backend(
    gateway: Gateway, request: MappingRequest, backend: str, *, state: Path | None, mappings: PortMappings | None
) -> Trial:
    """Make the mapping by one backend, look for it in the router's list, remove it; at most 8 s, and 2 s to leave.

    With `state` a port that another program of this host has is not touched. Never raises for what a gateway does.
    """
    begin = clock.now()
    made: Trial | None = None
    problem: PortMapperError | None = None
    try:
        async with PortMapper(gateway=gateway, backends=[backend], state=state, check=None) as mapper:
            with anyio.move_on_after(limits.DOCTOR_TRIAL):
                mapping = await mapper.map_request(request)
                made = _granted(mapping, shown=await _is_shown(mapping, mappings))
                made = replace(made, left=await _close(mapping))
    except PortMapperError as error:
        problem = error
    seconds = clock.now() - begin
    if made is not None:
        return replace(made, seconds=seconds)
    return _failed(backend, problem, seconds)


async def list_port(request: MappingRequest, gateway: Gateway, mappings: PortMappings) -> tuple[ListedMapping, ...]:
    """Return the router's mappings of the wanted external port, and those that lead to this port of this host.

    Raises PortMapperError when the router does not say.
    """
    found: tuple[ListedMapping, ...] | None = None
    with anyio.move_on_after(limits.DOCTOR_LISTING):
        found = await mappings.list_all()
    if found is None:
        found = await _looked_up(request, mappings)
    own = str(gateway.source)
    marked = (replace(one, own=one.internal_client == own) for one in found)
    return tuple(one for one in marked if _concerns(one, request))


def _concerns(one: ListedMapping, request: MappingRequest) -> bool:
    if one.protocol != request.protocol:
        return False
    return one.external_port == request.external_port or (one.own and one.internal_port == request.internal_port)


async def _looked_up(request: MappingRequest, mappings: PortMappings) -> tuple[ListedMapping, ...]:
    with anyio.move_on_after(limits.DOCTOR_LOOKUP):
        entry = await mappings.look_up(request.external_port, request)
        if entry is None:
            return ()
        one = ListedMapping(
            remote_host="",
            external_port=request.external_port,
            protocol=request.protocol,
            internal_port=entry.port,
            internal_client=str(entry.client or ""),
            enabled=entry.enabled,
            description=entry.description,
            lifetime=entry.lifetime or 0,
        )
        return (one,)
    return ()


async def _is_shown(mapping: Mapping, mappings: PortMappings | None) -> bool | None:
    if mappings is None or not mapping.external_port:
        return None
    request = mapping.lease.request
    with anyio.move_on_after(limits.DOCTOR_LOOKUP):
        try:
            entry = await mappings.look_up(mapping.external_port, request)
        except PortMapperError:
            return None
        return entry is not None and mappings.leads_there(entry, request)
    return None


def _granted(mapping: Mapping, *, shown: bool | None) -> Trial:
    lease = mapping.lease
    return Trial(
        backend=lease.backend,
        seconds=0.0,
        internal=lease.internal,
        external=lease.external,
        lifetime=lease.lifetime,
        shown=shown,
    )


async def _close(mapping: Mapping) -> str:
    """Remove it; return what is left, "" if nothing."""
    events = mapping.events()
    await mapping.close()
    async for event in events:
        if isinstance(event, Closed):
            return _remains(event)
    return ""


def _remains(event: Closed) -> str:
    if not event.remaining:
        return ""
    end = "without end" if math.isinf(event.remaining) else f"for {event.remaining:.0f} s more"
    return f"it stands {end}: {event.error}"


def _failed(backend: str, problem: PortMapperError | None, seconds: float) -> Trial:
    if isinstance(problem, NoService) and backend in problem.reasons:
        problem = problem.reasons[backend]
    if isinstance(problem, RequestRefused):
        return Trial(backend=backend, seconds=seconds, code=problem.code, name=problem.name, problem=str(problem))
    return Trial(backend=backend, seconds=seconds, problem=str(problem or "it did not come about in time"))
