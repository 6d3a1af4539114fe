"""Make, keep and remove IPv6 pinholes (WANIPv6FirewallControl:1)."""

from collections.abc import Callable

from portmapper import limits
from portmapper.errors import (
    MappingGone,
    NoMapping,
    PortMapperError,
    PortUnavailable,
    ProtocolError,
    UnsupportedRequest,
)
from portmapper.model import Endpoint, IPAddress, Lease, ListedMapping, MappingRequest
from portmapper.upnp.faults import Fault
from portmapper.upnp.memory import Granted
from portmapper.upnp.pinholes import NO_SUCH_ENTRY, Pinholes, check_allowed, lease_time
from portmapper.upnp.recent import Recent

_ID = 2  # bytes


class PinholeGrants:
    """The pinholes of this host on one device. Everything raises PortMapperError and nothing else.

    The lease's token is the id of its pinhole; one without a token needs none, because the firewall is switched off.
    """

    def __init__(self, pinholes: Pinholes, source: IPAddress, *, state_lost: Callable[[], None]) -> None:
        self._pinholes = pinholes
        self._source = source
        self._state_lost = state_lost
        self._made = Recent[bytes, MappingRequest]()
        self._begun = Recent[MappingRequest, None]()  # asked for without an answer yet

    async def map(self, request: MappingRequest) -> Granted:
        """Open a pinhole, unless nothing is filtered."""
        check_flow(request)
        self._begun.drop(request)
        status = await self._pinholes.status()
        if not status.enabled:
            return self._granted(request, 0, b"")
        check_allowed(status)
        self._begun.note(request, None)
        token = (await self._pinholes.add(request)).to_bytes(_ID, "big")
        self._made.note(token, request)
        return self._granted(request, lease_time(request), token)

    async def renew(self, request: MappingRequest, lease: Lease) -> Granted:
        """Extend a pinhole; one that the device has forgotten is opened again."""
        if request.remote != lease.request.remote or not lease.token:
            return await self._anew(request, lease)
        try:
            await self._pinholes.update(_id(lease.token), request)
        except Fault as fault:
            if fault.code != NO_SUCH_ENTRY:
                raise
            self._made.drop(lease.token)
            self._state_lost()  # ids do not outlive a restart (section 2.4.9)
            return await self._anew(request, lease)
        return self._granted(request, lease_time(request), lease.token)

    async def unmap(self, lease: Lease) -> None:
        """Close a pinhole."""
        if lease.token:
            self._made.drop(lease.token)
            await self._pinholes.delete(_id(lease.token))

    def settle(self, request: MappingRequest) -> None:
        """Note that the outcome of `map` or `renew` is known to whoever asked: there is nothing to undo any more."""
        self._begun.drop(request)

    async def undo(self, request: MappingRequest) -> None:
        """Close the pinhole that was asked for without a clear answer: asking again tells its id."""
        if request in self._begun:
            self._begun.drop(request)
            await self._pinholes.delete(await self._pinholes.add(request))

    async def find(self, request: MappingRequest) -> Granted:
        """Return the pinhole for `request`; asking for one that is there tells its id, and opens one that is not."""
        granted = await self.map(request)
        if not granted.token:
            raise NoMapping("the firewall is switched off: there is no pinhole")
        return granted

    async def check(self) -> None:
        """Look whether the device still has what it gave; it has lost its state when one is missing."""
        made = tuple(self._made)[-limits.CHECKED_LEASES :]
        if not made:
            await self._pinholes.status()  # to see whether it answers
        for token, _ in made:
            try:
                if not await self._pinholes.exists(_id(token)):
                    self._made.drop(token)  # said once
                    self._state_lost()
                    return
            except (Fault, ProtocolError):
                return  # it does not tell

    async def shows(self, lease: Lease) -> bool:
        """Whether the device shows the pinhole. Raises MappingGone when it shows that it has it no more."""
        if not lease.token:
            return not (await self._pinholes.status()).enabled
        try:
            there = await self._pinholes.exists(_id(lease.token))
        except (Fault, ProtocolError):
            return False  # it does not tell
        if not there:
            self._made.drop(lease.token)
            self._state_lost()
            raise MappingGone("the gateway has this pinhole no more")
        return True

    async def list_all(self) -> tuple[ListedMapping, ...]:
        """Raise UnsupportedRequest: the service has no list."""
        raise UnsupportedRequest("UPnP cannot list pinholes")

    async def external_address(self) -> IPAddress | None:
        """Return the address of this host: nothing is translated."""
        return self._source

    async def _anew(self, request: MappingRequest, lease: Lease) -> Granted:
        granted = await self.map(request)
        if lease.token and granted.token != lease.token:
            try:
                await self.unmap(lease)
            except PortMapperError:
                return granted  # it ends by itself
        return granted

    def _granted(self, request: MappingRequest, lifetime: int, token: bytes) -> Granted:
        address = request.internal_address or self._source
        return Granted(Endpoint(address, request.internal_port), lifetime, token)


def check_flow(request: MappingRequest) -> None:
    """Raise UnsupportedRequest or PortUnavailable for what a pinhole cannot be."""
    if len(request.remote) > 1 or any(one.network.num_addresses > 1 for one in request.remote):
        raise UnsupportedRequest("a pinhole can let in one remote host or all, not a network or several")
    if request.exact and request.external_port != request.internal_port:
        text = f"without address translation the external port is {request.internal_port}"
        raise PortUnavailable(text, granted=request.internal_port)


def _id(token: bytes) -> int:
    return int.from_bytes(token, "big")
