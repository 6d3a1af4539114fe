"""Which address of the host a mapping is for."""

import json

import pytest

from tests.router.conftest import MakeLab
from tests.router.lab import EXTERNAL, GATEWAY_6, NEIGHBOUR_ADDRESS

GLOBAL = "2000:1::10"


@pytest.mark.conforms("PC-16", "PC-23")
def test_a_global_address_is_used_rather_than_a_unique_local_one(make_lab: MakeLab) -> None:
    """Nobody far away reaches the other, though the gateway is nearer to it."""
    lab = make_lab()
    lab.add_global_network(GLOBAL, "2000:1::1")
    done = lab.run("map", "8080", "--gateway", GATEWAY_6, "--once", "--json")
    assert json.loads(done.stdout)["internal"] == {"address": GLOBAL, "port": 8080}


@pytest.mark.conforms("F9", "NP-72", "PC-100")
@pytest.mark.parametrize("backend", ["pcp", "natpmp"])
def test_a_host_with_a_new_address_maps_anew_from_there(make_lab: MakeLab, backend: str) -> None:
    """At once, and at another external port: the lease of the old address has that one until it ends."""
    lab = make_lab(min_lifetime=1)
    with lab.running("map", "8080", "--lifetime", "8", "--backend", backend) as command:
        assert command.event()["event"] == "mapped"
        lab.renumber(NEIGHBOUR_ADDRESS)
        lost = command.event()
        assert lost["event"] == "lost"
        assert f"this host is {NEIGHBOUR_ADDRESS} now" in lost["reason"]
        mapped = command.event()
        assert mapped["event"] == "mapped"
        assert mapped["internal"] == {"address": NEIGHBOUR_ADDRESS, "port": 8080}
        assert mapped["external"]["address"] == EXTERNAL
        assert mapped["external"]["port"] != 8080
