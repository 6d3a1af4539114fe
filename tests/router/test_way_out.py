"""Whatever ends the program, and whenever: the router is left clean, in time, or the user is told what stays on it."""

import itertools
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest

from tests.router.conftest import MakeLab
from tests.router.lab import Lab
from tests.router.namespaces import inside, output

ROUNDS = 200 if "PORTMAPPER_SOAK" in os.environ else 10
SPAN = 2.5  # a mapping is there after 0.3 to 1.5 s
WITHIN = 2.0
DEAD = 3.0
LEAVER = Path(__file__).with_name("leaver.py")
BACKENDS = ("pcp", "natpmp", "upnp")
each_backend = pytest.mark.parametrize("backend", BACKENDS)


def rules_left(lab: Lab) -> list[str]:
    """Return what the router has for mappings, as nftables shows it."""
    found: list[str] = []
    for chain in ("miniupnpd", "prerouting_miniupnpd", "postrouting_miniupnpd"):
        text = output(*inside(lab.router), "nft", "list", "chain", "inet", "filter", chain)
        found += [line.strip() for line in text.splitlines()[2:-2]]
    return found


@dataclass(frozen=True)
class Round:
    """How one program ends."""

    way: str
    backend: str
    seconds: float
    ports: tuple[str, ...]


def rounds(seed: int) -> list[Round]:
    """Return every way by every protocol in turn, at random moments."""
    dice = random.Random(seed)
    ways = list(itertools.product(("SIGTERM", "SIGINT", "SIGHUP", "cancel", "exit"), BACKENDS))
    dice.shuffle(ways)
    chosen = itertools.islice(itertools.cycle(ways), ROUNDS)
    return [Round(way, backend, dice.uniform(0, SPAN), _ports(dice)) for way, backend in chosen]


def _ports(dice: random.Random) -> tuple[str, ...]:
    first = dice.choice((8000, 8001))  # also says which protocol comes first, and which event loop it is
    return tuple(str(first + number) for number in range(dice.choice((1, 2, 5))))


def by_signal(lab: Lab, one: Round) -> float:
    """Run the command and signal it; return how long it took to end."""
    ports = [f"{port}/{('tcp', 'udp')[int(port) % 2]}" for port in one.ports]
    command = lab.command("map", *ports, "--backend", one.backend)
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=lab._environment()
    ) as process:
        try:
            time.sleep(one.seconds)
            begin = time.monotonic()
            process.send_signal(getattr(signal, one.way))
            process.wait(10)
            return time.monotonic() - begin
        finally:
            process.kill()


def by_itself(lab: Lab, one: Round) -> float:
    """Run the program that is cancelled or exits; return how long it took to end."""
    command = [*inside(lab.lan), sys.executable, str(LEAVER), one.way, one.backend, str(one.seconds), *one.ports]
    environment = {**os.environ, "PYTHONPATH": str(LEAVER.parents[2])}
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, env=environment, check=False)
    ended = time.monotonic()
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == (7 if one.way == "exit" else 0)
    return ended - float(done.stdout) - one.seconds


@pytest.mark.conforms("F42", "F48")
@pytest.mark.timeout(30 + 12 * ROUNDS)
def test_nothing_is_left_by_whatever_ends_the_program_at_whatever_moment(make_lab: MakeLab) -> None:
    """F42, F48, B10: while it maps, holds and renews; 200 times with `make soak`."""
    seed = int(os.environ.get("PORTMAPPER_SEED", random.randrange(10**6)))
    lab, took, left = make_lab(), list[tuple[float, Round]](), list[str]()
    for one in rounds(seed):
        took.append((by_signal(lab, one) if one.way.startswith("SIG") else by_itself(lab, one), one))
        if rules := rules_left(lab):
            left.append(f"{one}: {rules}")
            lab.reboot()
    took.sort(key=lambda pair: pair[0])
    (p50, _), (p99, _), (longest, slowest) = took[len(took) // 2], took[len(took) * 99 // 100], took[-1]
    print(
        f"\n{len(took)} ends, seed {seed}: left {len(left)}, exit p50 {p50:.2f} s, p99 {p99:.2f} s, max {longest:.2f} s"
    )
    print(f"the slowest: {slowest}")
    assert left == [], f"seed {seed}"
    assert p99 <= WITHIN, f"seed {seed}"


def kill_router(lab: Lab) -> None:
    lab.firewall("table inet mute {\nchain i {\ntype filter hook input priority -10;\ndrop\n}\n}")


@pytest.mark.conforms("F43")
@each_backend
def test_a_dead_router_is_left_in_time_and_what_stays_is_said_with_its_end(make_lab: MakeLab, backend: str) -> None:
    """F43: five mappings."""
    lab = make_lab()
    ports = [f"{port}" for port in range(8001, 8006)]
    with lab.running("map", *ports, "--backend", backend, "--lifetime", "600") as command:
        for _ in ports:
            assert command.event()["event"] == "mapped"
        kill_router(lab)
        begin = time.monotonic()
        assert command.end() == 128 + signal.SIGTERM
        took = time.monotonic() - begin
        assert command.process.stdout is not None
        closed = [json.loads(line) for line in command.process.stdout]
    print(f"\na dead router was left in {took:.2f} s")
    assert took <= DEAD
    assert sorted(one["internal"]["port"] for one in closed) == list(range(8001, 8006))
    for one in closed:
        assert (one["event"], one["released"]) == ("closed", False)
        assert 590 < one["remaining"] <= 600
        assert one["reason"]


@pytest.mark.conforms("F43")
def test_a_person_is_told_until_when_a_mapping_stays(make_lab: MakeLab) -> None:
    lab = make_lab()
    command = lab.command("map", "8001", "--backend", "pcp", "--lifetime", "600")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=lab._environment()) as process:
        assert process.stdout is not None
        process.stdout.readline()
        ends = time.time() + 600
        kill_router(lab)
        process.terminate()
        told = process.stdout.read()
    match = re.fullmatch(r".* stays open at 8.8.4.1:8001 until ([-0-9]+ [:0-9]+), (\d+) s from now \(.*\)\n", told)
    assert match is not None, told
    assert abs(datetime.fromisoformat(match[1]).timestamp() - ends) < 5
    assert 590 <= int(match[2]) <= 600


@pytest.mark.conforms("F42")
def test_a_second_signal_ends_the_program_at_once(make_lab: MakeLab) -> None:
    lab = make_lab()
    with lab.running("map", "8001", "--backend", "pcp") as command:
        command.event()
        kill_router(lab)
        command.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        begin = time.monotonic()
        assert command.end(signal.SIGTERM) == -signal.SIGTERM
        assert time.monotonic() - begin < 0.3
