"""Where routes are read from: procfs, the library netifaces, and the system's programs as the last resort."""

import os
import socket
import sys
import threading
import time
from ipaddress import IPv4Address
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest

from portmapper import limits
from portmapper.errors import GatewayUnreachable, InvalidRequest, NoGateway
from portmapper.gateway import detect, interfaces, procfs, programs
from portmapper.gateway.programs import Program
from portmapper.gateway.tables.linux import parse_proc_net_route
from portmapper.gateway.tables.netstat import parse_netstat
from portmapper.gateway.tables.ranking import rank
from portmapper.gateway.tables.route import Route

NETSTAT = """Routing tables

Internet:
Destination        Gateway            Flags               Netif Expire
default            192.0.2.1          UGScg                 en0
192.0.2/24         link#4             UCS                   en0      !
"""


def script(folder: Path, text: str) -> str:
    path = folder / "netstat"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def routes(*commands: tuple[str, ...]) -> list[Route]:
    return programs.read_routes([Program(command, parse_netstat) for command in commands])


def test_the_first_program_that_prints_routes_is_believed(tmp_path: Path) -> None:
    program = script(tmp_path, f"cat <<'END'\n{NETSTAT}\nEND")
    found = rank(routes(("/nowhere/netstat", "-rn"), (program, "-rn")))
    assert [(str(one.gateway), one.interface, one.usable) for one in found] == [("192.0.2.1", "en0", True)]


@pytest.mark.parametrize("command", [("netstat",), ("./netstat",), ("bin/netstat",), ("/",), ("/etc/passwd",)])
def test_only_what_an_absolute_path_names_is_run(
    command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S48."""
    script(tmp_path, f"touch {tmp_path}/ran")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert routes(command) == []
    assert not (tmp_path / "ran").exists()


def test_the_environment_of_a_program_is_clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_PRELOAD_X", "evil")
    monkeypatch.setenv("LANG", "de_DE.UTF-8")
    routes((script(tmp_path, f"/usr/bin/env > {tmp_path}/environment"),))
    names = {line.partition("=")[0] for line in (tmp_path / "environment").read_text().splitlines()}
    assert names <= {"LC_ALL", "PATH", "PWD", "SHLVL", "_"}


def test_a_program_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PROGRAM", 0.3)
    begin = time.monotonic()
    assert routes((script(tmp_path, "exec sleep 60"),)) == []
    assert time.monotonic() - begin < 3


def test_of_a_program_that_never_ends_no_more_is_read_than_any_table_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S48: it would fill the memory for as long as it is given."""
    monkeypatch.setattr(limits, "PROGRAM", 60)
    begin = time.monotonic()
    found = routes((script(tmp_path, f"cat <<'END'\n{NETSTAT}\nEND\nexec yes"),))
    assert [str(one.gateway) for one in rank(found)] == ["192.0.2.1"]
    assert time.monotonic() - begin < 30


def test_a_child_of_a_program_that_keeps_its_pipe_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PROGRAM", 0.2)
    begin = time.monotonic()
    assert routes((script(tmp_path, "sleep 2 & wait"),)) == []
    assert time.monotonic() - begin < 1.5
    for thread in threading.enumerate():
        if thread is not threading.current_thread():
            thread.join(5)


def test_windows_is_told_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "_system_folder", lambda: r"C:\Windows\system32")
    routes((script(tmp_path, f"/usr/bin/env > {tmp_path}/environment"),))
    assert r"SystemRoot=C:\Windows" in (tmp_path / "environment").read_text().splitlines()


@pytest.mark.parametrize(
    ("platform", "commands"),
    [
        ("android", ["/system/bin/ip"]),
        ("linux", ["/sbin/ip", "/system/bin/ip"]),
        ("darwin", ["/usr/sbin/netstat", "/usr/bin/netstat"]),
        ("freebsd14", ["/usr/bin/netstat"]),
        ("openbsd7", ["/usr/sbin/netstat", "/usr/bin/netstat"]),
        ("win32", ["{system}\\route.exe"]),
    ],
)
def test_each_system_has_its_programs(platform: str, commands: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Python calls Android so from 3.13 on (PEP 738)."""
    output = Mock(return_value="")
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(programs, "_output", output)
    assert programs.read_routes() == []
    assert [command[0] for ((command,), _) in output.call_args_list] == commands


@pytest.mark.skipif(sys.platform != "linux", reason="procfs")
def test_procfs_shows_what_its_parser_reads() -> None:
    text = Path("/proc/self/net/route").read_text(encoding="ascii")
    assert [one for one in procfs.read_routes() or [] if one.network.version == 4] == parse_proc_net_route(text)


def test_where_procfs_is_hidden_nothing_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(procfs, "_FOLDER", "/nowhere")
    assert procfs.read_routes() is None


@pytest.mark.skipif(sys.platform != "linux", reason="procfs")
@pytest.mark.parametrize("hidden", [False, True])
def test_a_host_without_routes_runs_no_program_for_that(
    hidden: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not hidden:
        (tmp_path / "route").write_text("Iface\tDestination\tGateway\tFlags\n")
    run = Mock(return_value=[])
    monkeypatch.setattr(procfs, "_FOLDER", str(tmp_path))
    monkeypatch.setattr(programs, "read_routes", run)
    assert detect.survey() == ()
    assert run.called is hidden


def test_without_the_library_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "netifaces", None)
    assert interfaces.read_routes() is None


Rows = dict[int, list[dict[str, str]]]
ON_LINK: dict[str, Rows] = {
    "en0": {
        socket.AF_INET: [{"addr": "198.51.100.10", "netmask": "255.255.255.0"}],
        socket.AF_INET6: [{"addr": "fe80::10%en0", "netmask": "ffff:ffff:ffff:ffff::/64"}],
    },
    "en1": {socket.AF_INET: [{"addr": "192.0.2.10"}]},
}


def tell(
    monkeypatch: pytest.MonkeyPatch, gateways: dict[Any, Any], links: dict[str, Rows | OSError | ValueError]
) -> None:
    """Have netifaces tell this, and the system that there is no way out."""

    def addresses(name: str) -> Rows:
        found = links[name]
        if isinstance(found, Exception):
            raise found
        return found

    told = SimpleNamespace(gateways=lambda: gateways, interfaces=lambda: list(links), ifaddresses=addresses)
    monkeypatch.setitem(sys.modules, "netifaces", told)
    monkeypatch.setattr(interfaces, "source_towards", Mock(side_effect=GatewayUnreachable("no route")))


def told_candidates() -> list[tuple[str, str, bool]]:
    return [(str(one.gateway), one.interface, one.usable) for one in rank(interfaces.read_routes() or [])]


def test_what_the_library_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a Mac with a Wi-Fi beside the cable."""
    gateways = {
        socket.AF_INET: [("192.0.2.1", "en1", False), ("198.51.100.1", "en0", True), ("nonsense", "en2", False)],
        socket.AF_INET6: [("fe80::1%en0", "en0", True)],
        "default": {},
    }
    tell(monkeypatch, gateways, {**ON_LINK})
    assert told_candidates() == [
        ("198.51.100.1", "en0", True),
        ("192.0.2.1", "en1", True),
        ("fe80::1%en0", "en0", True),
    ]
    found = rank(interfaces.read_routes() or [])
    assert str(found[0].network) == "198.51.100.0/24"
    assert {one.reasons for one in found} == {("default route",)}


def test_the_idle_tunnels_of_a_mac_and_a_gateway_of_zeros_are_no_routers(monkeypatch: pytest.MonkeyPatch) -> None:
    gateways = {
        socket.AF_INET: [("0.0.0.0", "utun4", False), ("198.51.100.1", "en0", True)],
        socket.AF_INET6: [("fe80::%utun0", "utun0", True), ("fe80::%utun1", "utun1", False)],
    }
    tell(monkeypatch, gateways, {**ON_LINK})
    assert told_candidates()[0] == ("198.51.100.1", "en0", True)
    assert {one[::2] for one in told_candidates()[1:]} == {("None", False)}


@pytest.mark.parametrize("problem", [ValueError("You must specify a valid interface name."), OSError(6, "ENXIO")])
def test_an_interface_that_goes_away_meanwhile_is_left_out(
    problem: OSError | ValueError, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The look is taken just when the network changes."""
    tell(monkeypatch, {socket.AF_INET: [("198.51.100.1", "en0", True)]}, {"en7": problem, **ON_LINK})
    assert told_candidates() == [("198.51.100.1", "en0", True)]


def test_a_library_that_cannot_tell_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    told = SimpleNamespace(gateways=Mock(side_effect=OSError(12, "ENOMEM")))
    monkeypatch.setitem(sys.modules, "netifaces", told)
    assert interfaces.read_routes() is None


CABLE, WIFI = "{4D36E972-E325-11CE-BFC1-08002BE10318}", "{6BDD1FC6-810F-11D0-BEC7-08002BE2092F}"
ON_WINDOWS: dict[str, Rows | OSError | ValueError] = {
    CABLE: {socket.AF_INET: [{"addr": "198.51.100.10", "netmask": "255.255.255.0"}]},
    WIFI: {
        socket.AF_INET: [{"addr": "192.0.2.10", "netmask": "255.255.255.0"}],
        socket.AF_INET6: [{"addr": "fe80::10%12", "netmask": "ffff:ffff:ffff:ffff::/64"}],
    },
}


def test_windows_numbers_its_zones(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its names of interfaces are none that a zone could have."""
    gateways = {socket.AF_INET6: [("fe80::1%12", WIFI, True), ("fe80::2", WIFI, False)]}
    tell(monkeypatch, gateways, ON_WINDOWS)
    assert told_candidates() == [("fe80::1%12", WIFI, True)]
    assert [str(one.source) for one in interfaces.read_routes() or [] if one.gateway is None][-1] == "fe80::10%12"


def test_where_several_are_marked_the_default_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """On Windows the library marks each that is better than the one before."""
    gateways = {
        socket.AF_INET: [("198.51.100.1", CABLE, True), ("192.0.2.1", WIFI, True)],
        "default": {socket.AF_INET: ("192.0.2.1", WIFI)},
    }
    tell(monkeypatch, gateways, ON_WINDOWS)
    assert [one[0] for one in told_candidates()] == ["192.0.2.1", "198.51.100.1"]


def test_before_that_comes_the_one_that_the_system_would_use(monkeypatch: pytest.MonkeyPatch) -> None:
    """There the library does not see the metrics of interfaces."""
    gateways = {
        socket.AF_INET: [("198.51.100.1", CABLE, True), ("192.0.2.1", WIFI, False)],
        "default": {socket.AF_INET: ("198.51.100.1", CABLE)},
    }
    tell(monkeypatch, gateways, ON_WINDOWS)
    monkeypatch.setattr(interfaces, "source_towards", Mock(return_value=IPv4Address("192.0.2.10")))
    assert [one[0] for one in told_candidates()] == ["192.0.2.1", "198.51.100.1"]


def test_no_route_at_all_is_no_gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detect, "_read_routes", list)
    with pytest.raises(NoGateway, match="no default route to a gateway; name the router's address"):
        detect.gateways()
    with pytest.raises(NoGateway, match="through eth7"):
        detect.gateways("eth7")


@pytest.mark.parametrize("text", ["-rf", "eth0;id", "x" * 300, "", "0.0.0.0", "224.0.0.1", "127.1"])
def test_a_gateway_that_is_no_address_of_a_host_is_refused_s49(text: str) -> None:
    with pytest.raises(InvalidRequest):
        detect.gateway_at(text)


@pytest.mark.parametrize("name", ["-rf", "eth0;id", "x" * 300, "", "\x1b]0;x\x07"])
def test_an_interface_that_is_none_has_no_gateway_and_is_shown_escaped_s49(name: str) -> None:
    with pytest.raises(NoGateway) as caught:
        detect.gateways(name)
    assert str(caught.value).isprintable()
