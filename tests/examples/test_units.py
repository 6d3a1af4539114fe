"""The systemd units: systemd knows every line, the command takes theirs, and a stop is a success."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest

from portmapper.cli.app import app
from portmapper.cli.options.ports import parse_ports
from tests.examples.loading import EXAMPLES

UNITS = ["portmapper.service", "portmapper-run.service"]
INSTALLED = "/usr/bin/portmapper"


def test_each_unit_is_tested() -> None:
    assert {path.name for path in (EXAMPLES / "systemd").iterdir()} == set(UNITS)


def settings(unit: str) -> dict[str, list[str]]:
    """Return each setting with all values it is given: systemd lets one repeat."""
    found: dict[str, list[str]] = {}
    for line in (EXAMPLES / "systemd" / unit).read_text().splitlines():
        if match := re.fullmatch(r"(\w+)=(.*)", line):
            found.setdefault(match[1], []).append(match[2])
    return found


def command_line(unit: str) -> list[str]:
    """Return the words of ExecStart, with the variables that the unit sets split as systemd splits them."""
    known = dict(value.split("=", 1) for value in settings(unit)["Environment"])
    (line,) = settings(unit)["ExecStart"]
    words: list[str] = []
    for word in shlex.split(line):
        words += known[word[1:]].split() if word.startswith("$") else [word]
    return words


@pytest.mark.parametrize("unit", UNITS)
def test_the_command_takes_the_line(unit: str) -> None:
    program, name, *arguments = command_line(unit)
    assert program == INSTALLED
    with click.Context(app) as above:
        command = app.get_command(above, name)
        assert command is not None
        context = command.make_context(name, arguments, parent=above)
        assert parse_ports(context.params["ports"])


@pytest.mark.parametrize("unit", UNITS)
def test_systemd_knows_every_line(unit: str, tmp_path: Path) -> None:
    verify = shutil.which("systemd-analyze")
    if verify is None:
        pytest.skip("needs systemd-analyze")
    text = (EXAMPLES / "systemd" / unit).read_text()
    (tmp_path / unit).write_text(text.replace(INSTALLED, sys.executable))
    done = subprocess.run([verify, "verify", tmp_path / unit], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("unit", UNITS)
def test_a_stop_is_no_failure(unit: str, tmp_path: Path) -> None:
    """What systemd sends ends it with a code that the unit calls a success, well before it is killed."""
    _, *arguments = command_line(unit)
    known = settings(unit)
    number = signal.Signals[known.get("KillSignal", ["SIGTERM"])[0]]
    environment = {**os.environ, "PORTMAPPER_STATE": str(tmp_path / "state")}
    # Another external port: the simulated gateway has the same address as the server.
    simulated = ["--simulate", "--external", "18080"]
    command = [sys.executable, "-m", "portmapper", arguments[0], *simulated, *arguments[1:]]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        assert "is open at" in process.stdout.readline()
        process.send_signal(number)
        assert str(process.wait(float(known["TimeoutStopSec"][0]))) in known["SuccessExitStatus"]


@pytest.mark.parametrize("unit", UNITS)
def test_a_dynamic_user_can_keep_the_state(unit: str, tmp_path: Path) -> None:
    """For one, the state folder is a symbolic link to a folder below `private`, which portmapper does not follow."""
    (name,) = settings(unit)["StateDirectory"]
    (tmp_path / "private" / name).mkdir(parents=True)
    (tmp_path / name).symlink_to(f"private/{name}")
    (value,) = [one for one in settings(unit)["Environment"] if one.startswith("PORTMAPPER_STATE=")]
    folder = value.partition("=")[2].replace("%S", str(tmp_path))
    command = [sys.executable, "-m", "portmapper", "map", "8080", "--gateway", "127.0.0.9", "--backend", "pcp"]
    done = subprocess.run(
        command, env={**os.environ, "PORTMAPPER_STATE": folder}, capture_output=True, text=True, timeout=20
    )
    assert done.stderr.startswith("portmapper: no port mapping service answered")
    assert list((tmp_path / "private" / name / "state").iterdir())
