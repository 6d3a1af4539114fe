"""Short leases stay reachable all the time, also when packets between this host and the router are lost."""

import os
import signal
from contextlib import ExitStack

import pytest

from tests.faults.gaps import RENEWING, Target, probe, table
from tests.faults.loss import loss
from tests.router.conftest import MakeLab
from tests.router.lab import Lab, answering

SECONDS = int(os.environ.get("PORTMAPPER_SOAK", "15"))
PORTS = {"pcp": (8001, 9001), "natpmp": (8002, 9002), "upnp": (8003, 9003)}


def hold_and_probe(lab: Lab, backends: list[str], percent: int, seconds: float) -> None:
    """Hold a TCP and a UDP port by each, with leases of 10 s, and probe them all the time."""
    ports = [port for backend in backends for port in PORTS[backend]]
    targets: list[Target] = [
        target for backend in backends for target in (("tcp", PORTS[backend][0]), ("udp", PORTS[backend][1]))
    ]
    with ExitStack() as stack:
        stack.enter_context(answering(lab, *ports))
        commands = []
        for backend in backends:
            tcp, udp = PORTS[backend]
            wishes = [f"{tcp}/tcp", f"{udp}/udp", "--backend", backend, "--lifetime", "10"]
            commands.append(stack.enter_context(lab.running("map", *wishes)))
            assert [commands[-1].event()["lifetime"] for _ in range(2)] == [10, 10]
        with loss(lab, percent):
            found = probe(lab, seconds, *targets)
        print(f"leases of 10 s for {seconds:g} s, {percent} % lost each way\n{table(found)}")
        for command in commands:
            assert command.event()["event"] == "renewed"
            assert command.end() == 128 + signal.SIGTERM
        assert {target: one.gap for target, one in found.items() if one.gap > RENEWING} == {}
        assert lab.reach_tcp(ports[0], timeout=0.5) is None


@pytest.mark.conforms("F14", "PC-89")
@pytest.mark.timeout(SECONDS + 90)
def test_short_leases_stay_reachable_without_a_gap(make_lab: MakeLab) -> None:
    """B12: by each protocol, TCP and UDP, a probe every 100 ms for 15 s (`make soak`: 600 s)."""
    hold_and_probe(make_lab(min_lifetime=1), ["pcp", "natpmp", "upnp"], 0, SECONDS)


@pytest.mark.conforms("F37")
@pytest.mark.timeout(SECONDS + 90)
def test_short_leases_stay_reachable_without_a_gap_when_packets_are_lost(make_lab: MakeLab) -> None:
    """B12, with 30 % lost each way. Not by PCP, where RFC 6887 11.2.1 allows two attempts in 10 s."""
    hold_and_probe(make_lab(min_lifetime=1), ["natpmp", "upnp"], 30, SECONDS)
