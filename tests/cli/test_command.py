"""The command as a user runs it: a process, its output, its exit code. On simulated gateways or with bad input."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Keep state away from the user's own."""
    return {**os.environ, "PORTMAPPER_STATE": str(tmp_path / "state"), "COLUMNS": "200"}


def run(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-m", "portmapper", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=20, env=environment, stdin=subprocess.DEVNULL
    )


@contextmanager
def mapping(environment: dict[str, str], *arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-W", "error", "-m", "portmapper", "map", "--simulate", *arguments]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def event(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    found: dict[str, Any] = json.loads(process.stdout.readline())
    return found


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["map", "0"], "port must be 1 to 65535, not 0"),
        (["map", "70000"], "port must be 1 to 65535, not 70000"),
        (["map", "8080:70000"], "external port must be 0 to 65535, not 70000"),
        (["map", "8080/scp"], "protocol must be tcp, udp, another name or a number to 255, not 'scp'"),
        (["map", "8080/"], "protocol must be tcp, udp, another name or a number to 255, not ''"),
        (["map", "web"], "'web' is not PORT[:EXTERNAL][/PROTOCOL]"),
        (["map", "8080:"], "'8080:' is not PORT[:EXTERNAL][/PROTOCOL]"),
        (["map", "-1"], "No such option"),
        (["map", "\u0668\u0660"], "is not PORT[:EXTERNAL][/PROTOCOL]"),
        (["map", "8080", "web"], "'web' is not PORT"),
        (
            ["map", "8080", "--backend", "carrier-pigeon"],
            "there is no backend 'carrier-pigeon'; there are pcp, natpmp, upnp",
        ),
        (["map", "8080", "--gateway", "banana"], "gateway must be an IP address, not 'banana'"),
        (["map", "8080", "--gateway", "-rf"], "gateway must be an IP address, not '-rf'"),
        (["map", "8080", "--gateway", "0.0.0.0"], "0.0.0.0 cannot be the address of a gateway"),
        (["map", "8080", "--gateway", "\x1b[2J"], "gateway must be an IP address"),
        (["map", "8080", "--lifetime", "0"], "lifetime must be 1 to 4294967295, not 0"),
        (["map", "8080", "--check", "4"], "check must be at least 5 seconds, or none at all"),
        (["map", "8080", "--lifetime", "long"], "'long' is not a valid integer"),
        pytest.param(
            ["map", "8080", "--exact"],
            "an exact mapping needs the external port",
            marks=pytest.mark.conforms("PC-122"),
        ),
        (["map", "8080", "--remote", "banana"], "'banana' is not ADDRESS[/PREFIX] or [ADDRESS/PREFIX]:PORT"),
        (["map", "8080", "--remote", "198.51.100.7/24"], "is not ADDRESS[/PREFIX]"),
        (["map", "8080", "--third-party", "banana"], "'banana' is no IP address"),
        (["map", "8080/gre"], "gre has no ports that are known: port must be 0"),
        (["map", "all:80"], "a mapping of all ports has no external port"),
        (["map"], "Missing argument"),
        (["unmap"], "Missing argument"),
        (["fly"], "No such command 'fly'"),
    ],
)
def test_bad_input_is_one_clear_line_exit_2_and_nothing_sent(
    environment: dict[str, str], tmp_path: Path, arguments: list[str], says: str
) -> None:
    trace = _forbid_sending(tmp_path)
    done = run({**environment, "PYTHONPATH": str(trace)}, *arguments)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert says in done.stderr
    assert done.stderr.startswith("portmapper: ")
    assert done.stderr.count("\n") == 1
    assert "\x1b" not in done.stderr


def _forbid_sending(folder: Path) -> Path:
    """Make a folder whose sitecustomize ends the process when it sends anything."""
    (folder / "sitecustomize.py").write_text(
        "import os, sys\n"
        "def hook(event, arguments):\n"
        "    if event in ('socket.connect', 'socket.sendto', 'socket.bind'):\n"
        "        os._exit(99)\n"
        "sys.addaudithook(hook)\n"
    )
    return folder


def test_the_check_that_nothing_is_sent_would_notice(environment: dict[str, str], tmp_path: Path) -> None:
    done = run({**environment, "PYTHONPATH": str(_forbid_sending(tmp_path))}, "address", "--simulate")
    assert done.returncode == 99


@pytest.mark.conforms("F42")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_each_signal_ends_with_128_plus_n_after_the_release(
    environment: dict[str, str], number: signal.Signals
) -> None:
    """F42."""
    with mapping(environment, "8080", "9000/udp", "--json") as process:
        assert [event(process)["event"] for _ in range(2)] == ["mapped", "mapped"]
        process.send_signal(number)
        closed = [event(process) for _ in range(2)]
        assert process.wait(5) == 128 + number
        assert [(one["event"], one["released"], one["remaining"]) for one in closed] == [("closed", True, 0)] * 2
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_an_ignored_hangup_stays_ignored(environment: dict[str, str]) -> None:
    """As under nohup."""
    code = (
        "import signal, runpy; signal.signal(signal.SIGHUP, signal.SIG_IGN);"
        "runpy.run_module('portmapper', run_name='__main__')"
    )
    command = [sys.executable, "-c", code, "map", "8080", "--simulate", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        event(process)
        process.send_signal(signal.SIGHUP)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        process.terminate()
        assert process.wait(5) == 128 + signal.SIGTERM


def test_a_reader_that_goes_away_ends_it_cleanly(environment: dict[str, str]) -> None:
    """As in ``portmapper map 8080 | head -1``: no traceback, and the port is released."""
    with mapping(environment, "8080", "--lifetime", "4") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert "is open" in process.stdout.readline()
        process.stdout.close()
        assert process.wait(12) == 128 + signal.SIGTERM
        assert process.stderr.read() == ""


@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_a_program_that_goes_away_ends_it_soon(environment: dict[str, str], kind: str) -> None:
    """Although nothing is to be said for an hour. By a socket, as Node.js does it, one way alone is no end."""
    ours, theirs = socket.socketpair() if kind == "socket" else map(os.fdopen, os.pipe(), "rw")
    command = [sys.executable, "-W", "error", "-m", "portmapper", "map", "8080", "--simulate", "--json"]
    with ExitStack() as stack:
        process = stack.enter_context(
            subprocess.Popen(command, stdout=theirs.fileno(), stderr=subprocess.PIPE, text=True, env=environment)
        )
        stack.callback(process.kill)
        theirs.close()
        with ours:
            if isinstance(ours, socket.socket):
                ours.shutdown(socket.SHUT_WR)
            assert b"mapped" in os.read(ours.fileno(), 4096)
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(1.5)
        assert process.wait(3) == 128 + signal.SIGTERM
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_a_mapped_object_has_the_documented_keys(environment: dict[str, str]) -> None:
    done = run(environment, "map", "8080", "--simulate", "--once", "--json", "--lifetime", "600")
    found = json.loads(done.stdout)
    external = found.pop("external")
    assert found == {
        "event": "mapped",
        "protocol": "tcp",
        "internal": {"address": "127.0.0.1", "port": 8080},
        "remote": [],
        "lifetime": 600,
        "backend": "pcp",
        "gateway": "127.0.0.1",
        "reachability": "unknown",
    }
    assert set(external) == {"address", "port"}


@pytest.mark.parametrize("backend", ["pcp", "natpmp", "upnp"])
def test_the_backend_can_be_chosen(environment: dict[str, str], backend: str) -> None:
    done = run(environment, "map", "8080", "--simulate", "--once", "--json", "--backend", backend)
    assert json.loads(done.stdout)["backend"] == backend


def test_only_certain_peers_may_be_let_in(environment: dict[str, str]) -> None:
    done = run(
        environment, "map", "8080:21241", "--simulate", "--once", "--remote", "127.0.0.2", "--remote", "127.1.0.0/16"
    )
    opened = (
        "127.0.0.1:8080/tcp is open at 127.0.0.1:21241 to 127.0.0.2/32, 127.1.0.0/16 (pcp on 127.0.0.1, for 7200 s)"
    )
    assert done.stdout == f"{opened}\n"


def test_a_protocol_without_ports_is_shown_without(environment: dict[str, str]) -> None:
    done = run(environment, "map", "5000/sctp", "all/132", "--simulate", "--once")
    assert [line.partition(" (")[0] for line in done.stdout.splitlines()] == [
        "127.0.0.1:5000/sctp is open at 127.0.0.1:5000",
        "127.0.0.1/sctp is open at 127.0.0.1",
    ]


def test_what_no_protocol_there_can_do_is_said_for_each(environment: dict[str, str]) -> None:
    done = run(environment, "map", "5000/sctp", "--simulate", "--backend", "natpmp", "--backend", "upnp")
    assert done.returncode == 4
    assert "natpmp: NAT-PMP has no way to ask for other protocols than TCP and UDP\n" in done.stderr
    assert "upnp: UPnP IGD has no way to ask for other protocols than TCP and UDP\n" in done.stderr


def test_a_mapping_for_another_host_is_the_routers_to_allow(environment: dict[str, str]) -> None:
    done = run(environment, "map", "8080", "--simulate", "--backend", "pcp", "--third-party", "127.0.0.2")
    assert done.returncode == 5
    assert "UNSUPP_OPTION" in done.stderr


def test_plain_output_is_a_sentence_and_has_no_escapes_in_a_pipe(environment: dict[str, str]) -> None:
    done = run(environment, "map", "8080:21240/udp", "--simulate", "--once")
    assert done.stdout == "127.0.0.1:8080/udp is open at 127.0.0.1:21240 (pcp on 127.0.0.1, for 7200 s)\n"
    assert done.stderr == ""


@pytest.mark.conforms("PC-101")
def test_gateway_that_was_named(environment: dict[str, str]) -> None:
    done = run(environment, "gateway", "--gateway", "127.0.0.2", "--json")
    assert json.loads(done.stdout) == {
        "event": "gateway", "address": "127.0.0.2", "source": "127.0.0.1", "interface": "lo", "family": 4,
        "tunnel": False, "usable": True, "reasons": ["named by you"],
    }  # fmt: skip


def test_the_gateway_that_is_simulated(environment: dict[str, str]) -> None:
    """Also where the host has no route at all."""
    assert run(environment, "gateway", "--simulate").stdout == "127.0.0.1 through lo, from 127.0.0.1: simulated\n"


@pytest.mark.conforms("NP-76")
def test_nothing_answers_is_exit_4_and_names_every_reason(environment: dict[str, str]) -> None:
    """Nothing listens on 127.0.0.2."""
    done = run(environment, "map", "8080", "--gateway", "127.0.0.2")
    assert done.returncode == 4
    lines = done.stderr.splitlines()
    assert lines[0].startswith("portmapper: no port mapping service answered at the gateway 127.0.0.2")
    assert [line.split(":")[0] for line in lines[1:]] == ["  pcp", "  natpmp", "  upnp"]


def test_errors_are_objects_too(environment: dict[str, str]) -> None:
    done = run(environment, "map", "8080", "--gateway", "127.0.0.2", "--json", "--backend", "pcp")
    found = json.loads(done.stdout)
    assert found["event"] == "error"
    assert found["error"] == "NoService"
    assert list(found["reasons"]) == ["pcp"]


def test_a_damaged_key_is_said_once_and_neither_overwritten_nor_in_the_way(environment: dict[str, str]) -> None:
    folder = Path(environment["PORTMAPPER_STATE"])
    folder.mkdir()
    (folder / "key").write_bytes(b"short")
    (folder / "key").chmod(0o600)
    done = run(environment, "map", "8080", "--gateway", "127.0.0.2")
    assert done.returncode == 4  # nothing listens there: it was asked all the same
    complaint = f"portmapper: going on without keeping state: {folder / 'key'} is damaged; remove it to start afresh"
    assert done.stderr.splitlines()[0] == complaint
    assert done.stderr.count("is damaged") == 1
    assert (folder / "key").read_bytes() == b"short"


def test_help_teaches_by_example(environment: dict[str, str]) -> None:
    done = run(environment, "map", "--help")
    assert done.returncode == 0
    assert "portmapper map 8080:80 5000/udp" in done.stdout
    assert "Exit codes" in run(environment, "--help").stdout


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")
def test_a_terminal_sees_what_is_waited_for(environment: dict[str, str]) -> None:
    """Nobody answers at 127.0.0.2, so discovery takes over two seconds: long enough to wonder."""
    import pty

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mute:
        mute.bind(("127.0.0.2", 5351))
        leader, follower = pty.openpty()
        command = [sys.executable, "-m", "portmapper", "map", "8080", "--gateway", "127.0.0.2"]
        with subprocess.Popen(
            command, stdout=follower, stderr=follower, env={**environment, "TERM": "xterm"}
        ) as process:
            os.close(follower)
            shown = b""
            try:
                while chunk := os.read(leader, 4096):
                    shown += chunk
            except OSError:  # how a pseudo-terminal says that the other side is closed
                pass
            os.close(leader)
            assert process.wait(5) == 4
    assert b"Asking 127.0.0.2 to open 8080/tcp" in shown
