"""The pinholes of a WANIPv6FirewallControl service (WANIPv6FirewallControl:1 section 2.6)."""

from dataclasses import dataclass

from portmapper import limits
from portmapper.errors import ProtocolError
from portmapper.model import IPAddress, MappingRequest
from portmapper.upnp.client import IgdClient
from portmapper.upnp.faults import FIREWALL, Fault, fault_for
from portmapper.upnp.values import parse_number, parse_truth

NO_SUCH_ENTRY = 704
_NOT_ALLOWED = 703
_NO_TRAFFIC = 709
_LAST_ID = 65535


@dataclass(frozen=True, slots=True)
class FirewallStatus:
    """Whether packets from outside are stopped at all, and whether pinholes may be asked for."""

    enabled: bool
    inbound_allowed: bool


class Pinholes:
    """The actions of one service, with typed arguments and answers. All raise as IgdClient.call.

    A pinhole is for one address of this host, and asked for from that address: devices compare them.
    """

    def __init__(self, client: IgdClient, source: IPAddress) -> None:
        self._client = client
        self._source = source

    async def status(self) -> FirewallStatus:
        """Ask what the firewall does."""
        results = await self._client.call("GetFirewallStatus")
        return FirewallStatus(
            enabled=parse_truth(results.get("firewallenabled", "")),
            inbound_allowed=parse_truth(results.get("inboundpinholeallowed", "")),
        )

    async def add(self, request: MappingRequest) -> int:
        """Open a pinhole, or extend the one that is the same but for its lease; return its id."""
        results = await self._client.call("AddPinhole", **self._flow(request), LeaseTime=lease_time(request))
        return _id(results.get("uniqueid", ""))

    async def update(self, unique_id: int, request: MappingRequest) -> None:
        """Extend a pinhole. Raises Fault 704 when there is none of that id."""
        await self._client.call("UpdatePinhole", UniqueID=unique_id, NewLeaseTime=lease_time(request))

    async def delete(self, unique_id: int) -> None:
        """Close a pinhole; one that is gone already is no error."""
        try:
            await self._client.call("DeletePinhole", UniqueID=unique_id)
        except Fault as fault:
            if fault.code != NO_SUCH_ENTRY:
                raise

    async def exists(self, unique_id: int) -> bool:
        """Whether the device has a pinhole of that id. Raises Fault when it does not tell."""
        try:
            await self.packets(unique_id)
        except Fault as fault:
            if fault.code == NO_SUCH_ENTRY:
                return False
            raise
        return True

    async def packets(self, unique_id: int) -> int:
        """Return how many packets came through a pinhole."""
        results = await self._client.call("GetPinholePackets", UniqueID=unique_id)
        return parse_number(results.get("pinholepackets", ""), 0, limits.MAX_LIFETIME)

    async def is_working(self, unique_id: int) -> bool | None:
        """Whether packets come through a pinhole; None when none came that could show it. Few devices offer this."""
        try:
            results = await self._client.call("CheckPinholeWorking", UniqueID=unique_id)
        except Fault as fault:
            if fault.code == _NO_TRAFFIC:
                return None
            raise
        return parse_truth(results.get("isworking", ""))

    async def outbound_timeout(self, request: MappingRequest) -> int:
        """Return for how many seconds answers to an outgoing packet are let in, with no pinhole at all."""
        results = await self._client.call("GetOutboundPinholeTimeout", **self._flow(request))
        return parse_number(results.get("outboundpinholetimeout", ""), 0, limits.MAX_LIFETIME)

    def _flow(self, request: MappingRequest) -> dict[str, str | int]:
        remote = request.remote[0] if request.remote else None
        return {
            "RemoteHost": str(remote.network.network_address) if remote else "",
            "RemotePort": remote.port if remote else 0,
            "InternalClient": str(request.internal_address or self._source),
            "InternalPort": request.internal_port,
            "Protocol": request.protocol.number,
        }


def lease_time(request: MappingRequest) -> int:
    """Return the lease to ask for (section 2.4.8: 1 to 86400 s)."""
    return min(request.lifetime, limits.PINHOLE_LIFETIME)


def check_allowed(status: FirewallStatus) -> None:
    """Raise Fault 703 unless pinholes may be asked for (section 2.4.3)."""
    if not status.inbound_allowed:
        raise fault_for(f"urn:schemas-upnp-org:service:{FIREWALL}:1", _NOT_ALLOWED)


def _id(text: str) -> int:
    try:
        return parse_number(text, 0, _LAST_ID)
    except ProtocolError as error:
        raise ProtocolError(f"a pinhole without a usable id: {error}") from error
