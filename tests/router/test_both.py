"""PORT/both on a real router: TCP and UDP at one external port, and nothing of either left."""

import signal

from tests.router.conftest import MakeLab
from tests.router.lab import TOKEN, Lab, answering
from tests.router.test_way_out import rules_left

BACKENDS = ("pcp", "natpmp", "upnp")


def open_both(lab: Lab, backend: str) -> int:
    """Open 8080/both at 9001 if that is free, reach it by both protocols, leave; return the external port."""
    with answering(lab, 8080), lab.running("map", "8080:9001/both", "--backend", backend) as command:
        mapped = [command.event() for _ in range(2)]
        assert [(one["event"], one["protocol"], one["backend"]) for one in mapped] == [
            ("mapped", "tcp", backend),
            ("mapped", "udp", backend),
        ]
        external: int = mapped[0]["external"]["port"]
        assert mapped[1]["external"]["port"] == external
        assert lab.reach_tcp(external) == TOKEN
        assert lab.reach_udp(external) == TOKEN
        assert command.end() == 128 + signal.SIGTERM
        assert [command.event()["released"] for _ in range(2)] == [True, True]
    return external


def test_both_are_reached_at_the_port_that_is_wished_for(make_lab: MakeLab) -> None:
    """By each protocol; the firewall is as before afterwards."""
    lab = make_lab()
    for backend in BACKENDS:
        assert open_both(lab, backend) == 9001
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
            assert open_both(lab, backend) != 9001
            assert rules_left(lab) == theirs
        done = lab.run("map", "8080:9001/both", "--exact", "--once")
        assert done.returncode == 5
        assert rules_left(lab) == theirs
