"""The hooks tell torrent clients the port, and say so when they cannot."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.examples.loading import EXAMPLES
from tests.examples.web_apis import PASSWORD, USER, Qbittorrent51, Qbittorrent52, Transmission, serving

PORT = 40123
QBITTORRENT = ("vpn/qbittorrent_port.py", "QBITTORRENT", {"listen_port": PORT, "random_port": False, "upnp": False})
TRANSMISSION = (
    "vpn/transmission_port.py",
    "TRANSMISSION",
    {"peer-port": PORT, "peer-port-random-on-start": False, "port-forwarding-enabled": False},
)
EACH = pytest.mark.parametrize(
    ("client", "hook"), [(Qbittorrent51, QBITTORRENT), (Qbittorrent52, QBITTORRENT), (Transmission, TRANSMISSION)]
)


def environment(prefix: str, url: str, password: str = PASSWORD) -> dict[str, str]:
    # A proxy in the environment is for the Internet, not for a client on this host.
    clean = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return {**clean, f"{prefix}_URL": url, f"{prefix}_USER": USER, f"{prefix}_PASSWORD": password}


def run(script: str, settings: dict[str, str], event: str) -> subprocess.CompletedProcess[str]:
    known = {"PORTMAPPER_EVENT": event, "PORTMAPPER_EXTERNAL_PORT": str(PORT)}
    return subprocess.run(
        [sys.executable, EXAMPLES / script], env=settings | known, capture_output=True, text=True, timeout=20
    )


@EACH
def test_the_client_listens_on_the_external_port(client: Any, hook: tuple[str, str, dict[str, Any]]) -> None:
    script, prefix, wanted = hook
    with serving(client) as (url, settings):
        done = run(script, environment(prefix, url), "mapped")
        assert (done.returncode, done.stderr) == (0, "")
        assert f"listens on port {PORT}" in done.stdout
        assert settings == wanted


@EACH
def test_a_wrong_password_is_a_failure_that_its_last_line_explains(
    client: Any, hook: tuple[str, str, dict[str, Any]]
) -> None:
    script, prefix, _ = hook
    with serving(client) as (url, settings):
        done = run(script, environment(prefix, url, "wrong"), "changed")
        assert done.returncode == 1
        assert any(word in done.stderr.splitlines()[-1] for word in ("401", "refuses the user name"))
        assert settings == {}


@pytest.mark.parametrize("hook", [QBITTORRENT, TRANSMISSION])
def test_a_port_that_is_lost_changes_nothing(hook: tuple[str, str, dict[str, Any]]) -> None:
    """The client keeps its port for the time when it is back."""
    script, prefix, _ = hook
    done = run(script, environment(prefix, "http://127.0.0.1:1"), "lost")
    assert (done.returncode, done.stdout) == (0, "")


@EACH
def test_the_command_runs_it(client: Any, hook: tuple[str, str, dict[str, Any]], tmp_path: Path) -> None:
    """As the examples say it, but on a simulated gateway."""
    script, prefix, wanted = hook
    line = f"{shlex.quote(sys.executable)} {shlex.quote(str(EXAMPLES / script))}"
    command = [sys.executable, "-m", "portmapper", "map", "51413/both", "--simulate", "--json", "--exec", line]
    with serving(client) as (url, settings):
        state = {"PORTMAPPER_STATE": str(tmp_path / "state")}
        with subprocess.Popen(command, env=environment(prefix, url) | state, stdout=subprocess.PIPE, text=True) as run:
            assert run.stdout is not None
            port = json.loads(run.stdout.readline())["external"]["port"]
            end = time.monotonic() + 10
            while not settings and time.monotonic() < end:
                time.sleep(0.02)
            run.send_signal(signal.SIGINT)
            assert run.wait(10) == 130
        assert settings == {name: port if value == PORT else value for name, value in wanted.items()}
