"""Announcements in the name of a simulated gateway."""

import socket

from portmapper import limits
from portmapper.testing import SimulatedGateway

ANNOUNCEMENTS = {
    "pcp": bytes.fromhex("028000000000000000000002" + 24 * "0"),
    "natpmp": bytes.fromhex("00800000000000037f000001"),
}


def announce(simulated: SimulatedGateway, data: bytes) -> None:
    """Send `data` to the group from the gateway's own address and port."""
    sender = simulated.control_socket
    sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, simulated.gateway.address.packed)
    sender.sendto(data, (limits.ALL_HOSTS, limits.ANNOUNCEMENT_PORT))
