"""`portmapper backends`: what is installed, what it can, and what the gateway answers to."""

from functools import partial

import pytest

from portmapper.cli.options import settings
from portmapper.natpmp.backend import NatPmpBackend
from portmapper.registry import Candidate
from portmapper.testing import SimulatedGateway
from tests.cli.inside import Inside, inside, state

__all__ = ["inside", "state"]

BUILT_IN = ["pcp", "natpmp", "upnp"]


def _broken() -> object:
    raise ImportError("no such library\x1b[2J")


@pytest.fixture(autouse=True)
def two_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    found = (Candidate("broken", _broken, "bad-wheel", "0.1"), Candidate("fine", lambda: NatPmpBackend, "good", "2.0"))
    monkeypatch.setattr("portmapper.registry._plugins", lambda: found)


def test_each_says_what_it_can_and_where_it_is_from(inside: Inside) -> None:
    done = inside("backends")
    assert done.out.splitlines()[1:3] == [
        "natpmp: NAT-PMP (built-in; TCP and UDP ports of this host only)",
        "upnp: UPnP IGD (built-in; remote, third-party)",
    ]
    assert "fine: NAT-PMP (good 2.0; " in done.out


def test_a_plug_in_that_is_broken_is_shown_with_its_error_and_harms_nobody(inside: Inside) -> None:
    done = inside("backends")
    (line,) = (line for line in done.out.splitlines() if line.startswith("broken"))
    assert line.startswith("broken (bad-wheel 0.1) cannot be used: the backend broken cannot be loaded: ImportError(")
    assert (done.code, done.complaints, "\x1b" in done.out) == (0, "", False)


def test_nothing_is_probed_unless_asked_for(inside: Inside) -> None:
    found = {one["name"]: one for one in inside("backends", "--json").objects}
    assert list(found) == [*BUILT_IN, "broken", "fine"]
    assert {one["answers"] for one in found.values()} == {None}


def test_a_probe_says_who_answers_and_why_the_others_do_not(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "SimulatedGateway", partial(SimulatedGateway, natpmp=False))
    done = inside("backends", "--probe", "--simulate", "--json")
    found = {one["name"]: one for one in done.objects}
    assert {name: one["answers"] for name, one in found.items()} == {
        "pcp": True, "natpmp": False, "upnp": True, "broken": False, "fine": False
    }  # fmt: skip
    assert found["pcp"]["milliseconds"] > 0
    assert found["natpmp"]["milliseconds"] is None
    assert found["natpmp"]["reason"]
    assert "cannot be loaded" in found["broken"]["reason"]


def test_only_those_that_are_named_are_probed(inside: Inside) -> None:
    done = inside("backends", "--probe", "--simulate", "--backend", "natpmp")
    (line,) = done.out.splitlines()
    assert line.startswith("natpmp: NAT-PMP (built-in; TCP and UDP ports of this host only): 127.0.0.1 answers in ")
