"""One command opens a port on a router this project did not write, keeps it open and closes it on the way out."""

import json
import signal
import threading
import time

import pytest

from tests.router.conftest import MakeLab
from tests.router.lab import EXTERNAL, GATEWAY, LAN_ADDRESS, TOKEN, Lab, answering

PROTOCOLS = ("tcp", "udp")


def open_and_close(lab: Lab, backend: str, *options: str) -> None:
    """Map TCP and UDP 8080, reach both from the WAN host, end the command, and reach neither any more."""
    with answering(lab, 8080), lab.running("map", "8080/tcp", "8080/udp", *options) as command:
        for protocol in PROTOCOLS:
            mapped = command.event()
            assert mapped["event"] == "mapped"
            assert mapped["protocol"] == protocol
            assert mapped["internal"] == {"address": LAN_ADDRESS, "port": 8080}
            assert mapped["external"] == {"address": EXTERNAL, "port": 8080}
            assert mapped["lifetime"] == 7200
            assert mapped["backend"] == backend
            assert mapped["gateway"] == GATEWAY
            assert mapped["reachability"] == "public"
        assert lab.reach_tcp(8080) == TOKEN
        assert lab.reach_udp(8080) == TOKEN
        assert command.end() == 128 + signal.SIGTERM
        assert [command.event()["released"] for _ in PROTOCOLS] == [True, True]
        assert lab.reach_tcp(8080, timeout=0.5) is None
        assert lab.reach_udp(8080, timeout=0.5) is None


def test_nothing_is_reachable_before(make_lab: MakeLab) -> None:
    """The control: without the command the WAN host reaches nothing, so the other tests prove something."""
    lab = make_lab()
    with answering(lab, 8080):
        assert lab.reach_tcp(8080, timeout=0.5) is None
        assert lab.reach_udp(8080, timeout=0.5) is None


@pytest.mark.parametrize("backend", ["pcp", "natpmp", "upnp"])
def test_each_protocol_by_choice(make_lab: MakeLab, backend: str) -> None:
    open_and_close(make_lab(), backend, "--backend", backend)


def test_without_a_choice_pcp_is_first(make_lab: MakeLab) -> None:
    open_and_close(make_lab(), "pcp")


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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_each_signal_releases(make_lab: MakeLab, number: signal.Signals) -> None:
    lab = make_lab()
    with answering(lab, 8080), lab.running("map", "8080") as command:
        command.event()
        assert lab.reach_tcp(8080) == TOKEN
        assert command.end(number) == 128 + number
        assert lab.reach_tcp(8080, timeout=0.5) is None


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


@pytest.mark.parametrize("backend", ["pcp", "natpmp", "upnp"])
def test_address(make_lab: MakeLab, backend: str) -> None:
    done = make_lab().run("address", "--backend", backend)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{EXTERNAL}\n", "")


def test_gateway(make_lab: MakeLab) -> None:
    done = make_lab().run("gateway", "--json")
    assert json.loads(done.stdout) == {
        "event": "gateway", "address": GATEWAY, "source": LAN_ADDRESS, "interface": "eth0"
    }  # fmt: skip


def test_refused_port_is_exit_5_with_every_reason(make_lab: MakeLab) -> None:
    """The router allows ports from 1024 on only."""
    done = make_lab().run("map", "80", "--once")
    assert done.returncode == 5
    assert "NOT_AUTHORIZED" in done.stderr
    assert "606 ActionNotAuthorized" in done.stderr
    assert all(f"{name}: " in done.stderr for name in ("pcp", "natpmp", "upnp"))


def test_short_leases_stay_reachable_without_a_gap(make_lab: MakeLab) -> None:
    """Leases of 10 s by each protocol, probed from the WAN host every 200 ms for 40 s."""
    lab = make_lab(min_lifetime=1)
    ports = {"pcp": 8001, "natpmp": 8002, "upnp": 8003}
    misses: dict[str, list[float]] = {backend: [] for backend in ports}
    probes: dict[str, int] = dict.fromkeys(ports, 0)

    def probe(backend: str, begin: float) -> None:
        while (now := time.monotonic() - begin) < 40:
            if lab.reach_tcp(ports[backend]) != TOKEN or lab.reach_udp(ports[backend]) != TOKEN:
                misses[backend].append(round(now, 1))
            probes[backend] += 1
            time.sleep(max(0.0, 0.2 - (time.monotonic() - begin - now)))

    def arguments(backend: str) -> list[str]:
        return ["map", f"{ports[backend]}/tcp", f"{ports[backend]}/udp", "--backend", backend, "--lifetime", "10"]

    with (
        answering(lab, *ports.values()),
        lab.running(*arguments("pcp")) as pcp,
        lab.running(*arguments("natpmp")) as natpmp,
        lab.running(*arguments("upnp")) as upnp,
    ):
        for command in (pcp, natpmp, upnp):
            assert [command.event()["lifetime"] for _ in PROTOCOLS] == [10, 10]
        threads = [threading.Thread(target=probe, args=(backend, time.monotonic())) for backend in ports]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert misses == {backend: [] for backend in ports}
        assert min(probes.values()) > 150
        for command in (pcp, natpmp, upnp):
            assert command.event()["event"] == "renewed"
            assert command.end() == 128 + signal.SIGTERM
