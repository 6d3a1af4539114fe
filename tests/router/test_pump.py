"""The pump does to frames what it says, and nothing else; and what a late or doubled answer does to the library."""

import os
import random
import socket
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.faults.pump import Counts, Fate, Impairment, pump
from tests.router.conftest import MakeLab
from tests.router.lab import EXTERNAL, GATEWAY, GATEWAY_6, LAN_ADDRESS, LAN_ADDRESS_6, TOKEN, Lab, answering
from tests.router.namespaces import add_address, call, output

LONG = "PORTMAPPER_SOAK" in os.environ
UDP = bytes(12) + b"\x08\x00" + bytes(30)
ARP = bytes(12) + b"\x08\x06" + bytes(30)
NEIGHBOUR_DISCOVERY = bytes(12) + b"\x86\xdd" + bytes(6) + b"\x3a" + bytes(30)


def fates(impairment: Impairment, count: int = 10_000) -> tuple[list[list[float]], Counts]:
    fate = Fate(impairment)
    return [fate.delays(UDP) for _ in range(count)], fate.counts


def test_without_impairment_each_frame_passes_once_and_at_once() -> None:
    assert fates(Impairment())[0] == [[0.0]] * 10_000


def test_the_seed_decides() -> None:
    hard = {"loss": 0.3, "delay": 0.05, "jitter": 0.01, "duplicate": 0.05, "reorder": 0.25}
    assert fates(Impairment(seed=7, **hard)) == fates(Impairment(seed=7, **hard))
    assert fates(Impairment(seed=7, **hard)) != fates(Impairment(seed=8, **hard))


def test_as_many_are_lost_doubled_and_reordered_as_asked() -> None:
    found, counts = fates(Impairment(loss=0.3, delay=0.05, jitter=0.01, duplicate=0.1, reorder=0.25))
    assert counts.lost == sum(not delays for delays in found) == pytest.approx(3000, abs=200)
    assert counts.doubled == sum(len(delays) == 2 for delays in found) == pytest.approx(700, abs=100)
    assert counts.reordered == sum(delays.count(0.0) for delays in found) == pytest.approx(7700 * 0.25, abs=200)
    late = [delay for delays in found for delay in delays if delay]
    assert 0.04 <= min(late) < max(late) <= 0.06


@pytest.mark.parametrize("frame", [ARP, NEIGHBOUR_DISCOVERY], ids=["ARP", "neighbour discovery"])
def test_finding_neighbours_is_left_alone(frame: bytes) -> None:
    fate = Fate(Impairment(loss=1.0, delay=9))
    assert fate.delays(frame) == [0.0]
    assert fate.counts.seen == 0


@contextmanager
def pumped(lab: Lab, impairment: Impairment) -> Iterator[Counts]:
    """Put the pump between the LAN host and the router in place of their cable."""
    call("ip", "-n", lab.lan, "link", "del", "eth0")
    with pump((lab.lan, "eth0"), (lab.router, "lan0"), impairment) as counts:
        for address, address_6, device in ((LAN_ADDRESS, LAN_ADDRESS_6, "eth0"), (GATEWAY, GATEWAY_6, "lan0")):
            namespace = lab.lan if device == "eth0" else lab.router
            add_address(namespace, device, address)
            add_address(namespace, device, address_6)
        call("ip", "-n", lab.lan, "route", "replace", "default", "via", GATEWAY)
        lab.stop_daemon()
        lab.start_daemon()
        yield counts


def echoes(lab: Lab, count: int) -> list[float]:
    """Return the seconds in which each datagram came back from the WAN host; infinity if it did not."""
    seconds = []
    with answering(lab, 8080), lab.socket(lab.wan, socket.SOCK_DGRAM) as sock:
        sock.settimeout(1.0)
        for _ in range(count):
            begin = time.monotonic()
            sock.sendto(b"hello", (EXTERNAL, 8080))
            try:
                sock.recv(100)
                seconds.append(time.monotonic() - begin)
            except TimeoutError:
                seconds.append(float("inf"))
    return seconds


def test_packets_take_as_long_as_they_are_delayed_each_way(make_lab: MakeLab) -> None:
    lab = make_lab()
    with pumped(lab, Impairment(delay=0.05, jitter=0.01)) as counts, lab.running("map", "8080/udp") as command:
        command.event()
        assert statistics.median(echoes(lab, 20)) == pytest.approx(0.1, abs=0.04)
        command.end()
    assert counts.seen >= 40
    assert counts.lost == counts.doubled == 0


@pytest.mark.conforms("F22")
@pytest.mark.parametrize("backend", ["pcp", "natpmp"] if LONG else ["natpmp"])
def test_doubled_and_reordered_answers_change_nothing_f22(make_lab: MakeLab, backend: str) -> None:
    lab = make_lab(min_lifetime=1)
    hard = Impairment(seed=random.randrange(2**32), delay=0.05, jitter=0.02, duplicate=0.3, reorder=0.5)
    print(hard)
    ports = [f"{port}/udp" for port in range(8080, 8084)]
    with pumped(lab, hard) as counts, lab.running("map", *ports, "--backend", backend, "--lifetime", "6") as command:
        found = [command.event() for _ in range(8)]
        assert [one["event"] for one in found] == ["mapped"] * 4 + ["renewed"] * 4
        assert all(one["external"]["port"] == one["internal"]["port"] for one in found)
        command.end()
    assert counts.doubled > 0


@pytest.mark.conforms("F21")
@pytest.mark.parametrize("backend", ["pcp", "natpmp", "upnp"] if LONG else ["pcp"])
def test_answers_that_come_after_3_s_never_make_a_second_mapping_f21(make_lab: MakeLab, backend: str) -> None:
    """Too late for the search: nothing is found, and nothing is left."""
    lab = make_lab()
    with pumped(lab, Impairment(delay=1.5)):
        done = lab.run("map", "8080:9000", "--once", "--backend", backend)
        assert done.returncode == 4
        time.sleep(3.5)
        with answering(lab, 8080):
            assert lab.reach_tcp(9000, timeout=4) != TOKEN
    rules = output("ip", "netns", "exec", lab.router, "nft", "list", "chain", "inet", "filter", "miniupnpd")
    assert "accept" not in rules
