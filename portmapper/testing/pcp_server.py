"""The server side of PCP, as a simulated gateway speaks it: a request in, a response out."""

from dataclasses import dataclass, field, fields
from ipaddress import IPv4Address
from typing import Any

from portmapper.model import Endpoint, IPAddress, Protocol
from portmapper.pcp import wire as pcp
from portmapper.pcp.address import unspecified_like
from portmapper.pcp.options import Filter, Option, PortSet, PreferFailure, ThirdParty, UnknownOption, is_mandatory
from portmapper.pcp.results import Result
from portmapper.testing.table import Denied, Entry, MappingTable

_SHORT, _LONG = 30, 1800  # RFC 6887 section 7.4
_SHORT_ERRORS = {Result.NETWORK_FAILURE, Result.NO_RESOURCES, Result.USER_EX_QUOTA, Result.CANNOT_PROVIDE_EXTERNAL}


class _Refused(Exception):
    def __init__(self, result: Result) -> None:
        super().__init__(result)
        self.result = result


@dataclass(frozen=True, slots=True, kw_only=True)
class PcpSwitches:
    """What the PCP server of a simulated gateway can do, and how it goes wrong."""

    honours_prefer_failure: bool = True
    allows_third_party: bool = False
    max_port_set: int = 32
    """0: the server does not know PORT_SET."""
    max_filters: int = 16
    echoes_options: bool = False
    """Success repeats the options of the request, whether they were processed or not."""
    protocols: frozenset[int] = frozenset({6, 17, 132})


@dataclass(slots=True, kw_only=True)
class PcpServer:
    """Answers requests from a table."""

    table: MappingTable
    external_address: IPv4Address
    min_lifetime: int
    max_lifetime: int
    switches: PcpSwitches
    peers: dict[tuple[Protocol, Endpoint, Endpoint], tuple[bytes, int]] = field(
        default_factory=dict[tuple[Protocol, Endpoint, Endpoint], tuple[bytes, int]]
    )
    """Outbound mappings: nonce and external port by protocol, internal endpoint and remote endpoint."""

    def answer(self, request: pcp.Request, sender: IPAddress, now: float, epoch: int) -> pcp.Response:
        """Return the response to `request`, which came from `sender`."""
        if isinstance(request, pcp.AnnounceRequest):
            return pcp.AnnounceResponse(result=0, lifetime=0, epoch=epoch)
        try:
            self._check(request, sender)
            if isinstance(request, pcp.PeerRequest):
                return self._peer(request, sender, epoch)
            return self._map(request, self._internal(request, sender), now, epoch)
        except _Refused as refused:
            return _refusal(request, epoch, refused.result)
        except Denied:
            return _refusal(request, epoch, Result.NOT_AUTHORIZED)

    def _check(self, request: pcp.MapRequest | pcp.PeerRequest, sender: IPAddress) -> None:
        if request.client != sender:
            raise _Refused(Result.ADDRESS_MISMATCH)
        if request.protocol not in self.switches.protocols:
            raise _Refused(Result.UNSUPP_PROTOCOL)

    def _map(self, request: pcp.MapRequest, internal: Endpoint, now: float, epoch: int) -> pcp.Response:
        processed = self._processed(request)
        protocol = Protocol.of(request.protocol)
        if not request.lifetime:
            self._delete(protocol, internal, request.nonce)
            nowhere = unspecified_like(request.client)
            return _response(request, epoch, external_port=0, external_address=nowhere, options=processed)
        lifetime = min(max(request.lifetime, self.min_lifetime), self.max_lifetime)
        entry = self.table.grant(
            protocol, internal, request.external_port, now + lifetime, request.nonce, self._ports_wanted(request)
        )
        self._check_port(entry, request)
        _set_filters(entry, processed)
        processed = tuple(_granted_set(entry, one) if isinstance(one, PortSet) else one for one in processed)
        return _response(
            request,
            epoch,
            lifetime=lifetime,
            external_port=entry.external_port,
            external_address=self.external_address,
            options=request.options if self.switches.echoes_options else processed,
        )

    def _peer(self, request: pcp.PeerRequest, sender: IPAddress, epoch: int) -> pcp.Response:
        protocol, internal = Protocol.of(request.protocol), Endpoint(sender, request.internal_port)
        key = (protocol, internal, Endpoint(request.remote_address, request.remote_port))
        mapped = self.table.to(protocol, internal)
        port = mapped.external_port if mapped else request.external_port or request.internal_port
        nonce, port = self.peers.setdefault(key, (request.nonce, port))
        if nonce != request.nonce:
            raise _Refused(Result.NOT_AUTHORIZED)
        lifetime = min(max(request.lifetime, self.min_lifetime), self.max_lifetime)
        address = self.external_address
        return _response(request, epoch, lifetime=lifetime, external_port=port, external_address=address, options=())

    def _internal(self, request: pcp.MapRequest, sender: IPAddress) -> Endpoint:
        third_party = next((one.address for one in request.options if isinstance(one, ThirdParty)), None)
        if third_party is not None and not self.switches.allows_third_party:
            raise _Refused(Result.UNSUPP_OPTION)
        if third_party == sender:
            raise _Refused(Result.MALFORMED_REQUEST)
        return Endpoint(third_party or sender, request.internal_port)

    def _processed(self, request: pcp.MapRequest) -> tuple[Option, ...]:
        unknown = [one for one in request.options if isinstance(one, UnknownOption)]
        if any(is_mandatory(option.code) for option in unknown):
            raise _Refused(Result.UNSUPP_OPTION)
        if sum(isinstance(one, Filter) and one.prefix > 0 for one in request.options) > self.switches.max_filters:
            raise _Refused(Result.EXCESSIVE_REMOTE_PEERS)
        known = (one for one in request.options if one not in unknown)
        return tuple(one for one in known if self.switches.max_port_set or not isinstance(one, PortSet))

    def _ports_wanted(self, request: pcp.MapRequest) -> int:
        sizes = [one.size for one in request.options if isinstance(one, PortSet)]
        return max(min(*sizes, self.switches.max_port_set), 1) if sizes else 1

    def _check_port(self, entry: Entry, request: pcp.MapRequest) -> None:
        wanted = self.switches.honours_prefer_failure and PreferFailure() in request.options
        if wanted and entry.external_port != request.external_port:
            self.table.remove(entry)
            raise _Refused(Result.CANNOT_PROVIDE_EXTERNAL)

    def _delete(self, protocol: Protocol, internal: Endpoint, nonce: bytes) -> None:
        entry = self.table.to(protocol, internal)
        if entry is not None and entry.nonce != nonce:
            raise _Refused(Result.NOT_AUTHORIZED)
        if entry is not None:
            self.table.remove(entry)


def _granted_set(entry: Entry, asked: PortSet) -> PortSet:
    return PortSet(entry.count, asked.first_port, asked.parity)


def _set_filters(entry: Entry, options: tuple[Option, ...]) -> None:
    for option in options:
        if isinstance(option, Filter):
            entry.filters = [*entry.filters, option] if option.prefix else []


def mapping_update(
    entry: Entry, address: IPv4Address, *, lifetime: int, epoch: int, result: int = 0
) -> pcp.MapResponse:
    """Return the Mapping Update that tells what `entry` is now (section 14.2)."""
    return pcp.MapResponse(
        result=result,
        lifetime=lifetime,
        epoch=epoch,
        nonce=entry.nonce,
        protocol=entry.protocol.number,
        internal_port=entry.internal.port,
        external_port=entry.external_port,
        external_address=address,
    )


def _refusal(request: pcp.MapRequest | pcp.PeerRequest, epoch: int, result: Result) -> pcp.Response:
    return _response(request, epoch, result=result, lifetime=_SHORT if result in _SHORT_ERRORS else _LONG)


def _response(
    request: pcp.MapRequest | pcp.PeerRequest, epoch: int, *, result: int = 0, **changes: Any
) -> pcp.MapResponse | pcp.PeerResponse:
    """Return the response that repeats `request` but for `changes` (sections 11.1 and 12.1)."""
    repeated = {one.name: getattr(request, one.name) for one in fields(request) if one.name != "client"}
    kind = pcp.PeerResponse if isinstance(request, pcp.PeerRequest) else pcp.MapResponse
    return kind(result=result, epoch=epoch, **{**repeated, **changes})
