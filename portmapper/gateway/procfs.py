"""The routes of Linux, read from procfs: no helper program, no socket."""

import os
from collections.abc import Iterator

from portmapper import limits
from portmapper.gateway.tables.linux import parse_proc_net_if_inet6, parse_proc_net_ipv6_route, parse_proc_net_route
from portmapper.gateway.tables.route import Route

_FOLDER = "/proc/thread-self/net"  # each thread may have a network of its own


def read_routes() -> list[Route] | None:
    """Return the default routes and the networks on link, IPv4 before IPv6; None where procfs does not show them."""
    ipv4 = read_text("route")  # a host without routes has at least its heading
    if not ipv4:
        return None
    return [
        *parse_proc_net_route(ipv4),
        *parse_proc_net_ipv6_route(read_text("ipv6_route")),
        *parse_proc_net_if_inet6(read_text("if_inet6")),
    ]


def read_text(name: str) -> str:
    """Return the text of a procfs file about the network, of a long one the first MiB; "" where it is not shown."""
    # procfs answers from memory; without IPv6 in the kernel its files are not there, and Android hides them all.
    try:
        descriptor = os.open(f"{_FOLDER}/{name}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
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
