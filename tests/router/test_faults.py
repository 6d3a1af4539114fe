"""Faults of a router that keeps running, or comes back as it was: nothing is lost, and what is lost comes back."""

import json
import os
import time
from contextlib import ExitStack

import anyio
import pytest

from portmapper import PortMapper
from tests.faults.gaps import RENEWING, probe
from tests.router.conftest import MakeLab
from tests.router.lab import EXTERNAL, TOKEN, WAN_ADDRESS, Lab, answering
from tests.router.namespaces import add_address, call, inside, output
from tests.router.opening import AGE

EXTERNAL_LATER = "8.8.4.7"
LONG = "PORTMAPPER_SOAK" in os.environ
BACKENDS = {"pcp": 8001, "natpmp": 8002, "upnp": 8003}

_RATE = """
table inet slow {
  chain i {
    type filter hook input priority -10;
    iifname "lan0" udp dport 5351 limit rate 5/second accept
    iifname "lan0" udp dport 5351 drop
  }
}
"""
_MUTE = """
table inet mute {
  chain i {
    type filter hook input priority -10;
    iifname "lan0" meta l4proto { tcp, udp } drop
  }
}
"""


def renumber_wan(lab: Lab) -> None:
    """Give the router another external address, as a provider does at night."""
    call("ip", "-n", lab.router, "addr", "del", f"{EXTERNAL}/24", "dev", "wan0")
    add_address(lab.router, "wan0", EXTERNAL_LATER)
    call("ip", "-n", lab.router, "route", "replace", "default", "via", WAN_ADDRESS)


def forget(lab: Lab, port: int) -> None:
    """Have the router drop what leads to `port` without a word and without its daemon's knowing."""
    for chain in ("prerouting_miniupnpd", "miniupnpd"):
        listed = json.loads(
            output("ip", "netns", "exec", lab.router, "nft", "-j", "list", "chain", "inet", "filter", chain)
        )
        rules = [one["rule"] for one in listed["nftables"] if "rule" in one]
        mine = [rule["handle"] for rule in rules if f'"right": {port}' in json.dumps(rule)]
        assert mine, f"no rule for port {port} in {chain}"
        for handle in mine:
            call(*inside(lab.router), "nft", "delete", "rule", "inet", "filter", chain, "handle", str(handle))


@pytest.mark.conforms("F5")
@pytest.mark.parametrize("backend", list(BACKENDS))
def test_another_external_address_is_one_event_with_the_new_address_f5(make_lab: MakeLab, backend: str) -> None:
    """Within 2 s. The one NAT-PMP announcement that comes then carries the old address: it is asked for."""
    lab = make_lab()
    with lab.running("map", "8080", "--backend", backend) as command:
        command.event()
        time.sleep(AGE)
        renumber_wan(lab)
        begin = time.monotonic()
        changed = command.event()
        assert time.monotonic() - begin < 2
        assert changed["event"] == "changed"
        assert changed["external"] == {"address": EXTERNAL_LATER, "port": 8080}
        time.sleep(2)
        command.process.terminate()
        assert command.event()["event"] == "closed"  # and nothing between


@pytest.mark.conforms("F2")
def test_a_daemon_that_was_killed_and_comes_back_with_its_rules_costs_no_packet_f2(make_lab: MakeLab) -> None:
    lab = make_lab()
    with ExitStack() as stack:
        stack.enter_context(answering(lab, *BACKENDS.values()))
        commands = [stack.enter_context(lab.running("map", str(p), "--backend", b)) for b, p in BACKENDS.items()]
        for command in commands:
            command.event()
        time.sleep(3)
        lab.kill_daemon()
        lab.start_daemon()
        found = probe(lab, 4, *[("tcp", port) for port in BACKENDS.values()])
        assert max(one.gap for one in found.values()) <= RENEWING
        for command in commands:
            command.process.terminate()
            seen = [command.event()["event"]]
            while seen[-1] != "closed":
                seen.append(command.event()["event"])
            # its epoch begins anew, so it says that it has forgotten
            assert seen in (["closed"], ["restored", "closed"])


@pytest.mark.conforms("F3")
@pytest.mark.parametrize("backend", ["pcp", "natpmp"])
def test_a_rule_that_the_router_lost_is_made_again_by_the_next_renewal_f3(make_lab: MakeLab, backend: str) -> None:
    """Its daemon knows nothing of it, so no question shows it: the epoch goes on and the mapping is in its list."""
    lab = make_lab(min_lifetime=1)
    with answering(lab, 8080), lab.running("map", "8080", "--backend", backend, "--lifetime", "8") as command:
        command.event()
        assert lab.reach_tcp(8080) == TOKEN
        forget(lab, 8080)
        assert lab.reach_tcp(8080, timeout=0.3) is None
        deadline = time.monotonic() + 10
        while lab.reach_tcp(8080, timeout=0.3) != TOKEN:
            assert time.monotonic() < deadline


@pytest.mark.conforms("F3")
def test_by_upnp_only_a_hard_refresh_makes_a_rule_again_that_the_router_lost_f3(make_lab: MakeLab) -> None:
    """miniupnpd shows the mapping all the same, and leaves the rules alone when it is renewed."""
    lab = make_lab()

    async def lose_and_refresh() -> list[bool]:
        async with PortMapper(backends=["upnp"]) as mapper:
            mapping = await mapper.map(8080)
            forget(lab, 8080)
            await mapping.refresh()
            soft = lab.reach_tcp(8080, timeout=0.3) == TOKEN
            await mapping.refresh(hard=True)
            return [soft, lab.reach_tcp(8080) == TOKEN]

    with answering(lab, 8080):
        assert lab.ask(lose_and_refresh) == [False, True]


@pytest.mark.conforms("F26")
@pytest.mark.parametrize("backend", ["pcp", "natpmp"] if LONG else ["natpmp"])
def test_a_router_that_was_silent_is_asked_again_within_5_s_f26(make_lab: MakeLab, backend: str) -> None:
    """Silent for the first renewals of a lease of 16 s, then back: renewed soon, and never lost."""
    lab = make_lab(min_lifetime=1)
    with answering(lab, 8080), lab.running("map", "8080", "--backend", backend, "--lifetime", "16") as command:
        command.event()
        lab.firewall(_MUTE)
        time.sleep(9.5)
        lab.firewall("delete table inet mute")
        begin = time.monotonic()
        assert command.event()["event"] == "renewed"
        assert time.monotonic() - begin < 5
        assert lab.reach_tcp(8080) == TOKEN


@pytest.mark.conforms("F38")
@pytest.mark.parametrize("backend", ["pcp", "natpmp"])
def test_many_ports_are_mapped_on_a_router_that_answers_five_times_a_second_f38(
    make_lab: MakeLab, backend: str
) -> None:
    """100 in 25 s; in the short form 20."""
    count = 100 if LONG else 20
    lab = make_lab()
    lab.firewall(_RATE)

    async def map_all() -> float:
        async with PortMapper(backends=[backend]) as mapper:
            begin = anyio.current_time()
            for port in range(10_000, 10_000 + count):
                await mapper.map(port)
            took = anyio.current_time() - begin
            for mapping in mapper.mappings:
                mapping.detach()
            return took

    took = lab.ask(map_all)
    print(f"{count} mappings by {backend} at 5 answers a second: {took:.1f} s")
    assert took <= count / 4
