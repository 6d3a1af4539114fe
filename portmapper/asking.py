"""Ask one backend for one mapping, and undo what was granted but is not wanted or not known."""

from contextlib import suppress

import anyio

from portmapper import limits
from portmapper.backend import Backend, check_offered
from portmapper.errors import (
    GatewayTimeout,
    GatewayUnreachable,
    PortMapperError,
    PortUnavailable,
    ProtocolError,
    RequestRefused,
)
from portmapper.holding import Grant
from portmapper.model import Lease, MappingRequest
from portmapper.net import clock
from portmapper.net.tasks import finish_begun, shielded
from portmapper.refusals import Refusals


async def ask(backend: Backend, request: MappingRequest, refusals: Refusals, *, joins: bool = False) -> Grant:
    """Ask for a mapping, unless the gateway refused it not long ago. Raises PortMapperError.

    With `joins` another program has it already: whatever comes of this, it is left to that one.
    """
    check_offered(backend, request)
    refusals.check(backend.name, request, clock.now())
    try:
        return await _ask(backend, request, joins=joins)
    except RequestRefused as refusal:
        refusals.note(backend.name, request, refusal, clock.now())
        raise


async def _ask(backend: Backend, request: MappingRequest, *, joins: bool) -> Grant:
    """Ask for a mapping. A cancellation lets the gateway answer first and then undoes what it granted.

    When it stays unknown whether anything was granted (no answer, or one that makes no sense), what there is to be
    found is undone.
    """
    granted: list[Lease] = []

    async def begin_and_finish() -> None:
        granted.append(await backend.map(request))

    begin = clock.now()

    async def undo(within: float) -> None:
        if joins:
            return
        with shielded(within), suppress(PortMapperError):
            await (backend.unmap(granted[0]) if granted else backend.undo(request))

    try:
        await finish_begun(begin_and_finish, grace=limits.GRACE)
    except anyio.get_cancelled_exc_class():
        await undo(limits.GRACE)
        raise
    except (GatewayTimeout, GatewayUnreachable, ProtocolError):
        await undo(limits.UNDO)
        raise
    await check_port(backend, granted[0])
    return Grant(backend, granted[0], begin)


async def check_port(backend: Backend, lease: Lease) -> None:
    """Release a lease at another port than it has to be. Raises PortUnavailable."""
    wanted, port = lease.request.external_port, lease.external.port
    if not lease.request.exact or port == wanted:
        return
    with shielded(limits.UNDO), suppress(PortMapperError):
        await backend.unmap(lease)
    raise PortUnavailable(f"external port {wanted} is not to be had; the gateway offered {port}", granted=port)
