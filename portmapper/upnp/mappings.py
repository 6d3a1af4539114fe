"""The port mappings of a WANIPConnection or WANPPPConnection service, and what the device says about each."""

import logging

import anyio

from portmapper import limits
from portmapper.errors import GatewayTimeout, GatewayUnreachable, ProtocolError
from portmapper.model import IPAddress, ListedMapping, MappingRequest, Protocol
from portmapper.upnp.attempts import Attempt
from portmapper.upnp.client import Begun, IgdClient, nobody_to_tell
from portmapper.upnp.entries import Entry, decode_entry
from portmapper.upnp.faults import Fault
from portmapper.upnp.listing import decode_listed, decode_listing
from portmapper.upnp.values import parse_external, parse_port

_log = logging.getLogger(__name__)

NO_SUCH_ENTRY = 714
_NO_SUCH_MAPPINGS = 730
_END_OF_LIST = {713, 714, 402, 501}  # the first is right, the others have been seen


class PortMappings:
    """The actions of one service, with typed arguments and answers. All raise as IgdClient.call.

    `source` is this host's address that faces the device, `device` the device's own.
    """

    def __init__(self, client: IgdClient, source: IPAddress, device: IPAddress) -> None:
        self._client = client
        self._source = source
        self._device = device

    def beside(self) -> "PortMappings":
        """Return the same actions for while a request has no answer yet."""
        return PortMappings(self._client.beside(), self._source, self._device)

    @property
    def version(self) -> int:
        """The version of the service."""
        return self._client.service.version

    async def add(self, request: MappingRequest, attempt: Attempt, begun: Begun = nobody_to_tell) -> int:
        """Add a mapping, or change the one that this host has at the same port; return the external port.

        `begun` is called when it has its turn.
        """
        name = "AddAnyPortMapping" if attempt.any_port else "AddPortMapping"
        results = await self._client.call(name, begun, **self._arguments(request, attempt))
        return parse_port(results.get("newreservedport", "")) if attempt.any_port else attempt.external_port

    async def extend(self, request: MappingRequest, attempt: Attempt) -> int:
        """Add a mapping that is there once more; return the external port. Twice does no harm."""
        await self._client.repeat("AddPortMapping", **self._arguments(request, attempt))
        return attempt.external_port

    def _arguments(self, request: MappingRequest, attempt: Attempt) -> dict[str, str | int]:
        return {
            **key_of(attempt.external_port, request),
            "NewInternalPort": request.internal_port,
            "NewInternalClient": str(self.client_of(request)),
            "NewEnabled": 1,
            "NewPortMappingDescription": attempt.description,
            "NewLeaseDuration": attempt.lifetime,
        }

    async def delete(self, port: int, request: MappingRequest) -> None:
        """Delete a mapping; one that is gone already is no error."""
        try:
            await self._client.call("DeletePortMapping", **key_of(port, request))
        except Fault as fault:
            if fault.code != NO_SUCH_ENTRY:
                raise

    async def look_up(self, port: int, request: MappingRequest) -> Entry | None:
        """Return what the device has at an external port, None if nothing."""
        try:
            return decode_entry(await self._client.call("GetSpecificPortMappingEntry", **key_of(port, request)))
        except Fault as fault:
            if fault.code == NO_SUCH_ENTRY:
                return None
            raise

    def client_of(self, request: MappingRequest) -> IPAddress:
        """Return the address of the host that a mapping leads to."""
        return request.internal_address or self._source

    def leads_there(self, entry: Entry, request: MappingRequest) -> bool:
        """Whether a mapping leads to the port that `request` is for."""
        return (entry.client, entry.port) == (self.client_of(request), request.internal_port)

    async def external_address(self) -> IPAddress | None:
        """Return the external address, None when the device has none now."""
        results = await self._client.call("GetExternalIPAddress")
        return parse_external(results.get("newexternalipaddress") or results.get("", ""), self._device)

    async def list_all(self) -> tuple[ListedMapping, ...]:
        """Return every mapping of the device, as far as it tells within 10 s."""
        ends = anyio.current_time() + limits.LISTING
        if self.version > 1:
            try:
                return await self._list_by_range()
            except (Fault, ProtocolError):
                pass  # optional, or too long for one answer
        return await self._list_by_number(ends)

    async def _list_by_range(self) -> tuple[ListedMapping, ...]:
        found: list[ListedMapping] = []
        for protocol in (Protocol.TCP, Protocol.UDP):
            try:
                results = await self._client.call(
                    "GetListOfPortMappings",
                    NewStartPort=1,  # some devices refuse 0
                    NewEndPort=limits.LAST_PORT,
                    NewProtocol=protocol.upper(),
                    NewManage=1,
                    NewNumberOfPorts=0,
                )
                found += decode_listing(results.get("newportlisting", ""))
            except Fault as fault:
                if fault.code not in {_NO_SUCH_MAPPINGS, NO_SUCH_ENTRY}:
                    raise
        return tuple(found)

    async def _list_by_number(self, ends: float) -> tuple[ListedMapping, ...]:
        found: dict[tuple[str, int, Protocol], ListedMapping] = {}
        ended, unreadable = False, 0
        with anyio.CancelScope(deadline=ends):
            for index in range(limits.LISTED_ALL):
                try:
                    results = await self._numbered(index)
                except ProtocolError:  # some devices escape no "<": the text of a neighbour must not hide the others
                    unreadable += 1
                    if unreadable > limits.LISTED_UNREADABLE:
                        raise
                    continue
                listed = decode_listed(results) if results else None
                key = (listed.remote_host, listed.external_port, listed.protocol) if listed else None
                ended = results is None or key in found  # it repeats the last one for ever
                if ended:
                    break
                if listed and key:
                    found[key] = listed
        if not ended:
            _log.warning("the list of mappings is cut off after %d", len(found))
        return tuple(found.values())

    async def _numbered(self, index: int) -> dict[str, str] | None:
        try:
            return await self._client.call("GetGenericPortMappingEntry", NewPortMappingIndex=index)
        except Fault as fault:
            if fault.code in _END_OF_LIST:
                return None
            raise


def key_of(port: int, request: MappingRequest) -> dict[str, str | int]:
    """Return the arguments that tell one mapping from all others."""
    return {"NewRemoteHost": remote_host(request), "NewExternalPort": port, "NewProtocol": request.protocol.upper()}


def remote_host(request: MappingRequest) -> str:
    """Return the only host that may come in, "" for anybody: not "*" and not 0.0.0.0, which cannot be renewed."""
    return str(request.remote[0].network.network_address) if request.remote else ""


UNKNOWN_OUTCOME = (GatewayTimeout, GatewayUnreachable, ProtocolError)
"""What leaves open whether the device did what it was asked."""
