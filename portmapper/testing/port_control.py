"""The server side of PCP and NAT-PMP, as a simulated gateway speaks them: bytes in, bytes out."""

from dataclasses import dataclass
from ipaddress import IPv4Address

from portmapper.errors import ProtocolError
from portmapper.model import Endpoint, IPAddress, Protocol
from portmapper.natpmp import wire as natpmp
from portmapper.pcp import wire as pcp
from portmapper.pcp.address import unspecified_like
from portmapper.pcp.options import PreferFailure
from portmapper.pcp.results import Result
from portmapper.testing.table import Denied, MappingTable

_ERROR_LIFETIME = 30  # RFC 6887 section 7.4: "short"


@dataclass(slots=True, kw_only=True)
class PortControl:
    """Answers datagrams from a table."""

    table: MappingTable
    external_address: IPv4Address
    speaks_pcp: bool
    speaks_natpmp: bool
    min_lifetime: int
    max_lifetime: int
    honours_prefer_failure: bool = True

    def answer(self, data: bytes, sender: IPAddress, now: float, epoch: int) -> list[bytes]:
        """Return the datagrams that answer `data`, which came from `sender`."""
        version = data[0] if data else None
        try:
            if version == natpmp.VERSION and self.speaks_natpmp:
                return [self._answer_natpmp(natpmp.decode_request(data), sender, now, epoch).encode()]
            if version == pcp.VERSION and self.speaks_pcp:
                return [self._answer_pcp(pcp.decode_request(data), sender, now, epoch).encode()]
        except ProtocolError:
            return []
        return self._refuse_version(epoch) if version is not None else []

    def _refuse_version(self, epoch: int) -> list[bytes]:
        if self.speaks_pcp:
            return [pcp.UnsupportedVersionResponse(version=pcp.VERSION).encode()]
        return [natpmp.UnsupportedVersionResponse(epoch=epoch).encode()]

    def _answer_natpmp(self, request: natpmp.Request, sender: IPAddress, now: float, epoch: int) -> natpmp.Response:
        if isinstance(request, natpmp.AddressRequest):
            return natpmp.AddressResponse(result=0, epoch=epoch, address=self.external_address)
        internal = Endpoint(sender, request.internal_port)
        if request.lifetime == 0:
            result = self._remove(request.protocol, internal, b"")
            return _natpmp_response(request, epoch, result and natpmp.Result.NOT_AUTHORIZED, 0, 0)
        lifetime = self._lifetime(request.lifetime)
        try:
            entry = self.table.grant(request.protocol, internal, request.external_port, now + lifetime)
        except Denied:
            return _natpmp_response(request, epoch, natpmp.Result.NOT_AUTHORIZED, 0, 0)
        return _natpmp_response(request, epoch, 0, entry.external_port, lifetime)

    def _answer_pcp(self, request: pcp.Request, sender: IPAddress, now: float, epoch: int) -> pcp.Response:
        if isinstance(request, pcp.AnnounceRequest):
            return pcp.AnnounceResponse(result=0, lifetime=0, epoch=epoch)
        if isinstance(request, pcp.PeerRequest):
            raise ProtocolError("PEER is not simulated")
        if request.client != sender:
            return _pcp_error(request, epoch, Result.ADDRESS_MISMATCH)
        protocol = {kind.number: kind for kind in Protocol}.get(request.protocol)
        if protocol is None:
            return _pcp_error(request, epoch, Result.UNSUPP_PROTOCOL)
        internal = Endpoint(sender, request.internal_port)
        if request.lifetime == 0:
            if self._remove(protocol, internal, request.nonce):
                return _pcp_error(request, epoch, Result.NOT_AUTHORIZED)
            return _pcp_success(request, epoch, 0, 0, unspecified_like(sender))
        lifetime = self._lifetime(request.lifetime)
        try:
            entry = self.table.grant(protocol, internal, request.external_port, now + lifetime, request.nonce)
        except Denied:
            return _pcp_error(request, epoch, Result.NOT_AUTHORIZED)
        if (
            self.honours_prefer_failure
            and PreferFailure() in request.options
            and entry.external_port != request.external_port
        ):
            self.table.remove(entry)
            return _pcp_error(request, epoch, Result.CANNOT_PROVIDE_EXTERNAL)
        return _pcp_success(request, epoch, lifetime, entry.external_port, self.external_address)

    def _lifetime(self, asked: int) -> int:
        return min(max(asked, self.min_lifetime), self.max_lifetime)

    def _remove(self, protocol: Protocol, internal: Endpoint, nonce: bytes) -> bool:
        """Remove the mapping if it is there; return whether it is somebody else's."""
        entry = self.table.to(protocol, internal)
        if entry is not None and entry.nonce == nonce:
            self.table.remove(entry)
            return False
        return entry is not None


def _natpmp_response(
    request: natpmp.MapRequest, epoch: int, result: int, port: int, lifetime: int
) -> natpmp.MapResponse:
    return natpmp.MapResponse(
        protocol=request.protocol,
        result=result,
        epoch=epoch,
        internal_port=request.internal_port,
        external_port=port,
        lifetime=lifetime,
    )


def _pcp_success(request: pcp.MapRequest, epoch: int, lifetime: int, port: int, address: IPAddress) -> pcp.MapResponse:
    return pcp.MapResponse(
        result=0,
        lifetime=lifetime,
        epoch=epoch,
        nonce=request.nonce,
        protocol=request.protocol,
        internal_port=request.internal_port,
        external_port=port,
        external_address=address,
    )


def _pcp_error(request: pcp.MapRequest, epoch: int, result: Result) -> pcp.MapResponse:
    return pcp.MapResponse(
        result=result,
        lifetime=_ERROR_LIFETIME,
        epoch=epoch,
        nonce=request.nonce,
        protocol=request.protocol,
        internal_port=request.internal_port,
        external_port=request.external_port,
        external_address=request.external_address,
        options=request.options,
    )
