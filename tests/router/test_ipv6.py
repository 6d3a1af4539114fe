"""A pinhole in the IPv6 firewall, by PCP to the IPv6 gateway."""

import json
import time

import pytest

from tests.router.conftest import MakeLab
from tests.router.lab import GATEWAY_6, LAN_ADDRESS_6, TOKEN, answering
from tests.router.namespaces import call

GLOBAL = "2000:1::10"


@pytest.mark.conforms("PC-147")
def test_a_pinhole_lets_the_wan_host_reach_the_very_address(make_lab: MakeLab) -> None:
    """The external endpoint is the internal one; closed again afterwards."""
    lab = make_lab(min_lifetime=1)
    with answering(lab, 8080):
        assert lab.reach_tcp6(8080, timeout=0.5) is None
        with lab.running("map", "8080", "--gateway", GATEWAY_6) as command:
            mapped = command.event()
            assert mapped["internal"] == mapped["external"] == {"address": LAN_ADDRESS_6, "port": 8080}
            assert (mapped["backend"], mapped["gateway"]) == ("pcp", GATEWAY_6)
            assert lab.reach_tcp6(8080) == TOKEN
            command.end()
            assert command.event()["released"] is True
        assert lab.reach_tcp6(8080, timeout=0.5) is None


def test_a_pinhole_that_cannot_be_deleted_after_a_renewal_is_said_and_ends_with_its_lease(make_lab: MakeLab) -> None:
    """miniupnpd 2.3.1 answers NOT_AUTHORIZED to the delete of a pinhole that was renewed, whatever the nonce."""
    lab = make_lab(min_lifetime=1)
    with answering(lab, 8080), lab.running("map", "8080", "--gateway", GATEWAY_6, "--lifetime", "8") as command:
        assert command.event()["event"] == "mapped"
        assert command.event()["event"] == "renewed"
        assert lab.reach_tcp6(8080) == TOKEN
        command.end()
        closed = command.event()
        assert closed["released"] is False
        assert 0 < closed["remaining"] <= 8
        assert "NOT_AUTHORIZED" in closed["reason"]
        deadline = time.monotonic() + closed["remaining"] + 4
        while lab.reach_tcp6(8080, timeout=0.3) == TOKEN:
            assert time.monotonic() < deadline


def test_a_pinhole_that_is_there_already_is_taken_over(make_lab: MakeLab) -> None:
    """miniupnpd 2.3.1 answers with external port 0 when it extends a pinhole; there is no other port it could be."""
    lab = make_lab()
    for _ in range(2):
        done = lab.run("map", "8080", "--gateway", GATEWAY_6, "--once", "--lifetime", "60")
        assert done.returncode == 0, done.stderr
        assert f"is open at [{LAN_ADDRESS_6}]:8080" in done.stdout


@pytest.mark.conforms("F56", "PC-23", "PC-103")
def test_a_link_local_gateway_is_asked_from_the_address_that_is_to_be_reached(make_lab: MakeLab) -> None:
    """The zone is kept, and the source is not the link-local address of this host."""
    lab = make_lab(min_lifetime=1)
    gateway = lab.link_local_gateway()
    routes = [json.loads(line) for line in lab.run("gateway", "--json").stdout.splitlines()]
    assert (gateway, LAN_ADDRESS_6, "eth0") in [(one["address"], one["source"], one["interface"]) for one in routes]
    with answering(lab, 8080), lab.running("map", "8080", "--gateway", gateway) as command:
        assert command.event()["external"] == {"address": LAN_ADDRESS_6, "port": 8080}
        assert lab.reach_tcp6(8080) == TOKEN
        command.end()
        assert command.event()["released"] is True


@pytest.mark.conforms("F56")
@pytest.mark.parametrize("how", ["gone", "deprecated"])
def test_a_pinhole_follows_the_address_of_the_host(make_lab: MakeLab, how: str) -> None:
    """Another prefix, as a provider gives one over night, or the end of a temporary address."""
    lab = make_lab(min_lifetime=1)
    gateway = lab.link_local_gateway()
    with lab.running("map", "8080", "--gateway", gateway) as command:
        assert command.event()["internal"] == {"address": LAN_ADDRESS_6, "port": 8080}
        lab.add_global_network(GLOBAL, "2000:1::1")
        if how == "gone":
            call("ip", "-n", lab.lan, "addr", "del", f"{LAN_ADDRESS_6}/64", "dev", "eth0")
        else:
            call("ip", "-n", lab.lan, "addr", "change", f"{LAN_ADDRESS_6}/64", "dev", "eth0", "preferred_lft", "0")
        lost, mapped = command.event(), command.event()
        assert f"this host is {GLOBAL} now" in lost["reason"]
        assert mapped["internal"] == mapped["external"] == {"address": GLOBAL, "port": 8080}
        assert mapped["gateway"] == gateway
