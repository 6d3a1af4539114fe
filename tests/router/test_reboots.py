"""The router restarts and has forgotten everything, again and again: reachable from the WAN within 2 s each time."""

import os
import random
import subprocess
import time
from contextlib import ExitStack

import pytest

from tests.faults.figures import spread
from tests.router.conftest import MakeLab
from tests.router.lab import TOKEN, Lab, answering
from tests.router.namespaces import inside
from tests.router.opening import AGE

LONG = "PORTMAPPER_SOAK" in os.environ
ROUNDS = 50 if LONG else 2
WITHIN = 2.0
QUIET = 10.0  # limits.RECOVERY_GAP: a router that restarts more often has to wait
CHECK = 5
PORTS = {"pcp": 8001, "natpmp": 8002, "upnp": 8003}


def deafen(lab: Lab) -> None:
    """Let nothing that is sent to a group reach the LAN host."""
    rules = "table inet deaf {\nchain i {\ntype filter hook input priority -300\nip daddr 224.0.0.0/4 drop\n}\n}\n"
    subprocess.run([*inside(lab.lan), "nft", "-f", "-"], input=rules.encode(), check=True)


def wait_until_all_are_reached(lab: Lab, begin: float, within: float) -> dict[str, float]:
    """Return the seconds from `begin` on after which the WAN host reached each port again."""
    took: dict[str, float] = {}
    while len(took) < len(PORTS):
        for name, port in PORTS.items():
            if name not in took and lab.reach_tcp(port, timeout=0.1) == TOKEN:
                took[name] = time.monotonic() - begin
        missing = PORTS.keys() - took.keys()
        assert time.monotonic() - begin < within, f"{missing} not reached within {within} s; the others: {took}"
    return took


def restart_and_measure(lab: Lab, rounds: int, within: float, *options: str) -> dict[str, list[float]]:
    """Return the seconds until reachable again, by protocol, after each of several restarts."""
    times: dict[str, list[float]] = {name: [] for name in PORTS}
    with ExitStack() as stack:
        stack.enter_context(answering(lab, *PORTS.values()))
        for name, port in PORTS.items():
            command = stack.enter_context(lab.running("map", str(port), "--backend", name, *options))
            assert command.event()["event"] == "mapped"
        time.sleep(AGE)
        for number in range(rounds):
            if number:
                time.sleep(QUIET + random.random())
            lab.reboot()
            for name, seconds in wait_until_all_are_reached(lab, time.monotonic(), within=within + 10).items():
                times[name].append(seconds)
    print(f"seconds until reachable after {rounds} restarts {options}\n{spread(times)}")
    return times


@pytest.mark.conforms("F1", "NP-69")
@pytest.mark.timeout(ROUNDS * 40 + 60)
def test_reachable_within_2_s_of_the_announcement_every_time(make_lab: MakeLab) -> None:
    """F1, B6: by each protocol, 2 restarts (`make soak`: 50)."""
    times = restart_and_measure(make_lab(), ROUNDS, WITHIN)
    assert max(max(series) for series in times.values()) <= WITHIN


@pytest.mark.conforms("F1", "NP-64")
@pytest.mark.timeout(ROUNDS * 40 + 60)
def test_reachable_within_the_check_interval_and_5_s_where_announcements_are_not_heard(make_lab: MakeLab) -> None:
    """F1, B6: the LAN host hears no multicast."""
    lab = make_lab()
    deafen(lab)
    times = restart_and_measure(lab, ROUNDS if LONG else 1, CHECK + 5, "--check", str(CHECK))
    assert max(max(series) for series in times.values()) <= CHECK + 5
