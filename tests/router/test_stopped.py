"""The command is stopped for longer than its leases, as by a debugger or a freezer, and goes on (F11)."""

import os
import signal
import time
from contextlib import ExitStack

import pytest

from tests.router.conftest import MakeLab
from tests.router.lab import TOKEN, answering
from tests.router.opening import wait_until_reached

LONG = "PORTMAPPER_SOAK" in os.environ
LEASE, STOPPED = (10, 25) if LONG else (6, 9)
PORTS = {"pcp": 8001, "natpmp": 8002, "upnp": 8003}
WITHIN = 2.0


@pytest.mark.conforms("F11")
def test_the_port_is_back_soon_after_the_command_was_stopped_for_longer_than_its_lease(make_lab: MakeLab) -> None:
    """All three protocols at once. The router has ended the leases meanwhile, and knows nothing of them."""
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
        for port, command in commands.items():
            assert lab.reach_tcp(port, timeout=0.3) is None
            command.process.send_signal(signal.SIGCONT)
            seconds = wait_until_reached(lab, port, within=WITHIN)
            print(f"port {port} is back after {seconds:.2f} s")
        for command in commands.values():
            assert [command.event()["event"] for _ in range(2)] in (["lost", "mapped"], ["renewed", "lost"])
            assert command.end() == 128 + signal.SIGTERM
