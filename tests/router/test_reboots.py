"""The router restarts and has forgotten everything, again and again: reachable from the WAN within 2 s each time."""

import os
import random
import time
from contextlib import ExitStack

import pytest

from tests.faults.figures import spread
from tests.router.conftest import MakeLab
from tests.router.lab import TOKEN, Lab, answering

LONG = "PORTMAPPER_SOAK" in os.environ
ROUNDS = 50 if LONG else 2
WITHIN = 2.0
QUIET = 10.0  # limits.RECOVERY_GAP: a router that restarts more often has to wait
PORTS = {"pcp": 8001, "natpmp": 8002, "upnp": 8003}


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


@pytest.mark.conforms("NP-69", "PC-151")
@pytest.mark.timeout(ROUNDS * 30 + 60)
def test_reachable_within_2_s_of_the_announcement_every_time(make_lab: MakeLab) -> None:
    """F1, B6: by each protocol, 2 restarts (`make soak`: 50)."""
    lab = make_lab()
    times: dict[str, list[float]] = {name: [] for name in PORTS}
    with ExitStack() as stack:
        stack.enter_context(answering(lab, *PORTS.values()))
        for name, port in PORTS.items():
            command = stack.enter_context(lab.running("map", str(port), "--backend", name))
            assert command.event()["event"] == "mapped"
        time.sleep(3)  # an epoch of 0 after one of 0 is no restart
        for number in range(ROUNDS):
            if number:
                time.sleep(QUIET + random.random())
            lab.reboot()
            begin = time.monotonic()
            for name, seconds in wait_until_all_are_reached(lab, begin, within=QUIET).items():
                times[name].append(seconds)
        print(f"seconds until reachable after {ROUNDS} restarts\n{spread(times)}")
        assert max(max(series) for series in times.values()) <= WITHIN
