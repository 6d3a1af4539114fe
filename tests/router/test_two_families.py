"""--ipv6 on a real router: the port by IPv4 and the pinhole by IPv6, and an IPv6 gateway that says nothing."""

import signal
import time

import pytest

from tests.router.conftest import MakeLab
from tests.router.lab import GATEWAY, GATEWAY_6, LAN_ADDRESS, LAN_ADDRESS_6, TOKEN, Lab, answering
from tests.router.test_way_out import rules_left

GIVES_UP = 2  # seconds until a search by IPv6 has failed
WITHIN = 2


@pytest.mark.parametrize("backend", ["pcp", "upnp"])
def test_the_wan_host_comes_in_by_both_until_ctrl_c(make_lab: MakeLab, backend: str) -> None:
    """The external port of IPv4 is another one than the internal port, which is that of IPv6."""
    lab = make_lab()
    with answering(lab, 8080), lab.running("map", "8080:9001", "--ipv6", "--backend", backend) as command:
        mapped = [command.event() for _ in range(2)]
        assert [(one["event"], one["gateway"], one["internal"]) for one in mapped] == [
            ("mapped", GATEWAY, {"address": LAN_ADDRESS, "port": 8080}),
            ("mapped", GATEWAY_6, {"address": LAN_ADDRESS_6, "port": 8080}),
        ]
        assert lab.reach_tcp(9001) == TOKEN
        assert lab.reach_tcp6(8080) == TOKEN
        assert command.end(signal.SIGINT) == 128 + signal.SIGINT
        assert [command.event()["released"] for _ in range(2)] == [True, True]
        assert lab.reach_tcp(9001, timeout=0.3) is None
        assert lab.reach_tcp6(8080, timeout=0.3) is None
    assert rules_left(lab) == []


def silence_ipv6(lab: Lab) -> None:
    """Drop what the router is asked by IPv6, without a word; neighbours are still found."""
    rule = "meta nfproto ipv6 meta l4proto { tcp, udp } drop"
    lab.firewall(f"table inet mute {{\nchain i {{\ntype filter hook input priority -10;\n{rule}\n}}\n}}")


def test_an_ipv6_gateway_that_is_silent_is_not_waited_for(make_lab: MakeLab) -> None:
    lab = make_lab()
    silence_ipv6(lab)
    with answering(lab, 8080), lab.running("map", "8080:9001", "--ipv6") as command:
        assert command.event()["gateway"] == GATEWAY
        begin = time.monotonic()
        assert lab.reach_tcp(9001) == TOKEN
        failure = command.event()
        assert time.monotonic() - begin > GIVES_UP / 2
        assert (failure["event"], failure["error"]) == ("error", "NoService")
        assert "8080/tcp is not open by IPv6" in failure["message"]
        assert lab.reach_tcp(9001) == TOKEN
        assert command.end() == 128 + signal.SIGTERM
        assert command.event()["released"] is True
    assert rules_left(lab) == []


def test_a_signal_while_ipv6_is_asked_closes_ipv4_at_once(make_lab: MakeLab) -> None:
    lab = make_lab()
    silence_ipv6(lab)
    with lab.running("map", "8080:9001", "--ipv6") as command:
        assert command.event()["event"] == "mapped"
        begin = time.monotonic()
        assert command.end() == 128 + signal.SIGTERM
        assert time.monotonic() - begin < WITHIN
        closed = command.event()
        assert (closed["event"], closed["gateway"], closed["released"]) == ("closed", GATEWAY, True)
    assert rules_left(lab) == []
