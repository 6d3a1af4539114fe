"""`portmapper doctor` as a user runs it: text, report file, exit codes, and what makes no sense."""

import getpass
import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from portmapper.cli import main
from portmapper.doctor.findings import Network
from tests.cli.inside import Inside, inside, state
from tests.doctor import forks
from tests.doctor.scene import HOST, OUTER, ROUTER, Scene
from tests.router.namespaces import output

__all__ = ["inside", "state"]


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave this machine's own network out of what runs in this process."""
    monkeypatch.setattr("portmapper.doctor.host.network", lambda _: Network())


def test_as_a_process_the_verdict_comes_first_then_what_to_do_then_what_was_seen(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", "-m", "portmapper", "doctor", "--simulate", "--backend", "natpmp"]
    environment = {**os.environ, "PORTMAPPER_STATE": str(tmp_path / "state")}
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("All is well: the router at 127.0.0.1 answers by natpmp")
    assert lines.index("What to do") < lines.index("What was seen")
    assert max(map(len, lines)) <= 100


def test_what_is_wrong_ends_with_1_and_json_is_one_object(inside: Inside) -> None:
    with socket.socket() as sock:  # a port that was free a moment ago: nobody listens
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    done = inside("doctor", str(port), "--simulate", "--backend", "natpmp", "--json")
    (told,) = done.objects
    assert (done.code, told["event"], told["verdict"], told["well"]) == (1, "doctor", "nobody-listens", False)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["all/tcp"], 2, "doctor looks at one TCP or UDP port, not at all/tcp"),
        (["8080/sctp"], 2, "doctor looks at one TCP or UDP port, not at 8080/sctp"),
        (["80-90"], 2, "doctor looks at one TCP or UDP port, not at 80-90"),
        (["80/both"], 2, "doctor looks at one TCP or UDP port, not at 80/both"),
        (["web"], 2, "'web' is not PORT[:EXTERNAL][/PROTOCOL]"),
        (["--gateway", "banana"], 2, "gateway must be an IP address, not 'banana'"),
        (["--backend", "carrier-pigeon"], 2, "there is no backend 'carrier-pigeon'"),
        (["--simulate", "--backend", "pcp", "--bundle", "/no/such/folder/x"], 1, "cannot write /no/such/folder/x"),
    ],
)
def test_what_makes_no_sense_is_said(inside: Inside, arguments: list[str], code: int, says: str) -> None:
    done = inside("doctor", *arguments)
    assert (done.code, done.out) == (code, "")
    assert says in done.complaints


@pytest.mark.router
def test_a_bundle_tells_nothing_of_whose_it_is(router_machine: None, tmp_path: Path) -> None:
    """On a network where all that it could tell is known."""
    bundle = tmp_path / "bundle.txt"
    igd = {"friendly_name": "Alice's router", "server": f"Linux UPnP/1.1 {socket.gethostname()}/1.0"}
    with forks.server(tmp_path / "forks") as path, Scene(tmp_path, path) as scene:
        scene.at_home()
        scene.ip("addr add 2600:1f18:42:7::beef/64 dev eth0 nodad\n")
        scene.serve(igd=igd, taken=[("192.168.77.20", 8080)])
        code, lines, _ = scene.run("doctor", "8080", "--bundle", str(bundle))
        links = output("ip", "-n", scene.host, "link") + output("ip", "-n", scene.router, "link")
        addresses = output("ip", "-n", scene.host, "-6", "addr")
    macs = set(re.findall(r"ether (\S+)", links))
    assert code == 1
    shown, told = "\n".join(lines), bundle.read_text()
    link_local = re.findall(r"fe80::(\S+)/64", addresses)
    secrets = [OUTER, "08080401", "2600:1f18", "Alice", "Mary", "7f1f3c4e", getpass.getuser(), *macs, *link_local]
    assert macs
    assert link_local
    secrets.append(socket.gethostname())
    told_as_words = re.sub(r"rootDesc|root_", "", told)  # the user may be root
    assert [one for one in secrets if re.search(rf"(?<![0-9a-z]){re.escape(one)}", told_as_words, re.IGNORECASE)] == []
    for kept in (HOST, ROUTER, "conflict", "Simulated gateway", "rootDesc.xml"):
        assert kept in told
    assert OUTER in shown  # the person who asked is told everything
    assert json.loads(told[told.index("\n{") :])["verdict"] == "conflict"


def test_an_earlier_report_stays_until_there_is_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = tmp_path / "bundle.txt"
    bundle.write_text("the earlier one")
    monkeypatch.setattr("portmapper.cli.commands.doctor.run_session", lambda _: 130)  # Ctrl-C before anything is found
    with pytest.raises(SystemExit) as ended:
        main(["doctor", "--simulate", "--bundle", str(bundle)])
    assert ended.value.code == 130
    assert bundle.read_text() == "the earlier one"
