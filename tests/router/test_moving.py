"""The network changes under an open mapping: another router, a link that goes and comes, another address."""

import os
import time
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from portmapper import EveryGateway, Mapping
from tests.router.conftest import MakeLab
from tests.router.lab import EXTERNAL, GATEWAY, LAN_ADDRESS, NEIGHBOUR_ADDRESS, Lab
from tests.router.namespaces import add_address, call
from tests.router.opening import AGE
from tests.router.second import (
    EXTERNAL_2,
    GATEWAY_2,
    answering_everywhere,
    count_packets,
    counted,
    default_route,
    reach,
    second_router,
)

LONG = "PORTMAPPER_SOAK" in os.environ
ROUNDS = 20 if LONG else 4
OFFLINE = 30 if LONG else 8
WITHIN = 2.0


def wait_until(lab: Lab, external: str, port: int) -> float:
    """Return the seconds until the WAN host reaches the LAN host's server at an external address."""
    begin = time.monotonic()
    while not reach(lab, external, port):
        assert time.monotonic() - begin < 15, f"not reachable at {external}"
    return time.monotonic() - begin


@pytest.mark.conforms("F6")
def test_a_mapping_moves_with_the_default_route_every_time(make_lab: MakeLab, tmp_path: Path) -> None:
    """F6: reachable again within 2 s, lost with the reason, and not a packet to the router that was left."""
    lab = make_lab()
    with second_router(lab, tmp_path), answering_everywhere(lab, 8080), lab.running("map", "8080") as command:
        assert command.event()["external"] == {"address": EXTERNAL, "port": 8080}
        count_packets(lab, f'oifname "eth1" ip daddr {GATEWAY}')
        for number in range(ROUNDS):
            gateway, external = ((GATEWAY_2, EXTERNAL_2), (GATEWAY, EXTERNAL))[number % 2]
            default_route(lab, gateway)
            assert wait_until(lab, external, 8080) < WITHIN
            lost, mapped = command.event(), command.event()
            assert lost["event"] == "lost"
            assert f"the gateway is {gateway} now" in lost["reason"]
            assert (mapped["event"], mapped["gateway"]) == ("mapped", gateway)
            assert mapped["external"] == {"address": external, "port": 8080}
        assert counted(lab) == 0


@pytest.mark.conforms("F8")
def test_a_mapping_is_there_again_after_the_link_was_down(make_lab: MakeLab) -> None:
    lab = make_lab()
    with answering_everywhere(lab, 8080), lab.running("map", "8080") as command:
        command.event()
        for _ in range(3):
            call("ip", "-n", lab.lan, "link", "set", "eth0", "down")
            time.sleep(0.5)
            assert not reach(lab, EXTERNAL, 8080)
            call("ip", "-n", lab.lan, "link", "set", "eth0", "up")
            default_route(lab, GATEWAY)
            assert wait_until(lab, EXTERNAL, 8080) < WITHIN


@pytest.mark.conforms("F8")
def test_a_restart_of_the_router_while_the_link_is_down_is_noticed_when_it_is_back(make_lab: MakeLab) -> None:
    """It announced itself to nobody."""
    lab = make_lab()
    with answering_everywhere(lab, 8080), lab.running("map", "8080") as command:
        command.event()
        time.sleep(AGE)
        call("ip", "-n", lab.lan, "link", "set", "eth0", "down")
        lab.reboot()
        time.sleep(1)
        call("ip", "-n", lab.lan, "link", "set", "eth0", "up")
        default_route(lab, GATEWAY)
        assert wait_until(lab, EXTERNAL, 8080) < 7


@pytest.mark.conforms("F9")
@pytest.mark.parametrize("named", [(), ("--gateway", GATEWAY)], ids=["of the default route", "named"])
def test_a_mapping_follows_the_address_of_the_host(make_lab: MakeLab, named: tuple[str, ...]) -> None:
    lab = make_lab()
    address = LAN_ADDRESS
    with answering_everywhere(lab, 8080), lab.running("map", "8080", *named) as command:
        command.event()
        for number in range(20, 23):
            old, address = address, f"192.168.77.{number}"
            call("ip", "-n", lab.lan, "addr", "del", f"{old}/24", "dev", "eth0")
            add_address(lab.lan, "eth0", address)
            call("ip", "-n", lab.lan, "route", "replace", "default", "via", GATEWAY)
            lost, mapped = command.event(), command.event()
            assert f"this host is {address} now, not {old}" in lost["reason"]
            assert mapped["internal"] == {"address": address, "port": 8080}
            assert wait_until(lab, EXTERNAL, mapped["external"]["port"]) < WITHIN


@pytest.mark.conforms("F6")
def test_a_gateway_that_is_named_is_not_looked_for_behind_another(make_lab: MakeLab, tmp_path: Path) -> None:
    """The link to it is gone: the default route would take what is meant for it to the other router, and beyond."""
    lab = make_lab(min_lifetime=1)
    with (
        second_router(lab, tmp_path),
        answering_everywhere(lab, 8080),
        lab.running("map", "8080", "--gateway", GATEWAY, "--lifetime", "4") as command,
    ):
        command.event()
        count_packets(lab, f'oifname "eth1" ip daddr {GATEWAY}')
        default_route(lab, GATEWAY_2)
        call("ip", "-n", lab.lan, "link", "set", "eth0", "down")
        assert command.event()["event"] == "lost"
        time.sleep(3)
        assert counted(lab) == 0
        call("ip", "-n", lab.lan, "link", "set", "eth0", "up")
        assert command.event()["gateway"] == GATEWAY
        assert counted(lab) == 0


@pytest.mark.conforms("F9")
def test_the_mappings_on_every_gateway_follow_the_address_of_the_host_too(make_lab: MakeLab) -> None:
    lab = make_lab()

    async def map_and_renumber() -> tuple[list[str], list[str]]:
        async with EveryGateway() as everywhere:
            results = await everywhere.map(8080)
            mapping = results[next(iter(results))]
            assert isinstance(mapping, Mapping)
            events = mapping.events()
            before = await anext(events)
            await anyio.to_thread.run_sync(lab.renumber, NEIGHBOUR_ADDRESS)
            with anyio.fail_after(5):
                lost, mapped = await anext(events), await anext(events)
            kinds = [type(event).__name__ for event in (before, lost, mapped)]
            return kinds, [str(mapping.gateway), str(mapping.gateway.source)]

    kinds, ends = lab.ask(map_and_renumber)
    assert kinds == ["Mapped", "Lost", "Mapped"]
    assert ends == [GATEWAY, NEIGHBOUR_ADDRESS]


@pytest.mark.conforms("F8")
def test_no_packet_leaves_while_there_is_no_link(make_lab: MakeLab) -> None:
    """With leases of 10 s, which end meanwhile."""
    lab = make_lab(min_lifetime=1)
    with lab.running("map", "8080", "--lifetime", "10") as command:
        command.event()
        call("ip", "-n", lab.lan, "link", "set", "eth0", "down")
        time.sleep(0.5)
        count_packets(lab, "meta l4proto { tcp, udp }")
        time.sleep(OFFLINE)
        assert counted(lab) <= 1


@pytest.mark.conforms("F36")
def test_hardly_a_packet_leaves_while_there_is_no_gateway(make_lab: MakeLab) -> None:
    lab = make_lab()
    with lab.running("map", "8080") as command:
        command.event()
        lab.remove_default_route()
        time.sleep(0.5)
        count_packets(lab, "meta l4proto { tcp, udp }")
        time.sleep(OFFLINE)
        assert counted(lab) <= 1
