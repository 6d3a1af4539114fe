"""Where routes are read from: procfs, the library netifaces, and the system's programs as the last resort."""

import os
import socket
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from portmapper import limits
from portmapper.errors import InvalidRequest, NoGateway
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


def test_what_the_library_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a Mac with a Wi-Fi beside the cable."""
    told = SimpleNamespace(
        gateways=lambda: {
            socket.AF_INET: [("192.0.2.1", "en1", False), ("198.51.100.1", "en0", True), ("nonsense", "en2", False)],
            socket.AF_INET6: [("fe80::1%en0", "en0", True)],
            "default": {},
        },
        interfaces=lambda: ["en0", "en1"],
        ifaddresses=lambda name: {
            "en0": {
                socket.AF_INET: [{"addr": "198.51.100.10", "netmask": "255.255.255.0"}],
                socket.AF_INET6: [{"addr": "fe80::10%en0", "netmask": "ffff:ffff:ffff:ffff::/64"}],
            },
            "en1": {socket.AF_INET: [{"addr": "192.0.2.10"}]},
        }[name],
    )
    monkeypatch.setitem(sys.modules, "netifaces", told)
    found = rank(interfaces.read_routes() or [])
    assert [(str(one.gateway), one.interface) for one in found] == [
        ("198.51.100.1", "en0"),
        ("192.0.2.1", "en1"),
        ("fe80::1%en0", "en0"),
    ]
    assert str(found[0].network) == "198.51.100.0/24"


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
