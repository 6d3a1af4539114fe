"""`portmapper run` on a real router: a web server that is reached from outside for as long as it runs."""

import signal
import sys
from pathlib import Path

from tests.router.conftest import MakeLab
from tests.router.lab import EXTERNAL, LAN_ADDRESS, Lab
from tests.router.programs import fetch, program
from tests.router.test_way_out import rules_left

ONE_VISITOR = """
import os, sys
from http.server import BaseHTTPRequestHandler, HTTPServer
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(os.environ["PORTMAPPER_8000_TCP"].encode())
HTTPServer(("", 8000), Handler).handle_request()
sys.exit(7)
"""


def command(lab: Lab, *words: str) -> list[str]:
    return [sys.executable, "-W", "error", "-m", "portmapper", "run", *words]


def test_a_server_is_reached_until_it_ends_by_itself(make_lab: MakeLab) -> None:
    """It knows where, and its exit code is that of the command."""
    lab = make_lab()
    words = command(lab, "8000:9001", "--", sys.executable, "-c", ONE_VISITOR)
    with program(lab, *words) as process:
        assert fetch(lab, 9001, within=10) == f"{EXTERNAL}:9001"
        said, told = process.communicate(timeout=10)
    assert process.returncode == 7
    assert said == ""
    assert f"{LAN_ADDRESS}:8000/tcp is open at {EXTERNAL}:9001 (pcp on" in told
    assert told.endswith(f"{LAN_ADDRESS}:8000/tcp is closed at {EXTERNAL}:9001\n")
    assert rules_left(lab) == []


def test_a_signal_ends_the_server_and_then_the_port_is_closed(make_lab: MakeLab, tmp_path: Path) -> None:
    """By both families: the server of Python answers IPv4."""
    lab = make_lab()
    (tmp_path / "page").write_text("from the LAN")
    server = [sys.executable, "-m", "http.server", "8000", "--directory", str(tmp_path)]
    with program(lab, *command(lab, "8000:9001/both", "--ipv6", "--", *server)) as process:
        assert fetch(lab, 9001, "/page", within=10) == "from the LAN"
        assert len(rules_left(lab)) > 0
        process.send_signal(signal.SIGTERM)
        _, told = process.communicate(timeout=10)
    assert process.returncode == 128 + signal.SIGTERM
    assert "Traceback" not in told
    assert told.count("is closed at") == 4
    assert fetch(lab, 9001) is None
    assert rules_left(lab) == []
