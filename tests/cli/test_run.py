"""`portmapper run`: a command that lives behind open ports, and what it and its exit code and its signals come to."""

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from portmapper.cli import main
from portmapper.cli.commands.run import _quiet, _run, run_command
from portmapper.cli.keeping.child import Child, child_variables
from portmapper.errors import NoService
from portmapper.model import Protocol
from portmapper.testing import SimulatedGateway
from tests.cli.leases import StandIn, lease
from tests.cli.sessions import simulate, simulated, wanted
from tests.cli.test_command import environment
from tests.cli.test_hooks import said, until

__all__ = ["environment", "simulated"]


async def ran(child: Child, *arguments: str, anyway: bool = False) -> int | NoService:
    """Run `child` as the command does; return its exit code, or why it was not run."""
    parsed = await anyio.to_thread.run_sync(partial(wanted, *arguments, command=run_command))  # as before a loop runs
    asked = _quiet(parsed, as_json=False)
    outcome: int | NoService
    async with anyio.create_task_group() as tasks:
        try:
            outcome = await _run(asked, child, anyway, tasks)
        except NoService as error:
            outcome = error
    return outcome


def shell(script: str) -> Child:
    return Child(["sh", "-c", script])


@pytest.mark.anyio
async def test_it_runs_while_the_ports_are_open_and_they_are_closed_after_it(
    simulated: list[SimulatedGateway], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    child = shell(
        f"echo from the command; touch {tmp_path}/begun; until test -e {tmp_path}/go; do sleep 0.02; done; exit 7"
    )
    codes: list[int | NoService] = []

    async def run() -> None:
        codes.append(await ran(child, "8000:21700/both"))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        await until((tmp_path / "begun").exists)
        assert [(one.protocol, one.external_port) for one in simulated[0].table] == [("tcp", 21700), ("udp", 21700)]
        (tmp_path / "go").touch()
    assert codes == [7]
    assert list(simulated[0].table) == []
    told = capfd.readouterr()
    assert told.out == "from the command\n"
    assert told.err.count("is open at 127.0.0.1:21700") == told.err.count("is closed at 127.0.0.1:21700") == 2


@pytest.mark.anyio
async def test_it_finds_the_ports_in_its_environment(simulated: list[SimulatedGateway], tmp_path: Path) -> None:
    child = shell(f"env | grep ^PORTMAPPER_ | sort > {tmp_path}/env")
    assert await ran(child, "8001:21711", "8000:21710/udp") == 0
    assert said(tmp_path / "env") == [
        "PORTMAPPER_8000_UDP=127.0.0.1:21710",
        "PORTMAPPER_8001_TCP=127.0.0.1:21711",
        "PORTMAPPER_BACKEND=pcp",
        "PORTMAPPER_EXTERNAL_ADDRESS=127.0.0.1",
        "PORTMAPPER_EXTERNAL_PORT=21711",
        "PORTMAPPER_GATEWAY=127.0.0.1",
        "PORTMAPPER_INTERNAL_ADDRESS=127.0.0.1",
        "PORTMAPPER_INTERNAL_PORT=8001",
        "PORTMAPPER_LIFETIME=7200",
        "PORTMAPPER_PROTOCOL=tcp",
        "PORTMAPPER_REACHABILITY=unknown",
    ]


def test_a_port_has_a_variable_of_its_own_whatever_it_is() -> None:
    several = [StandIn(lease(8000, 9000)), StandIn(lease(5000, 9001, protocol=Protocol("sctp")))]
    variables = child_variables([one.mapping for one in several])
    assert variables["PORTMAPPER_8000_TCP"] == "203.0.113.7:9000"
    assert variables["PORTMAPPER_5000_SCTP"] == "203.0.113.7:9001"


@pytest.mark.anyio
@pytest.mark.parametrize(("script", "code"), [("exit 0", 0), ("exit 3", 3), ("kill -9 $$", 137), ("kill -15 $$", 143)])
async def test_its_exit_code_is_ours(simulated: list[SimulatedGateway], script: str, code: int) -> None:
    assert await ran(shell(script), "8000") == code


@pytest.mark.anyio
@pytest.mark.parametrize("anyway", [False, True])
async def test_without_the_ports_it_is_not_started_unless_anyway(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str], anyway: bool
) -> None:
    simulate(monkeypatch, lambda: SimulatedGateway(pcp=False, natpmp=False, upnp=False))
    child = shell(f"touch {tmp_path}/begun; test -z $PORTMAPPER_EXTERNAL_PORT && exit 4")
    outcome = await ran(child, "8000", "--backend", "pcp", anyway=anyway)
    assert (tmp_path / "begun").exists() is anyway
    if anyway:
        assert outcome == 4
        assert "portmapper: no port mapping service answered" in capfd.readouterr().err
    else:
        assert isinstance(outcome, NoService)


@pytest.mark.anyio
async def test_anyway_is_still_all_ports_or_none(
    simulated: list[SimulatedGateway], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    counts: list[int] = []

    class Looking(Child):
        async def run(self, mappings: Sequence[object]) -> int:
            counts.append(len(list(simulated[0].table)) if simulated else -1)
            return len(mappings)

    arguments = ("8000", "5000/sctp", "--backend", "natpmp")  # which has no SCTP
    assert await ran(Looking(["true"]), *arguments, anyway=True) == 0
    assert counts == [0]
    assert "5000/sctp cannot be opened" in capfd.readouterr().err


@pytest.mark.anyio
async def test_the_file_is_there_while_it_runs(simulated: list[SimulatedGateway], tmp_path: Path) -> None:
    file = tmp_path / "ports"
    child = shell(f"until test -s {file}; do sleep 0.02; done; cp {file} {tmp_path}/seen")
    assert await ran(child, "8000:21720", "--write", str(file)) == 0
    assert said(tmp_path / "seen") == ["21720"]
    assert not file.exists()


@pytest.mark.anyio
async def test_signals_are_passed_on_while_it_runs_and_only_then(tmp_path: Path) -> None:
    traps = f"trap 'exit 5' TERM; trap 'echo hangup >> {tmp_path}/said' HUP"
    child = shell(f"{traps}; touch {tmp_path}/begun; while :; do sleep 0.02; done")
    codes: list[int] = []
    assert not child.take(signal.SIGTERM)

    async def run() -> None:
        codes.append(await child.run([]))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        await until((tmp_path / "begun").exists)
        assert child.take(signal.SIGHUP)
        await until(lambda: said(tmp_path / "said") == ["hangup"])
        assert child.take(signal.SIGTERM)
    assert codes == [5]
    assert not child.take(signal.SIGTERM)


@pytest.mark.parametrize(
    ("name", "mode", "code", "says"),
    [
        ("./missing", None, 127, "there is no command ./missing"),
        ("no-such-command-anywhere", None, 127, "there is no command no-such-command-anywhere"),
        ("./plain", 0o644, 126, "./plain is not executable"),
        ("plain", 0o644, 126, "plain is not executable"),
        ("\x1b[2J", None, 127, r"there is no command \x1b[2J"),
    ],
)
def test_what_cannot_be_run_opens_nothing(  # noqa: PLR0917
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    mode: int | None,
    code: int,
    says: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr("portmapper.cli.commands.run.run_session", pytest.fail)
    if mode is not None:
        (tmp_path / "plain").touch(mode)
    with pytest.raises(SystemExit) as caught:
        main(["run", "--simulate", "8000", "--", name])
    assert caught.value.code == code
    assert capsys.readouterr().err == f"portmapper: {says}\n"


@pytest.mark.anyio
async def test_what_turns_out_not_to_run_is_126(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "junk").write_bytes(b"\x7fELF and no more")
    (tmp_path / "junk").chmod(0o755)
    assert await Child([str(tmp_path / "junk")]).run([]) == 126
    assert "junk cannot be run: Exec format error" in capsys.readouterr().err


def test_without_a_command_it_makes_no_sense(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["8000"], ["8000", "--"], ["8000", "python", "-m", "http.server"], ["8000", "ls", "--all"]):
        with pytest.raises(SystemExit) as caught:
            main(["run", "--simulate", *words])
        assert caught.value.code == 2
        assert "portmapper run PORT... -- COMMAND" in capsys.readouterr().err


def test_options_after_the_dashes_are_the_commands(environment: dict[str, str]) -> None:
    """And standard output is: nothing else is on it, errors and objects neither."""
    words = ["run", "--simulate", "--json", "8000", "--", "sh", "-c", 'echo "$@"', "sh", "--json", "--", "--help"]
    done = subprocess.run(
        [sys.executable, "-m", "portmapper", *words], capture_output=True, text=True, timeout=20, env=environment
    )
    assert (done.returncode, done.stdout) == (0, "--json -- --help\n")
    assert [json.loads(line)["event"] for line in done.stderr.splitlines()] == ["mapped", "closed"]


COUNTS_SIGNALS = """
import signal, sys, time
count = 0
def note(*_):
    global count
    count += 1
signal.signal(signal.SIGINT, note)
print("ready", flush=True)
while not count: time.sleep(0.01)
time.sleep(0.4)
print("interrupted", count, flush=True)
sys.exit(9)
"""


def _controlled_by(descriptor: int) -> Callable[[], None]:
    import fcntl
    import termios

    def take() -> None:
        fcntl.ioctl(descriptor, termios.TIOCSCTTY, 0)

    return take


@pytest.mark.parametrize("at_a_terminal", [True, False])
def test_a_signal_that_came_to_both_is_known(at_a_terminal: bool) -> None:
    """Two at once are one to who is told, mostly; that none is passed on has to be seen here."""
    leader, follower = pty.openpty()
    code = (
        "import os, signal, sys; from portmapper.cli.keeping.child import _came_to_both as both;"
        "sys.stderr.write(f'{both(signal.SIGINT)} {both(signal.SIGTERM)} {both(signal.SIGHUP)}')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        stdin=follower if at_a_terminal else subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=_controlled_by(0) if at_a_terminal else None,
    )
    os.close(leader)
    os.close(follower)
    assert done.stderr == f"{at_a_terminal} False False"


@pytest.mark.anyio
async def test_what_came_to_both_is_not_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("portmapper.cli.keeping.child._came_to_both", lambda number: number == signal.SIGINT)
    child, codes = shell("exec sleep 60"), list[int]()

    async def run() -> None:
        codes.append(await child.run([]))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        await until(lambda: child.take(signal.SIGINT))
        assert child.take(signal.SIGTERM)
    assert codes == [128 + signal.SIGTERM]


@pytest.mark.parametrize("from_the_terminal", [True, False])
def test_an_interrupt_comes_to_the_command_once(environment: dict[str, str], from_the_terminal: bool) -> None:
    """A Ctrl-C comes from the terminal to the command and to us; one that is sent to us alone is passed on."""
    leader, follower = pty.openpty()
    ours = [sys.executable, "-m", "portmapper", "run", "--simulate", "8000"]
    with subprocess.Popen(
        [*ours, "--", sys.executable, "-c", COUNTS_SIGNALS],
        stdin=follower if from_the_terminal else subprocess.DEVNULL,
        stdout=follower,
        stderr=follower,
        env=environment,
        start_new_session=True,
        preexec_fn=_controlled_by(0) if from_the_terminal else None,  # noqa: PLW1509
    ) as process:
        os.close(follower)
        shown = b""
        while b"ready" not in shown:
            shown += os.read(leader, 4096)
        if from_the_terminal:
            os.write(leader, b"\x03")
        else:
            process.send_signal(signal.SIGINT)
        try:
            while chunk := os.read(leader, 4096):
                shown += chunk
        except OSError:  # how a pseudo-terminal says that the other side is closed
            pass
        os.close(leader)
        assert process.wait(5) == 9
    assert b"interrupted 1\r\n" in shown
    assert b"8000/tcp is closed at" in shown
