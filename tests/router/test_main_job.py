"""One command opens a port on a router this project did not write, keeps it open and closes it on the way out."""

import json
import re
import signal
import subprocess
import time

import pytest

from tests.faults.gaps import RENEWING, probe
from tests.router.conftest import MakeLab
from tests.router.lab import EXTERNAL, GATEWAY, GATEWAY_6, LAN_ADDRESS, LAN_ADDRESS_6, TOKEN, Lab, answering
from tests.router.opening import open_and_close


def test_nothing_is_reachable_before(make_lab: MakeLab) -> None:
    """The control: without the command the WAN host reaches nothing, so the other tests prove something."""
    lab = make_lab()
    with answering(lab, 8080):
        assert lab.reach_tcp(8080, timeout=0.5) is None
        assert lab.reach_udp(8080, timeout=0.5) is None


@pytest.mark.conforms("NP-01", "NP-28", "NP-40", "NP-45", "PC-01", "PC-15")
@pytest.mark.parametrize("backend", ["pcp", "natpmp", "upnp"])
def test_each_protocol_by_choice(make_lab: MakeLab, backend: str) -> None:
    open_and_close(make_lab(), backend, "--backend", backend)


@pytest.mark.conforms("PC-79")
def test_without_a_choice_pcp_is_first(make_lab: MakeLab) -> None:
    open_and_close(make_lab(), "pcp")


@pytest.mark.conforms("F31", "NP-76")
def test_falls_back_to_upnp_when_pcp_and_natpmp_are_off(make_lab: MakeLab) -> None:
    open_and_close(make_lab(natpmp=False), "upnp")


def test_falls_back_to_upnp_when_the_other_port_is_silent(make_lab: MakeLab) -> None:
    """A router whose firewall drops port 5351 costs the head starts, not whole time-outs."""
    lab = make_lab(natpmp=False)
    lab.firewall("table inet mute {\nchain i {\ntype filter hook input priority -10;\nudp dport 5351 drop\n}\n}")
    begin = time.monotonic()
    open_and_close(lab, "upnp")
    assert time.monotonic() - begin < 6


def test_upnp_version_1(make_lab: MakeLab) -> None:
    open_and_close(make_lab(natpmp=False, extra="force_igd_desc_v1=yes"), "upnp")


def test_uses_pcp_when_upnp_is_off(make_lab: MakeLab) -> None:
    open_and_close(make_lab(upnp=False), "pcp")


@pytest.mark.conforms("F42")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_each_signal_releases(make_lab: MakeLab, number: signal.Signals) -> None:
    lab = make_lab()
    with answering(lab, 8080), lab.running("map", "8080") as command:
        command.event()
        assert lab.reach_tcp(8080) == TOKEN
        assert command.end(number) == 128 + number
        assert lab.reach_tcp(8080, timeout=0.5) is None


@pytest.mark.conforms("PC-162")
@pytest.mark.parametrize("backend", ["pcp", "natpmp", "upnp"])
def test_once_leaves_the_lease_and_unmap_removes_it(make_lab: MakeLab, backend: str) -> None:
    """The nonce of PCP survives from one run to the next, so `unmap` can delete what `map --once` made."""
    lab = make_lab()
    with answering(lab, 8080):
        done = lab.run("map", "8080", "--once", "--json", "--backend", backend)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["event"] == "mapped"
        assert lab.reach_tcp(8080) == TOKEN
        done = lab.run("unmap", "8080", "--json", "--backend", backend)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["backends"] == [backend]
        assert lab.reach_tcp(8080, timeout=0.5) is None


@pytest.mark.conforms("PC-145")
@pytest.mark.parametrize("backend", ["pcp", "natpmp", "upnp"])
def test_address(make_lab: MakeLab, backend: str) -> None:
    done = make_lab().run("address", "--backend", backend)
    said = f"{EXTERNAL}\n{backend} says so: {EXTERNAL} is a public address\n  {backend}: {EXTERNAL}\n"
    assert (done.returncode, done.stdout, done.stderr) == (0, said, "")


@pytest.mark.conforms("NP-02", "PC-16", "PC-102")
def test_gateway(make_lab: MakeLab) -> None:
    done = make_lab().run("gateway", "--json")
    common = {"event": "gateway", "interface": "eth0", "tunnel": False, "usable": True}
    first, second = (json.loads(line) for line in done.stdout.splitlines())
    assert first == {
        **common, "address": GATEWAY, "source": LAN_ADDRESS, "family": 4, "reasons": ["default route"]
    }  # fmt: skip
    assert second == {
        **common, "address": GATEWAY_6, "source": LAN_ADDRESS_6, "family": 6,
        "reasons": ["default route with metric 1024"],
    }  # fmt: skip


def test_refused_port_is_exit_5_with_every_reason(make_lab: MakeLab) -> None:
    """The router allows ports from 1024 on only."""
    done = make_lab().run("map", "80", "--once")
    assert done.returncode == 5
    assert "NOT_AUTHORIZED" in done.stderr
    assert "606 ActionNotAuthorized" in done.stderr
    assert all(f"{name}: " in done.stderr for name in ("pcp", "natpmp", "upnp"))


@pytest.mark.conforms("F41")
def test_leases_end_by_themselves_when_the_command_is_killed(make_lab: MakeLab) -> None:
    """F41, and the control of the test above: without renewals nothing stays reachable for long."""
    lab = make_lab(min_lifetime=1)
    with answering(lab, 8080), lab.running("map", "8080", "--lifetime", "2") as command:
        command.event()
        assert lab.reach_tcp(8080) == TOKEN
        command.kill()
        deadline = time.monotonic() + 8
        while lab.reach_tcp(8080, timeout=0.3) == TOKEN:
            assert time.monotonic() < deadline


@pytest.mark.parametrize("backend", ["pcp", "natpmp"])
@pytest.mark.parametrize("order", [("tcp", "udp"), ("udp", "tcp")])
def test_tcp_and_udp_on_one_port_both_survive_renewals(make_lab: MakeLab, backend: str, order: tuple[str, str]) -> None:
    """miniupnpd 2.3.1 on nftables drops the filter rule of one when it renews the other."""
    lab = make_lab(min_lifetime=1)
    ports = [f"8080/{protocol}" for protocol in order]
    with answering(lab, 8080), lab.running("map", *ports, "--backend", backend, "--lifetime", "10") as command:
        assert [command.event()["protocol"] for _ in order] == list(order)
        found = probe(lab, 8, ("tcp", 8080), ("udp", 8080))
        assert max(one.gap for one in found.values()) <= RENEWING
        assert command.event()["event"] == "renewed"


@pytest.mark.conforms("F18", "F45", "NP-33", "PC-91", "PC-124")
def test_a_taken_external_port_gives_another(make_lab: MakeLab) -> None:
    """F45: another host has it already; each protocol reports the one it got, and that one works.

    With --exact it is refused: miniupnpd ignores PREFER_FAILURE, which is noticed.
    """
    lab = make_lab()
    with lab.second_host(), answering(lab, 8001, 8002, 8003):
        taken = lab.run("map", "8080", "--once", "--json", "--backend", "upnp", host=lab.neighbour)
        assert taken.returncode == 0, taken.stderr
        for port, backend in ((8001, "pcp"), (8002, "natpmp"), (8003, "upnp")):
            with lab.running("map", f"{port}:8080", "--backend", backend) as command:
                external = command.event()["external"]["port"]
                assert external != 8080
                assert lab.reach_tcp(external) == TOKEN
                command.end()
        done = lab.run("map", "8001:8080", "--exact", "--once")
        assert done.returncode == 5
        offered = re.findall(r"external port 8080 is not to be had; the gateway offered (\d+)", done.stderr)
        assert len(offered) == 2  # PCP and NAT-PMP
        assert "718 ConflictInMappingEntry" in done.stderr
        assert lab.reach_tcp(int(offered[0]), timeout=0.5) is None  # released


def test_a_router_that_answers_with_rubbish_never_shows_a_traceback(make_lab: MakeLab) -> None:
    """Something on the router's ports sends empty, short and random datagrams, and HTML instead of XML."""
    lab = make_lab()
    lab.stop_daemon()
    with lab.rubbish():
        done = lab.run("map", "8080", "--json")
    assert done.returncode == 4
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("portmapper: no port mapping service answered")
    assert json.loads(done.stdout)["reasons"].keys() == {"pcp", "natpmp", "upnp"}


def timed(lab: Lab, *arguments: str) -> tuple[float, subprocess.CompletedProcess[str]]:
    """Run the command; return how long it took too."""
    begin = time.monotonic()
    done = lab.run(*arguments)
    return time.monotonic() - begin, done


@pytest.mark.parametrize("silent", [False, True])
def test_no_port_mapping_service_is_said_within_3_s(make_lab: MakeLab, silent: bool) -> None:
    """Refused by ICMP, or dropped without a word."""
    lab = make_lab()
    lab.stop_daemon()
    if silent:
        lab.firewall("table inet mute {\nchain i {\ntype filter hook input priority -10;\ndrop\n}\n}")
    start = min(timed(lab, "map", "--help")[0] for _ in range(2))  # 0.3 s, on a busy machine more
    took, done = min((timed(lab, "map", "8080") for _ in range(1 if start < 0.4 else 3)), key=lambda one: one[0])
    assert took < 2.7 + start
    assert done.returncode == 4
    assert [line.split(":")[0] for line in done.stderr.splitlines()[1:]] == ["  pcp", "  natpmp", "  upnp"]


def test_no_default_route_is_exit_3(make_lab: MakeLab) -> None:
    lab = make_lab()
    lab.remove_default_route()
    done = lab.run("map", "8080")
    assert done.returncode == 3
    assert "--gateway" in done.stderr
    assert done.stderr.count("\n") == 1
