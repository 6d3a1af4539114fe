"""A router that restarts and has forgotten everything: the mappings come back, at their ports."""

import time

import pytest

from tests.router.conftest import MakeLab
from tests.router.lab import EXTERNAL, TOKEN, answering
from tests.router.opening import AGE, wait_until_reached


@pytest.mark.conforms("F1", "NP-58", "NP-61", "NP-65", "NP-69", "PC-77", "PC-149", "PC-151")
@pytest.mark.parametrize("backend", ["pcp", "natpmp", "upnp"])
def test_every_mapping_is_back_with_its_port_after_a_restart(make_lab: MakeLab, backend: str) -> None:
    """F1: the announcement makes us ask, the epoch tells, and after 0 to 5 s all is made again."""
    lab = make_lab()
    ports = {8001: 9001, 8002: 9002, 8003: 9003}
    wishes = [f"{internal}:{external}" for internal, external in ports.items()]
    with answering(lab, *ports), lab.running("map", *wishes, "--backend", backend) as command:
        for external in ports.values():
            assert command.event()["external"] == {"address": EXTERNAL, "port": external}
        time.sleep(AGE)
        lab.reboot()
        assert lab.reach_tcp(9001, timeout=0.3) is None
        for external in ports.values():
            wait_until_reached(lab, external, within=7)
        renewed = [command.event() for _ in ports]
        assert [one["event"] for one in renewed] == ["restored"] * 3
        assert [one["external"]["port"] for one in renewed] == list(ports.values())


@pytest.mark.conforms("F2")
def test_a_restart_that_lost_nothing_changes_nothing(make_lab: MakeLab) -> None:
    """F2: the daemon comes back with its lease file and its rules."""
    lab = make_lab()
    with answering(lab, 8080), lab.running("map", "8080") as command:
        command.event()
        lab.stop_daemon()
        lab.start_daemon()
        deadline = time.monotonic() + 7
        while time.monotonic() < deadline:
            assert lab.reach_tcp(8080) == TOKEN
            time.sleep(0.2)
