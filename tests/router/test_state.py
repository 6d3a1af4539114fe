"""What a killed program leaves on a real router, what the next run makes of it, and two that want one port."""

import json
import os
import random
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.router.conftest import MakeLab
from tests.router.lab import TOKEN, Lab, answering

BACKENDS = ("pcp", "natpmp", "upnp")
ORDERS = ("first", "second", "first killed", "second killed")
LONG = "PORTMAPPER_SOAK" in os.environ
KILLS = 34 if LONG else 2  # by each protocol


def rules(lab: Lab) -> list[int]:
    """Return the external ports that the router forwards: what its firewall has, not what its daemon says."""
    command = ["ip", "netns", "exec", lab.router, "nft", "list", "chain", "inet", "filter", "prerouting_miniupnpd"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [int(port) for port in re.findall(r"(?:th|tcp|udp) dport (\d+)", listed)]


def noted(lab: Lab) -> list[dict[str, Any]]:
    done = lab.run("list", "--mine", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_the_firewall_is_read_right(make_lab: MakeLab) -> None:
    """The control: a rule of each protocol is seen, and none when it is gone."""
    lab = make_lab()
    for backend in BACKENDS:
        with lab.running("map", "8080:9001", "8080:9001/udp", "--backend", backend) as command:
            command.event(), command.event()
            assert rules(lab) == [9001, 9001]
            command.end()
        assert rules(lab) == []


@pytest.mark.conforms("F41")
def test_after_a_kill_the_port_is_got_again_at_the_same_external_port(make_lab: MakeLab) -> None:
    """F41, S45. The router gave it, nobody wishes for it again; and there is one mapping, not two."""
    lab = make_lab()
    for backend in BACKENDS:
        _kill_and_get_again(lab, backend)


def _kill_and_get_again(lab: Lab, backend: str) -> None:
    with answering(lab, 8080):
        with lab.running("map", "8080:9001", "--backend", backend) as command:
            command.event()
            command.kill()
        assert rules(lab) == [9001]
        assert [(one["living"], one["external"]["port"]) for one in noted(lab)] == [(False, 9001)]
        with lab.running("map", "8080", "--backend", backend) as command:
            assert command.event()["external"]["port"] == 9001
            assert rules(lab) == [9001]
            assert lab.reach_tcp(9001) == TOKEN
            assert [(one["living"], one["pid"]) for one in noted(lab)] == [(True, command.process.pid)]
            command.end()
        assert rules(lab) == []
        assert noted(lab) == []


@pytest.mark.conforms("F41")
@pytest.mark.timeout(KILLS * 60 + 60)
def test_killed_at_any_moment_it_leaves_nothing_without_a_lease_and_the_next_run_finds_it(make_lab: MakeLab) -> None:
    """B11: twice by each protocol; 34 times under `make soak`."""
    lab = make_lab()
    for backend in BACKENDS:
        _kill_at_any_moment(lab, backend)


def _kill_at_any_moment(lab: Lab, backend: str) -> None:
    begin = time.monotonic()
    assert lab.run("map", "8080:9001", "--once", "--backend", backend).returncode == 0
    whole = time.monotonic() - begin
    lab.run("unmap", "8080:9001", "--backend", backend)
    seed = random.randrange(2**32)
    dice, mapped, asked = random.Random(seed), 0, 0
    for _ in range(KILLS):
        with lab.running("map", "8080:9001", "--backend", backend) as command:
            time.sleep(dice.uniform(0.5, 1.5) * whole)
            command.kill()
        left = rules(lab)
        assert left in ([], [9001])
        mapped += len(left)
        asked += sum(one["state"] == "asked" for one in noted(lab))
        listed = lab.run("list", "--json")
        assert all(json.loads(line)["lifetime"] > 0 for line in listed.stdout.splitlines())
        with lab.running("map", "8080", "--backend", backend) as command:
            external = command.event()["external"]["port"]
            assert external == 9001 or not left, f"seed {seed}"
            assert rules(lab) == [external], f"seed {seed}"
            assert command.end() == 128 + signal.SIGTERM
        assert (rules(lab), noted(lab)) == ([], []), f"seed {seed}"
    print(f"{backend}: {KILLS} kills (seed {seed}), {mapped} left a mapping, {asked} an intent; each was found")


@pytest.mark.conforms("F44")
def test_of_two_programs_the_second_is_told_who_has_the_port(make_lab: MakeLab) -> None:
    """F44: miniupnpd 2.3.1 would let it overwrite the first without a word."""
    lab = make_lab()
    with lab.running("map", "8080:9001") as first:
        first.event()
        done = lab.run("map", "8080", "--json")
        assert done.returncode == 6
        assert json.loads(done.stdout)["error"] == "InUseLocally"
        pid = first.process.pid
        assert f"8080/tcp: portmapper (process {pid}) on this host has it at external port 9001" in done.stderr
        assert lab.run("map", "8080/udp", "--once").returncode == 0
        done = lab.run("map", "8080", "--no-state", "--once", "--json", "--backend", "pcp")
        assert json.loads(done.stdout)["event"] == "mapped"  # who keeps no state asks nobody


@pytest.mark.conforms("F44")
def test_who_leaves_a_shared_port_last_closes_it(make_lab: MakeLab) -> None:
    """In four orders, by one protocol each; by every protocol under `make soak`."""
    lab = make_lab()
    every = [(backend, order) for backend in BACKENDS for order in ORDERS]
    for backend, order in every if LONG else zip((*BACKENDS, "upnp"), ORDERS, strict=True):
        _share_and_leave(lab, backend, order)


def _share_and_leave(lab: Lab, backend: str, order: str) -> None:
    options = ("--backend", backend)
    with answering(lab, 8080), lab.running("map", "8080:9001", *options) as first:
        first.event()
        with lab.running("map", "8080", "--share", *options) as second:
            assert second.event()["external"]["port"] == 9001
            leaver, stayer = (first, second) if order.startswith("first") else (second, first)
            if "killed" in order:
                leaver.kill()
            else:
                leaver.process.send_signal(signal.SIGTERM)
                closed = leaver.event()
                assert (closed["event"], closed["released"]) == ("closed", False)
                assert f"(process {stayer.process.pid}) on this host has it" in closed["reason"]
                assert closed["remaining"] > 7000
                assert leaver.process.wait(5) == 128 + signal.SIGTERM
            assert lab.reach_tcp(9001) == TOKEN
            assert rules(lab) == [9001]
            stayer.end()
            assert rules(lab) == []
            assert noted(lab) == []


def test_what_killed_programs_left_is_cleared(make_lab: MakeLab) -> None:
    lab = make_lab()
    for number, backend in enumerate(BACKENDS):
        with lab.running("map", f"{8080 + number}:{9001 + number}", "--backend", backend) as command:
            command.event()
            command.kill()
    assert lab.run("map", "8090:9010", "--once").returncode == 0
    assert sorted(rules(lab)) == [9001, 9002, 9003, 9010]
    states = {one["external"]["port"]: (one["living"], one["state"], one["backend"]) for one in noted(lab)}
    assert states == {
        9001: (False, "held", "pcp"), 9002: (False, "held", "natpmp"), 9003: (False, "held", "upnp"),
        9010: (False, "detached", "pcp"),
    }  # fmt: skip
    done = lab.run("unmap", "--stale", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    cleared = [json.loads(line) for line in done.stdout.splitlines()]
    assert sorted((one["backend"], one["removed"], one["reason"]) for one in cleared) == [
        (backend, True, None) for backend in sorted(BACKENDS)
    ]
    assert rules(lab) == [9010]
    assert [one["state"] for one in noted(lab)] == ["detached"]
    assert lab.run("unmap", "8090:9010").returncode == 0
    assert noted(lab) == []
    assert lab.run("unmap", "--stale").stdout == "no program of this host that died has left anything at 192.168.77.1\n"


def test_an_intent_that_came_to_nothing_is_cleared(make_lab: MakeLab, tmp_path: Path) -> None:
    """It was killed while it looked for the gateway; miniupnpd refuses to delete by PCP what it does not have."""
    lab = make_lab()
    lab.stop_daemon()
    with lab.running("map", "8080:9001") as command:
        while not list(tmp_path.glob("lab0/state/journal/*.json")):
            time.sleep(0.05)
        command.kill()
    assert [(one["state"], one["external"]) for one in noted(lab)] == [("asked", None)]
    lab.start_daemon()
    assert lab.run("unmap", "--stale").stdout == "192.168.77.10:8080/tcp is no longer mapped at 192.168.77.1\n"
    assert noted(lab) == []


def test_what_cannot_be_cleared_is_said_and_is_exit_1(make_lab: MakeLab) -> None:
    lab = make_lab()
    with lab.running("map", "8080:9001", "--backend", "upnp") as command:
        command.event()
        command.kill()
    lab.stop_daemon()
    done = lab.run("unmap", "--stale")
    assert done.returncode == 1
    assert done.stdout.startswith("192.168.77.10:8080/tcp (external port 9001) stays at 192.168.77.1: ")
    assert done.stderr == "portmapper: not removed: 8080/tcp\n"
    lab.start_daemon()
    assert lab.run("unmap", "--stale").returncode == 0
    assert (rules(lab), noted(lab)) == ([], [])


@pytest.mark.conforms("F55")
def test_a_folder_that_cannot_be_written_stops_nothing(make_lab: MakeLab, tmp_path: Path) -> None:
    """F55: one warning, and everything else as ever."""
    lab = make_lab()
    (tmp_path / "lab0" / "state").write_text("in the way")
    done = lab.run("map", "8080:9001", "--once")
    assert (done.returncode, done.stderr.count("\n")) == (0, 1)
    assert done.stderr.startswith("portmapper: going on without keeping state: ")
    assert rules(lab) == [9001]
