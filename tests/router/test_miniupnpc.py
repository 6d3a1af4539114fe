"""The plug-in around the C library miniupnpc against a router this project did not write."""

import importlib.util
import json
import os
import signal
import time

import pytest

from tests.router.conftest import MakeLab
from tests.router.lab import EXTERNAL, TOKEN, answering
from tests.router.opening import open_and_close

CHOICE = ("--backend", "miniupnpc")


@pytest.fixture(autouse=True, scope="module")
def _installed() -> None:
    """Skip where the plug-in could not be installed, except in CI, where it must be."""
    if any(importlib.util.find_spec(name) is None for name in ("portmapper_miniupnpc", "miniupnpc")):
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("portmapper-miniupnpc is not installed")


@pytest.mark.parametrize("extra", ["", "force_igd_desc_v1=yes"])
def test_opens_tcp_and_udp_and_closes_them_on_the_way_out(make_lab: MakeLab, extra: str) -> None:
    """By version 2 and by version 1 of the protocol."""
    # read back, perhaps in the next second
    open_and_close(make_lab(extra=extra), "miniupnpc", *CHOICE, lifetimes={7199, 7200})


def test_renews(make_lab: MakeLab) -> None:
    lab = make_lab(min_lifetime=1)
    with answering(lab, 8080), lab.running("map", "8080", "--lifetime", "8", *CHOICE) as command:
        assert command.event()["lifetime"] in {7, 8}
        begin = time.monotonic()
        while time.monotonic() - begin < 10:
            assert lab.reach_tcp(8080) == TOKEN
            time.sleep(0.2)
        assert command.event()["event"] == "renewed"
        assert command.end() == 128 + signal.SIGTERM
        assert lab.reach_tcp(8080, timeout=0.5) is None


def test_once_leaves_the_lease_and_unmap_removes_it(make_lab: MakeLab) -> None:
    lab = make_lab()
    with answering(lab, 8080):
        done = lab.run("map", "8080", "--once", "--json", *CHOICE)
        assert done.returncode == 0, done.stderr
        assert lab.reach_tcp(8080) == TOKEN
        done = lab.run("unmap", "8080", "--json", *CHOICE)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["backends"] == ["miniupnpc"]
        assert lab.reach_tcp(8080, timeout=0.5) is None


def test_address(make_lab: MakeLab) -> None:
    done = make_lab().run("address", *CHOICE)
    assert (done.returncode, done.stdout.splitlines()[0], done.stderr) == (0, EXTERNAL, "")


def test_a_taken_external_port_gives_another_with_a_lease(make_lab: MakeLab) -> None:
    """Not the mapping without end that the library's addanyportmapping makes; and none at all with --exact."""
    lab = make_lab()
    with lab.second_host(), answering(lab, 8001):
        taken = lab.run("map", "8080", "--once", "--json", "--backend", "upnp", host=lab.neighbour)
        assert taken.returncode == 0, taken.stderr
        with lab.running("map", "8001:8080", *CHOICE) as command:
            mapped = command.event()
            assert mapped["external"]["port"] != 8080
            assert mapped["lifetime"] in {7199, 7200}
            assert lab.reach_tcp(mapped["external"]["port"]) == TOKEN
            command.end()
        done = lab.run("map", "8001:8080", "--exact", "--once", *CHOICE)
        assert done.returncode == 5
        assert "718 ConflictInMappingEntry" in done.stderr


def test_a_refused_port_is_exit_5_with_the_reason(make_lab: MakeLab) -> None:
    done = make_lab().run("map", "80", "--once", *CHOICE)
    assert done.returncode == 5
    assert "miniupnpc: the device does not allow this mapping (606 ActionNotAuthorized)" in done.stderr


def test_nothing_there_is_said_in_time_and_the_command_ends(make_lab: MakeLab) -> None:
    """The library goes on searching for 4 s in all; nobody waits for that."""
    lab = make_lab()
    lab.stop_daemon()
    begin = time.monotonic()
    done = lab.run("map", "8080", *CHOICE)
    assert time.monotonic() - begin < 3.5
    assert done.returncode == 4
    assert "miniupnpc: the C library was not done with the search after 2.2 s" in done.stderr


def test_rubbish_never_shows_a_traceback(make_lab: MakeLab) -> None:
    lab = make_lab()
    lab.stop_daemon()
    with lab.rubbish():
        done = lab.run("map", "8080", "--json", *CHOICE)
    assert done.returncode == 4
    assert "Traceback" not in done.stderr
    assert json.loads(done.stdout)["reasons"].keys() == {"miniupnpc"}


def test_it_is_not_asked_without_being_named(make_lab: MakeLab) -> None:
    lab = make_lab()
    lab.stop_daemon()
    done = lab.run("map", "8080", "--json")
    assert json.loads(done.stdout)["reasons"].keys() == {"pcp", "natpmp", "upnp"}
