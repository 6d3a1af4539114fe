"""Find the gateway of the default route."""

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from portmapper import limits
from portmapper.errors import GatewayUnreachable, InvalidRequest, NoGateway
from portmapper.gateway.routes import (
    DefaultRoute,
    parse_proc_if_inet6,
    parse_proc_ipv6_route,
    parse_proc_links,
    parse_proc_route,
)
from portmapper.model import Gateway, IPAddress
from portmapper.net.datagram import source_towards
from portmapper.text import safe_text

_ROUTES = "/proc/thread-self/net/route"  # of this thread: each may have a network of its own
_FAR_AWAY = IPv6Address("2001:db8::1")  # for documentation (RFC 3849): never reached, and nothing is sent there
_GLOBAL = IPv6Network("2000::/3")
_HINT = "name the router's address with --gateway (in Python: gateway=)"


def default_gateways() -> tuple[Gateway, ...]:
    """Return the gateways of this host's default routes, best first, IPv4 before IPv6. Raises NoGateway."""
    if sys.platform != "linux":
        raise NoGateway(f"the gateway cannot be found out on {sys.platform} yet; {_HINT}")
    found = tuple(_gateways(_default_routes()))
    if not found:
        raise NoGateway(f"this host has no default route through a gateway; {_HINT}")
    return found


def gateway_at(text: str) -> Gateway:
    """Return the gateway at an address given by the user. Raises InvalidRequest; NoGateway if no route leads there."""
    try:
        address = ip_address(text)
    except ValueError:
        raise InvalidRequest(f"gateway must be an IP address, not {safe_text(text)!r}") from None
    if address.is_unspecified or address.is_multicast:
        raise InvalidRequest(f"{address} cannot be the address of a gateway")
    try:
        return _gateway(address, None)
    except GatewayUnreachable as error:
        raise NoGateway(f"no route leads to the gateway {address}: {error}") from error


def locate(gateway: Gateway | str | None) -> Gateway:
    """Return the gateway meant: itself, the one at an address, or that of the default route. Raises as those do."""
    if gateway is None:
        return default_gateways()[0]
    return gateway_at(gateway) if isinstance(gateway, str) else gateway


def _default_routes() -> list[DefaultRoute]:
    routes = parse_proc_route(_read(_ROUTES))
    return routes + parse_proc_ipv6_route(_read("/proc/thread-self/net/ipv6_route"))


def _gateways(routes: list[DefaultRoute]) -> Iterator[Gateway]:
    for route in routes:
        try:
            yield _gateway(route.gateway, route.interface)
        except GatewayUnreachable:
            continue  # the route went away, or its interface has no address of this family


def _gateway(address: IPAddress, interface: str | None) -> Gateway:
    source = _source_facing(address)
    return Gateway(
        address=address,
        source=source,
        interface=interface or _interface_of(source),
        network=_network_around(address),
    )


def _interface_of(source: IPAddress) -> str | None:
    # IPv6 needs it to send to a group; IPv4 says it by the source address.
    if sys.platform != "linux" or not isinstance(source, IPv6Address):
        return None
    return parse_proc_if_inet6(_read("/proc/thread-self/net/if_inet6")).get(IPv6Address(source.packed))


def _network_around(address: IPAddress) -> IPv4Network | None:
    if sys.platform != "linux" or not isinstance(address, IPv4Address):
        return None
    return next((network for network in parse_proc_links(_read(_ROUTES)) if address in network), None)


def _source_facing(address: IPAddress) -> IPAddress:
    # A mapping is made for the address that asks (RFC 6887 section 8.1), and nobody far away reaches a link-local or a
    # unique local one: it has to be the address that this host uses for the world, if that is global (section 8.4).
    if isinstance(address, IPv6Address):
        with suppress(GatewayUnreachable):
            source = source_towards(_FAR_AWAY)
            if address.is_link_local or source in _GLOBAL:
                return source
    return source_towards(address)


def _read(path: str) -> str:
    # procfs answers from memory; without IPv6 in the kernel its file is not there.
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return ""
    try:
        return b"".join(_chunks(descriptor)).decode("ascii", "replace")
    finally:
        os.close(descriptor)


def _chunks(descriptor: int) -> Iterator[bytes]:
    left = limits.ROUTE_BYTES
    while left > 0 and (chunk := os.read(descriptor, min(left, 65536))):
        left -= len(chunk)
        yield chunk
