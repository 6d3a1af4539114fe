"""PORT/both on a real router: TCP and UDP at one external port, and nothing of either left."""

import signal
import time
from contextlib import ExitStack

import pytest

from tests.router.conftest import MakeLab
from tests.router.lab import TOKEN, Lab, Running, answering
from tests.router.opening import AGE
from tests.router.test_way_out import rules_left

BACKENDS = ("pcp", "natpmp", "upnp")


def external_port(command: Running, backend: str) -> int:
    """Return where both are mapped."""
    mapped = [command.event() for _ in range(2)]
    assert [(one["event"], one["protocol"], one["backend"]) for one in mapped] == [
        ("mapped", "tcp", backend),
        ("mapped", "udp", backend),
    ]
    external: int = mapped[0]["external"]["port"]
    assert mapped[1]["external"]["port"] == external
    return external


def leave(command: Running) -> None:
    assert command.end() == 128 + signal.SIGTERM
    assert [command.event()["released"] for _ in range(2)] == [True, True]


def reached(lab: Lab, port: int) -> bool:
    return lab.reach_tcp(port, timeout=0.5) == TOKEN == lab.reach_udp(port, timeout=0.5)


@pytest.mark.timeout(60)
def test_both_are_reached_at_the_port_that_is_wished_for_also_after_a_restart_of_the_router(make_lab: MakeLab) -> None:
    """By each protocol; the firewall is as before afterwards."""
    lab = make_lab()
    ports = {8001 + number: backend for number, backend in enumerate(BACKENDS)}
    with ExitStack() as stack:
        stack.enter_context(answering(lab, *ports))
        commands = {
            port: stack.enter_context(lab.running("map", f"{port}:{port + 1000}/both", "--backend", backend))
            for port, backend in ports.items()
        }
        for port, backend in ports.items():
            assert external_port(commands[port], backend) == port + 1000
            assert reached(lab, port + 1000)
        time.sleep(AGE)
        lab.reboot()
        for command in commands.values():
            assert [command.event()["event"] for _ in range(2)] == ["restored", "restored"]
        assert all(reached(lab, port + 1000) for port in ports)
        for command in commands.values():
            leave(command)
    assert rules_left(lab) == []


def test_both_move_where_the_port_is_taken_for_udp(make_lab: MakeLab) -> None:
    """Another host has it; it keeps it, and nothing but its rules is left."""
    lab = make_lab()
    with lab.second_host():
        done = lab.run("map", "8000:9001/udp", "--once", "--backend", "upnp", host=lab.neighbour)
        assert done.returncode == 0, done.stderr
        theirs = rules_left(lab)
        assert len(theirs) > 0
        for backend in BACKENDS:
            with answering(lab, 8080), lab.running("map", "8080:9001/both", "--backend", backend) as command:
                external = external_port(command, backend)
                assert external != 9001
                assert reached(lab, external)
                leave(command)
            assert rules_left(lab) == theirs
        done = lab.run("map", "8080:9001/both", "--exact", "--once")
        assert done.returncode == 5
        assert rules_left(lab) == theirs
