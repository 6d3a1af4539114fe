"""The command is stopped for longer than its leases, as by a debugger or a freezer, and goes on (F11)."""

import os
import signal
import socket
import struct
import time
from contextlib import ExitStack

import pytest

from portmapper import limits
from tests.router.conftest import MakeLab
from tests.router.lab import EXTERNAL, GATEWAY, TOKEN, Lab, answering
from tests.router.namespaces import in_namespace
from tests.router.opening import wait_until_reached
from tests.sockets import LabSocket

LONG = "PORTMAPPER_SOAK" in os.environ
LEASE, STOPPED = (10, 25) if LONG else (6, 7.5)
PORTS = {"pcp": 8001, "natpmp": 8002, "upnp": 8003}
WITHIN = 2.0
HEARD = 5  # announcements that come while it is stopped, which it then hears a second apart


@pytest.mark.conforms("F11")
def test_the_port_is_back_soon_after_the_command_was_stopped_for_longer_than_its_lease(make_lab: MakeLab) -> None:
    """All three protocols at once. The router has ended the leases meanwhile, and knows nothing of them.

    The command then looks for its mappings, and into what the router announced, both at the same moment.
    """
    lab = make_lab(min_lifetime=1)
    with answering(lab, *PORTS.values()), ExitStack() as stack:
        commands = {
            port: stack.enter_context(lab.running("map", str(port), "--backend", name, "--lifetime", str(LEASE)))
            for name, port in PORTS.items()
        }
        for port, command in commands.items():
            assert command.event()["external"]["port"] == port
            assert lab.reach_tcp(port) == TOKEN
            command.process.send_signal(signal.SIGSTOP)
        time.sleep(STOPPED)
        announce(lab, HEARD)
        for port, command in commands.items():
            assert lab.reach_tcp(port, timeout=0.3) is None
            command.process.send_signal(signal.SIGCONT)
            seconds = wait_until_reached(lab, port, within=WITHIN)
            print(f"port {port} is back after {seconds:.2f} s")
        for command in commands.values():
            assert [command.event()["event"] for _ in range(2)] in (["lost", "mapped"], ["renewed", "lost"])
            assert command.end() == 128 + signal.SIGTERM


def announce(lab: Lab, times: int) -> None:
    """Announce as the router does, from the port that miniupnpd holds."""
    source, group = map(socket.inet_aton, (GATEWAY, limits.ALL_HOSTS))
    text = struct.pack("!BBHI4s", 0, 128, 0, 60, socket.inet_aton(EXTERNAL))  # NAT-PMP, the external address
    udp = struct.pack("!HHHH", limits.SERVER_PORT, limits.ANNOUNCEMENT_PORT, 8 + len(text), 0) + text
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 1, socket.IPPROTO_UDP, 0, source, group)
    with in_namespace(lab.router, lambda: LabSocket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)) as sock:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, source)
        for _ in range(times):
            sock.sendto(ip + udp, (limits.ALL_HOSTS, 0))
