"""Which gateways are found in real route tables, made with `ip route` in a network namespace."""

import itertools
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.router.conftest import MakeLab
from tests.router.namespaces import PREFIX, call, in_namespace, inside

_counter = itertools.count()
Found = list[tuple[str | None, str, bool]]


class Host:
    """A host with two links, in a namespace of its own."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace

    def ip(self, *arguments: str) -> None:
        call("ip", "-n", self.namespace, *arguments)

    def link(self, name: str, address: str) -> None:
        """Add a link with a carrier: the other end of the cable is here too."""
        self.ip("link", "add", name, "type", "veth", "peer", "name", f"{name}.peer")
        self.ip("addr", "add", address, "dev", name)
        for end in (name, f"{name}.peer"):
            self.ip("link", "set", end, "up")

    def run(self, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        command = [*inside(self.namespace), sys.executable, "-W", "error", "-m", "portmapper", *arguments]
        return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment}, timeout=20)

    def found(self) -> Found:
        """Return address, interface and usability of each candidate, best first."""
        objects = [json.loads(line) for line in self.run("gateway", "--json").stdout.splitlines()]
        return [(one["address"], one["interface"], one["usable"]) for one in objects if one["event"] == "gateway"]

    def netifaces(self) -> list[tuple[str, str]]:
        """Return gateway and interface of the usable candidates by netifaces."""
        from portmapper.gateway import interfaces
        from portmapper.gateway.tables.ranking import rank

        routes = in_namespace(self.namespace, interfaces.read_routes)
        return [(str(one.gateway), one.interface) for one in rank(routes or []) if one.usable]


@pytest.fixture
def host(router_machine: None) -> Iterator[Host]:
    namespace = f"{PREFIX}{os.getpid()}x9{next(_counter)}g"
    call("ip", "netns", "add", namespace)
    host = Host(namespace)
    try:
        host.ip("link", "set", "lo", "up")
        for name, address in (("eth0", "192.168.1.10/24"), ("wlan0", "192.168.2.10/24")):
            host.link(name, address)
        yield host
    finally:
        subprocess.run(["ip", "netns", "del", namespace], check=False)


def tunnel(host: Host, address: str) -> None:
    host.ip("tuntap", "add", "dev", "tun0", "mode", "tun")
    host.ip("addr", "add", address, "dev", "tun0")
    host.ip("link", "set", "tun0", "up")


def test_a_plain_default(host: Host) -> None:
    host.ip("route", "add", "default", "via", "192.168.1.1")
    assert host.found() == [("192.168.1.1", "eth0", True)]
    assert host.netifaces() == [("192.168.1.1", "eth0")]


@pytest.mark.conforms("F27")
def test_two_defaults_go_by_their_metric(host: Host) -> None:
    host.ip("route", "add", "default", "via", "192.168.2.1", "metric", "600")
    host.ip("route", "add", "default", "via", "192.168.1.1", "metric", "100")
    assert host.found() == [("192.168.1.1", "eth0", True), ("192.168.2.1", "wlan0", True)]
    assert host.netifaces()[0] == ("192.168.1.1", "eth0")
    assert [line.split()[0] for line in host.run("gateway", "--interface", "wlan0").stdout.splitlines()] == [
        "192.168.2.1"
    ]


def test_the_first_of_a_multipath_route_is_found(host: Host) -> None:
    """The kernel's text shows no more of it."""
    hops = ("nexthop", "via", "192.168.1.1", "weight", "1", "nexthop", "via", "192.168.2.1", "weight", "1")
    host.ip("route", "add", "default", *hops)
    assert host.found() == [("192.168.1.1", "eth0", True)]


def test_a_tunnel_has_no_gateway_and_is_named(host: Host) -> None:
    tunnel(host, "10.2.0.2/32")
    host.ip("route", "add", "default", "dev", "tun0")
    done = host.run("gateway")
    assert done.returncode == 3
    assert "only tun0, a tunnel" in done.stderr
    shown = json.loads(host.run("gateway", "--gateway", "10.2.0.1", "--json").stdout)
    assert (shown["source"], shown["interface"], shown["tunnel"]) == ("10.2.0.2", "tun0", True)


def test_the_halves_of_a_vpn_do_not_hide_the_gateway_of_the_lan(host: Host) -> None:
    host.ip("route", "add", "default", "via", "192.168.1.1")
    tunnel(host, "10.8.0.2/24")
    host.ip("route", "add", "0.0.0.0/1", "via", "10.8.0.1")
    host.ip("route", "add", "128.0.0.0/1", "via", "10.8.0.1")
    assert host.found() == [("192.168.1.1", "eth0", True), ("10.8.0.1", "tun0", True)]


def test_a_default_of_another_table_is_none_of_ours(host: Host) -> None:
    host.ip("route", "add", "default", "via", "192.168.2.1", "table", "100")
    host.ip("rule", "add", "from", "192.168.2.10", "table", "100")
    host.ip("route", "add", "default", "via", "192.168.1.1")
    assert host.found() == [("192.168.1.1", "eth0", True)]


def test_a_bridge_of_containers_comes_last(host: Host) -> None:
    host.link("docker0", "172.17.0.1/16")
    host.ip("route", "add", "default", "via", "172.17.0.2", "metric", "1")
    host.ip("route", "add", "default", "via", "192.168.1.1", "metric", "100")
    assert host.found() == [("192.168.1.1", "eth0", True), ("172.17.0.2", "docker0", True)]
    assert host.netifaces()[0] == ("192.168.1.1", "eth0")


def test_a_link_local_gateway_has_its_zone(host: Host) -> None:
    host.ip("addr", "add", "2001:db8::10/64", "dev", "eth0", "nodad")
    host.ip("-6", "route", "add", "default", "via", "fe80::1", "dev", "eth0")
    assert host.found() == [("fe80::1%eth0", "eth0", True)]
    assert host.netifaces() == [("fe80::1%eth0", "eth0")]


def sources(host: Host, *arguments: str) -> list[tuple[str, str]]:
    """Return interface and source of each gateway, best first."""
    lines = host.run("gateway", "--json", *arguments).stdout.splitlines()
    return [(one["interface"], one["source"]) for one in map(json.loads, lines) if one["event"] == "gateway"]


def test_two_links_to_one_network_have_an_address_each(host: Host) -> None:
    """As a WLAN beside the cable."""
    host.ip("addr", "add", "192.168.1.20/24", "dev", "wlan0")
    host.ip("route", "add", "default", "via", "192.168.1.1", "dev", "eth0", "metric", "100")
    host.ip("route", "add", "default", "via", "192.168.1.1", "dev", "wlan0", "metric", "600")
    assert sources(host) == [("eth0", "192.168.1.10"), ("wlan0", "192.168.1.20")]
    assert sources(host, "--interface", "wlan0") == [("wlan0", "192.168.1.20")]
    assert sources(host, "--interface", "wlan0", "--gateway", "192.168.1.1") == [("wlan0", "192.168.1.20")]


def test_two_links_have_an_ipv6_address_each(host: Host) -> None:
    for number, name in enumerate(("eth0", "wlan0"), 1):
        for address in (f"2001:db8:{number}::10/64", f"fe80::{number}0/64"):
            host.ip("addr", "add", address, "dev", name, "nodad")
        host.ip("-6", "route", "add", "default", "via", "fe80::1", "dev", name, "metric", f"{number}00")
    both = [("eth0", "2001:db8:1::10"), ("wlan0", "2001:db8:2::10")]
    assert sources(host) == both
    for name, source in both:
        assert sources(host, "--interface", name) == [(name, source)]
        assert sources(host, "--interface", name, "--gateway", f"fe80::1%{name}") == [(name, source)]
        assert sources(host, "--gateway", f"fe80::1%{name}") == [(name, source)]


@pytest.mark.parametrize("interface", ["wlan0", "nope"])
def test_a_gateway_that_is_not_there_through_the_interface_that_was_named_is_none(host: Host, interface: str) -> None:
    done = host.run("gateway", "--gateway", "192.168.1.1", "--interface", interface)
    assert done.returncode == 3
    assert f"no route leads to the gateway 192.168.1.1 through {interface}" in done.stderr


def test_the_interface_of_a_link_local_gateway_is_that_of_its_zone(host: Host) -> None:
    for name in ("eth0", "wlan0"):
        host.ip("addr", "add", "fe80::20/64", "dev", name, "nodad")
    number = in_namespace(host.namespace, lambda: socket.if_nametoindex("wlan0"))
    for zone in ("wlan0", str(number)):
        assert [name for name, _ in sources(host, "--gateway", f"fe80::1%{zone}")] == ["wlan0"]


def test_no_default_is_said(host: Host) -> None:
    done = host.run("gateway")
    assert done.returncode == 3
    assert "no default route" in done.stderr


def test_what_leads_nowhere_is_no_gateway(host: Host) -> None:
    host.ip("route", "add", "unreachable", "default", "metric", "1")
    host.ip("route", "add", "blackhole", "192.168.3.0/24")
    host.ip("route", "add", "default", "via", "192.168.1.1", "metric", "5")
    assert [one for one in host.found() if one[2]] == [("192.168.1.1", "eth0", True)]


# An audit hook notes what is done; trio, where it is installed, runs a program when it is imported.
WATCHING = """
import sys
sys.modules["trio"] = None
seen = []
WATCHED = {"subprocess.Popen", "os.exec", "os.posix_spawn", "os.fork", "os.system", "socket.getaddrinfo",
           "socket.gethostbyname", "socket.gethostbyaddr"}
sys.addaudithook(lambda event, _: seen.append(event) if event in WATCHED else None)
import socket, anyio, portmapper
plain = socket.socket
class Watched(plain):
    def listen(self, *arguments):
        seen.append("listen")
socket.socket = Watched
"""


def test_no_program_is_run_and_no_name_is_looked_up_and_nothing_listens(host: Host, tmp_path: Path) -> None:
    """S48: traps with the names of helper programs come first in PATH."""
    host.ip("route", "add", "default", "via", "192.168.1.1")
    for name in ("netstat", "ip", "route", "ifconfig"):
        trap = tmp_path / name
        trap.write_text(f"#!/bin/sh\ntouch {tmp_path}/{name}.ran\n")
        trap.chmod(0o755)
    watched = f"""{WATCHING}
async def main():
    async with portmapper.PortMapper() as mapper:
        print(mapper.gateway)
        await anyio.sleep(0.5)
anyio.run(main)
print(seen)
"""
    enter = [shutil.which("ip") or "ip", *inside(host.namespace)[1:]]
    command = [*enter, sys.executable, "-c", watched]
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=20)
    assert done.stdout.split("\n")[:2] == ["192.168.1.1", "[]"], done.stderr
    assert not list(tmp_path.glob("*.ran"))


@pytest.mark.parametrize("backend", ["pcp", "natpmp", "upnp"])
def test_nor_where_a_port_is_opened(make_lab: MakeLab, backend: str) -> None:
    lab = make_lab()
    watched = f"""{WATCHING}
async def main():
    async with portmapper.open_mapping(8080, backends=["{backend}"]) as mapping:
        print(mapping.backend.name)
anyio.run(main)
print(seen)
"""
    done = subprocess.run([*inside(lab.lan), sys.executable, "-c", watched], capture_output=True, text=True, timeout=20)
    assert done.stdout.split("\n")[:2] == [backend, "[]"], done.stderr


@pytest.mark.parametrize(
    ("routes", "right", "told"),
    [
        (
            ["default nexthop via 192.168.1.1 nexthop via 192.168.2.1"],
            ["192.168.1.1"],
            [],
        ),
        (
            ["default via 192.168.2.1 table 100", "default via 192.168.1.1"],
            ["192.168.1.1"],
            ["192.168.1.1", "192.168.2.1"],
        ),
        (
            ["default via 192.168.1.1", "0.0.0.0/1 via 192.168.2.1", "128.0.0.0/1 via 192.168.2.1"],
            ["192.168.1.1", "192.168.2.1"],
            ["192.168.2.1", "192.168.1.1"],
        ),
    ],
    ids=["several next hops", "another table", "two halves"],
)
def test_where_netifaces_tells_otherwise_procfs_is_right(
    host: Host, routes: list[str], right: list[str], told: list[str]
) -> None:
    """It leaves a multipath route out, mixes the tables, and takes a half for the default route."""
    for route in routes:
        host.ip("route", "add", *route.split())
    assert [address for address, _, usable in host.found() if usable] == right
    assert [address for address, _ in host.netifaces()] == told
