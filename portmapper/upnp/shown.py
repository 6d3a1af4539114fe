"""What a device shows of its mappings, and whether that is what was asked for."""

from contextlib import suppress
from dataclasses import replace

from portmapper.errors import PortMapperError, ProtocolError
from portmapper.model import ListedMapping, MappingRequest
from portmapper.upnp.attempts import Attempt
from portmapper.upnp.entries import Entry, granted_lifetime, who_has
from portmapper.upnp.faults import Fault, fault_for
from portmapper.upnp.mappings import PortMappings, remote_host
from portmapper.upnp.values import parse_client

_ONLY_PERMANENT, _NO_REMOTE_HOST = 725, 726
_SERVICE = "urn:schemas-upnp-org:service:WANIPConnection:1"


class Shown:
    """Looks mappings up on one device. Everything raises PortMapperError and nothing else."""

    def __init__(self, mappings: PortMappings, *, permanent: bool) -> None:
        self._mappings = mappings
        self._permanent = permanent
        self.tells = False
        """Whether it was seen to show a mapping that it has: only then one that does not show is not there."""

    async def look_up(self, port: int, request: MappingRequest) -> tuple[bool, Entry | None]:
        """Return whether the device tells what it has at a port, and that."""
        try:
            entry = await self._mappings.look_up(port, request)
        except (Fault, ProtocolError):
            return False, None
        if entry is not None and entry.client is None:
            return False, None  # a host name could be anybody's, ours too
        return True, entry

    async def find_listed(self, request: MappingRequest, *, description: str | None) -> ListedMapping | None:
        """Return what the list has that leads where `request` wants it, with that description unless it is None."""
        for one in await self._mappings.list_all():
            leads = (parse_client(one.internal_client), one.internal_port, one.protocol, one.remote_host) == (
                self._mappings.client_of(request), request.internal_port, request.protocol, remote_host(request)
            )  # fmt: skip
            if leads and description in {None, one.description}:
                return one
        return None

    async def verify(self, request: MappingRequest, attempt: Attempt, before: Entry | None) -> int:
        """Return the lifetime of the mapping as the device shows it; undo and refuse one that is not as asked.

        `before` is what it showed before the mapping was renewed.
        """
        port = attempt.external_port
        known, entry = await self.look_up(port, request)
        if entry is None:
            if known and not await self._is_listed(request, port):
                with suppress(PortMapperError):
                    await self._mappings.delete(port, request)  # the port was free: what only does not show is ours
                raise ProtocolError(f"the device said yes, but has no mapping at external port {port}")
            return attempt.lifetime
        self.tells = True
        if entry.client != self._mappings.client_of(request):
            raise ProtocolError(f"the device said yes, but {who_has(port, request, entry)}")
        lifetime = granted_lifetime(entry, attempt, self._mappings.version, before)
        problem = self._fault_in(entry, request, lifetime) or await self._lets_others_in(request, port)
        if problem is not None:
            await self._mappings.delete(port, request)
            raise problem
        return lifetime

    def _fault_in(self, entry: Entry, request: MappingRequest, lifetime: int) -> PortMapperError | None:
        if entry.port != request.internal_port:
            return ProtocolError(f"the device leads to port {entry.port} instead of {request.internal_port}")
        if not entry.enabled:
            return ProtocolError("the device has the mapping, but switched off")
        if not lifetime and not self._permanent:
            return fault_for(_SERVICE, _ONLY_PERMANENT)
        return None

    async def _lets_others_in(self, request: MappingRequest, port: int) -> PortMapperError | None:
        """Return the refusal when a mapping for one remote host is one for everybody, or may be."""
        if not request.remote:
            return None
        # Only the list tells: asked for a port, miniupnpd 2.3.1 shows what is there for whichever remote host.
        with suppress(PortMapperError):
            for one in await self._mappings.list_all():
                mine = (one.external_port, one.protocol) == (port, request.protocol)
                if mine and one.remote_host == remote_host(request):
                    return None
        await self._mappings.delete(port, replace(request, remote=()))
        return fault_for(_SERVICE, _NO_REMOTE_HOST)

    async def _is_listed(self, request: MappingRequest, port: int) -> bool:
        """Whether the list has what a look-up did not show; a device that does not tell is believed."""
        if self.tells:
            return False
        try:
            listed = await self._mappings.list_all()
        except PortMapperError:
            return True
        return any((one.external_port, one.protocol) == (port, request.protocol) for one in listed)
