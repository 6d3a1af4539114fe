"""The server side of PCP and NAT-PMP, as a simulated gateway speaks them: bytes in, bytes out."""

from dataclasses import dataclass
from ipaddress import IPv4Address

from portmapper.errors import ProtocolError
from portmapper.model import Endpoint, IPAddress, Protocol
from portmapper.natpmp import wire as natpmp
from portmapper.pcp import wire as pcp
from portmapper.testing.pcp_server import PcpServer
from portmapper.testing.table import Denied, MappingTable


@dataclass(slots=True, kw_only=True)
class PortControl:
    """Answers datagrams from a table."""

    table: MappingTable
    external_address: IPv4Address
    speaks_pcp: bool
    speaks_natpmp: bool
    min_lifetime: int
    max_lifetime: int
    pcp: PcpServer

    def answer(self, data: bytes, sender: IPAddress, now: float, epoch: int) -> list[bytes]:
        """Return the datagrams that answer `data`, which came from `sender`."""
        version = data[0] if data else None
        try:
            if version == natpmp.VERSION and self.speaks_natpmp:
                return [self._answer_natpmp(natpmp.decode_request(data), sender, now, epoch).encode()]
            if version == pcp.VERSION and self.speaks_pcp:
                return [self.pcp.answer(pcp.decode_request(data), sender, now, epoch).encode()]
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
            refused = self._remove(request.protocol, internal)
            return _natpmp_response(request, epoch, natpmp.Result.NOT_AUTHORIZED if refused else 0, 0, 0)
        lifetime = self._lifetime(request.lifetime)
        try:
            entry = self.table.grant(request.protocol, internal, request.external_port, now + lifetime)
        except Denied:
            return _natpmp_response(request, epoch, natpmp.Result.NOT_AUTHORIZED, 0, 0)
        return _natpmp_response(request, epoch, 0, entry.external_port, lifetime)

    def _lifetime(self, asked: int) -> int:
        return min(max(asked, self.min_lifetime), self.max_lifetime)

    def _remove(self, protocol: Protocol, internal: Endpoint) -> bool:
        """Remove one mapping, or with internal port 0 all; return whether one is there that is not to be removed."""
        here = [
            entry for entry in self.table if (entry.protocol, entry.internal.address) == (protocol, internal.address)
        ]
        meant = [entry for entry in here if internal.port in {0, entry.internal.port}]
        for entry in meant:
            if not entry.nonce:
                self.table.remove(entry)
        return any(entry.nonce for entry in meant)


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
