"""Find the gateways of this host."""

import socket
import sys
from collections.abc import Iterable
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from portmapper.errors import GatewayUnreachable, InvalidRequest, NoGateway
from portmapper.gateway import interfaces, procfs, programs
from portmapper.gateway.tables.ranking import Candidate, rank
from portmapper.gateway.tables.route import Route
from portmapper.model import Gateway, IPAddress
from portmapper.net.datagram import source_towards
from portmapper.net.links import interface_with, is_tunnel
from portmapper.text import safe_text

_FAR_AWAY = IPv6Address("2001:db8::1")  # for documentation (RFC 3849): never reached, and nothing is sent there
_GLOBAL = IPv6Network("2000::/3")
_HINT = "name the router's address with --gateway (in Python: gateway=)"


def survey(interface: str | None = None) -> tuple[tuple[Candidate, Gateway | None], ...]:
    """Return every router that the routes lead to, best first, with the reasons; and the gateway, if it can be asked.

    With `interface` only what is reached through that one.
    """
    named = (one for one in rank(_read_routes()) if interface is None or one.interface == interface)
    return tuple((one, _usable_gateway(one)) for one in named)


def gateways(interface: str | None = None) -> tuple[Gateway, ...]:
    """Return the gateways of this host, best first. Raises NoGateway when there is none."""
    named = survey(interface)
    found = tuple(gateway for _, gateway in named if gateway is not None)
    if not found:
        raise NoGateway(_nothing_found([one for one, _ in named], interface))
    return found


def gateway_at(text: str, interface: str | None = None) -> Gateway:
    """Return the gateway at an address given by the user. Raises InvalidRequest; NoGateway if no route leads there."""
    try:
        address = ip_address(text)
    except ValueError:
        raise InvalidRequest(f"gateway must be an IP address, not {safe_text(text)!r}") from None
    if address.is_unspecified or address.is_multicast:
        raise InvalidRequest(f"{address} cannot be the address of a gateway")
    try:
        return _gateway_through(address, interface)
    except GatewayUnreachable as error:
        way = f"{address} through {safe_text(interface)}" if interface else f"{address}"
        raise NoGateway(f"no route leads to the gateway {way}: {error}") from error


def locate(gateway: Gateway | str | None, interface: str | None = None) -> Gateway:
    """Return the gateway meant: itself, the one at an address, or that of the default route. Raises as those do."""
    if gateway is None:
        return gateways(interface)[0]
    return gateway_at(gateway, interface) if isinstance(gateway, str) else gateway


def _read_routes() -> list[Route]:
    # A program is run only where nothing else can tell: not on a host that just has no routes now.
    routes = procfs.read_routes() if sys.platform == "linux" else interfaces.read_routes()
    return programs.read_routes() if routes is None else routes


def _nothing_found(named: Iterable[Candidate], interface: str | None) -> str:
    through = f" through {safe_text(interface)}" if interface else ""
    text = f"this host has no default route to a gateway{through}"
    tunnels = [one.interface for one in named if one.gateway is None]
    return f"{text} (only {tunnels[0]}, a tunnel); {_HINT}" if tunnels else f"{text}; {_HINT}"


def _usable_gateway(one: Candidate) -> Gateway | None:
    if one.usable and one.gateway is not None:
        with suppress(GatewayUnreachable):  # the route went away, or its interface has no address of this family
            return _gateway(one.gateway, one.interface or None, one.network)
    return None


def _gateway_through(address: IPAddress, interface: str | None) -> Gateway:
    found = _gateway(address, interface, None)
    if interface and isinstance(address, IPv4Address) and found.network is None:
        # Linux takes any such address for a neighbour where an interface is named.
        source = _source_facing(address, None)
        if source != found.source:
            raise GatewayUnreachable(f"this host reaches it from {source}")
    return found


def _gateway(address: IPAddress, interface: str | None, network: IPv4Network | IPv6Network | None) -> Gateway:
    wanted = interface or _interface_of_zone(address)
    source = _source_facing(address, wanted)
    link = None if wanted and network else _link_of(address, source, wanted)
    name = wanted or (link.interface if link else None) or interface_with(source)
    around = network or (link.network if link else None)
    return Gateway(
        address=address,
        source=source,
        interface=name,
        network=around if isinstance(around, IPv4Network) else None,
        tunnel=name is not None and is_tunnel(name),
    )


def _interface_of_zone(address: IPAddress) -> str | None:
    zone = address.scope_id if isinstance(address, IPv6Address) else None
    if zone and zone.isascii() and zone.isdigit():
        with suppress(OSError, OverflowError):
            return socket.if_indextoname(int(zone))
    return zone


def _link_of(address: IPAddress, source: IPAddress, interface: str | None) -> Route | None:
    """Return the route to the link that leads to a gateway: of IPv6 the one that this host's address is on."""
    inside = address if isinstance(address, IPv4Address) else source
    links = (route for route in _read_routes() if route.gateway is None and not route.wide)
    around = [route for route in links if inside in route.network and interface in {None, route.interface}]
    return max(around, key=lambda route: route.network.prefixlen, default=None)


def _source_facing(address: IPAddress, interface: str | None) -> IPAddress:
    # A mapping is made for the address that asks (RFC 6887 section 8.1), and nobody far away reaches a link-local or a
    # unique local one: it has to be the address that this host uses for the world, if that is global (section 8.4).
    if isinstance(address, IPv6Address):
        with suppress(GatewayUnreachable):
            source = source_towards(_FAR_AWAY, interface)
            if address.is_link_local or source in _GLOBAL:
                return source
    return source_towards(address, interface)
