"""What a mapping is in PCP's terms, and what an answer grants. No I/O."""

import hashlib
import hmac
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from portmapper.errors import ProtocolError
from portmapper.model import Endpoint, Gateway, IPAddress, Lease, MappingRequest
from portmapper.pcp import wire
from portmapper.pcp.address import unspecified_like
from portmapper.pcp.options import Filter, Option, PortSet, PreferFailure, ThirdParty, UnknownOption

# For private use and optional, so that a server leaves it out of its answer (sections 7.3 and 19.4). One that sends it
# back, as miniupnpd 2.3.1 does, only echoes: its FILTER and PORT_SET say nothing about what was done.
_ECHO_PROBE = UnknownOption(254, b"")


def mapping_nonce(key: bytes, gateway: Gateway, request: MappingRequest) -> bytes:
    """Return the nonce of a mapping: secret, different for each, and the same after a crash.

    Strict servers refuse renewals and deletes with another nonce, so a fresh one for each request leaks mappings.
    """
    subject = f"{gateway.address} {gateway.source} {request.protocol} {request.internal_port}"
    for other in (request.internal_address, request.peer):
        subject += f" {other}" if other else ""
    return hmac.digest(key, subject.encode(), hashlib.sha256)[: wire.NONCE]


def mapping_request(
    request: MappingRequest, client: IPAddress, nonce: bytes, held: Lease | None = None
) -> wire.MapRequest | wire.PeerRequest:
    """Return the message that makes a mapping or renews the lease `held`: PEER if it is towards a peer, else MAP.

    A renewal suggests what was assigned before (section 11.2.1).
    """
    suggested = held.external if held else Endpoint(None, request.external_port)
    port = _first_port(request, held)
    common = _common(request, client, nonce, suggested, port=port, lifetime=request.lifetime)
    if request.peer is not None:
        address = request.peer.address or unspecified_like(client)
        return wire.PeerRequest(
            **common, remote_port=request.peer.port, remote_address=address, options=_third_party(request)
        )
    prefer = (PreferFailure(),) if request.exact else ()
    doubtful = (*_filters(request, held), *_port_set(request, held))
    probe = (_ECHO_PROBE,) if doubtful else ()
    return wire.MapRequest(**common, options=(*_third_party(request), *prefer, *doubtful, *probe))


def delete_request(lease: Lease, client: IPAddress) -> wire.MapRequest:
    """Return the message that deletes `lease`: lifetime 0, nothing suggested, the same nonce (section 15.1)."""
    request = lease.request
    options = (*_third_party(request), *_port_set(request, lease))
    nowhere, port = Endpoint(None, 0), _first_port(request, lease)
    return wire.MapRequest(**_common(request, client, lease.token, nowhere, port=port, lifetime=0), options=options)


def _common(
    request: MappingRequest, client: IPAddress, nonce: bytes, suggested: Endpoint, *, port: int, lifetime: int
) -> dict[str, Any]:
    return {
        "client": client,
        "lifetime": lifetime,
        "nonce": nonce,
        "protocol": request.protocol.number,
        "internal_port": port,
        "external_port": suggested.port,
        "external_address": suggested.address or unspecified_like(client),
    }


def check_filters(request: MappingRequest, granted: wire.MapResponse) -> None:
    """Refuse a success without the filters asked for: it lacks what was not processed (section 7.3), so it is open.

    Raises ProtocolError.
    """
    wanted = {Filter.of(one.network, one.port) for one in request.remote}
    if not wanted.issubset(granted.options):
        raise ProtocolError("the gateway mapped the port without the filter for remote peers")
    if wanted and _ECHO_PROBE in granted.options:
        raise ProtocolError("the gateway echoes the filter for remote peers, as it does what it does not know")


def granted_ports(request: MappingRequest, granted: wire.MapResponse | wire.PeerResponse) -> tuple[int, int]:
    """Return the first internal port and how many were granted (RFC 7753 sections 4 and 4.2)."""
    if request.count > 1 and _ECHO_PROBE not in granted.options:
        for option in granted.options:
            if isinstance(option, PortSet) and _is_within(request, option):
                return option.first_port, option.size
    return request.internal_port, 1


def external_endpoint(granted: wire.MapResponse | wire.PeerResponse, source: IPAddress) -> Endpoint:
    """Return where the mapping is reached. Raises ProtocolError when that is no port."""
    address: IPAddress | None = granted.external_address
    if isinstance(source, IPv6Address) and address == source and not granted.external_port:
        # No NAT (section 11.1), so it is the internal port: miniupnpd 2.3.1 writes 0 when it extends a pinhole.
        return Endpoint(source, granted.internal_port)
    if granted.internal_port and not granted.external_port:
        raise ProtocolError("the gateway granted external port 0")
    if address in {IPv4Address(0), IPv6Address(0)}:
        address = None
    return Endpoint(address, granted.external_port)


def _is_within(request: MappingRequest, option: PortSet) -> bool:
    last = request.internal_port + request.count
    return request.internal_port <= option.first_port and option.first_port + option.size <= last


def _third_party(request: MappingRequest) -> tuple[Option, ...]:
    return (ThirdParty(request.internal_address),) if request.internal_address else ()


def _port_set(request: MappingRequest, held: Lease | None) -> tuple[Option, ...]:
    # RFC 7753 section 4.1: renewals and deletes carry it too, and a single port does without.
    count = min(request.count, held.count) if held else request.count
    first = _first_port(request, held)
    return (PortSet(count, first),) if count > 1 else ()


def _first_port(request: MappingRequest, held: Lease | None) -> int:
    return held.internal.port if held and held.count > 1 else request.internal_port


def _filters(request: MappingRequest, held: Lease | None) -> tuple[Option, ...]:
    # Filters add to those that are there already, so the old ones are removed first (section 13.3).
    networks = request.remote or (held.request.remote if held else ())
    if not networks:
        return ()
    remove_all = Filter(unspecified_like(networks[0].network.network_address), 0)
    return (remove_all, *(Filter.of(one.network, one.port) for one in request.remote))
