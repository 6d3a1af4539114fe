"""The whole command against miniupnpd: what it says, and that the router is as it was before."""

import json

import pytest

from tests.router.conftest import MakeLab
from tests.router.lab import EXTERNAL, GATEWAY, Lab, answering
from tests.router.namespaces import inside, output

pytestmark = pytest.mark.router


def rules(lab: Lab) -> str:
    return output(*inside(lab.router), "nft", "-s", "list", "ruleset")


def test_without_a_port_nothing_is_opened_and_with_one_nothing_stays(make_lab: MakeLab) -> None:
    lab = make_lab()
    before = rules(lab)
    done = lab.run("doctor", "--json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["verdict"]) == (0, "ok"), told
    assert [words for words in (GATEWAY, EXTERNAL, "pcp, natpmp, upnp") if words not in told["headline"]] == []
    assert rules(lab) == before
    with answering(lab, 8080):
        done = lab.run("doctor", "8080", "--json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["verdict"]) == (0, "ok"), told
    trials = told["evidence"]["port"]["trials"]
    made = [(one["backend"], one["shown"], one["left"], one["external"]["address"]) for one in trials]
    assert made == [(name, True, "", EXTERNAL) for name in ("pcp", "natpmp", "upnp")]
    assert rules(lab) == before


def test_a_port_that_another_program_holds_stays_open(make_lab: MakeLab) -> None:
    """Also for a program that knows nothing of the journals: the router's list shows it."""
    lab = make_lab()
    with answering(lab, 8080), lab.running("map", "8080", "--no-state") as held:
        held.event()
        with_mapping = rules(lab)
        told = json.loads(lab.run("doctor", "8080", "--json").stdout)
        assert told["verdict"] == "ok"
        assert told["evidence"]["port"]["trials"] == []
        assert "open already" in told["headline"]
        assert rules(lab) == with_mapping
