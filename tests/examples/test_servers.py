"""The servers open their own port, can be reached through it, and close it however they end."""

import pickle
import signal
import socket
import subprocess
import sys
from functools import partial

import anyio
import httpx
import pytest
import uvicorn

import portmapper
from portmapper.testing import SimulatedGateway
from tests.examples.loading import EXAMPLES, load

GREETING = b"Hello from behind the router.\n"
BOTH = pytest.mark.parametrize(
    ("anyio_backend", "name"), [("asyncio", "asyncio_server"), ("trio", "trio_server")], indirect=["anyio_backend"]
)


async def external_port(simulated: SimulatedGateway) -> int:
    with anyio.fail_after(10):
        while not (entries := list(simulated.table)):
            await anyio.sleep(0.01)
    return entries[0].external_port


@pytest.mark.anyio
@BOTH
async def test_the_server_is_reached_through_its_port(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    async with SimulatedGateway() as simulated:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(load(name).serve, 0, simulated.gateway)
            port = await external_port(simulated)
            async with await anyio.connect_tcp("127.0.0.1", port) as stream:
                assert await stream.receive() == GREETING
            tasks.cancel_scope.cancel()
        assert list(simulated.table) == []
    assert f"visit 127.0.0.1:{port} (by PCP" in capsys.readouterr().out


# Runs a server as a program does, but on the gateway of the test.
STARTER = """
import pickle, runpy, sys, portmapper
real, given = portmapper.open_mapping, pickle.loads(bytes.fromhex(sys.argv[1]))
portmapper.open_mapping = lambda port, gateway: real(port, gateway=given)
sys.argv = sys.argv[2:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["trio"])  # asyncio leaves a thread for a process that has ended
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("name", ["asyncio_server", "trio_server"])
async def test_a_signal_ends_it_with_the_port_closed_and_nothing_to_complain(name: str, number: signal.Signals) -> None:
    async with SimulatedGateway() as simulated:
        command = ["-W", "error", "-c", STARTER, pickle.dumps(simulated.gateway).hex(), str(EXAMPLES / f"{name}.py")]
        async with await anyio.open_process([sys.executable, *command, "0"]) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            with anyio.fail_after(10):
                assert (await process.stdout.receive()).startswith(b"visit 127.0.0.1:")
                assert len(list(simulated.table)) == 1
                process.send_signal(number)
                assert await process.wait() == 0
                assert [part async for part in process.stderr] == []
        assert list(simulated.table) == []


def test_a_server_without_a_gateway_says_so_in_a_line() -> None:
    for name in ("asyncio_server", "trio_server"):
        code = (
            "import sys, runpy, portmapper.gateway.detect as detect;"
            "detect.survey = lambda *_: [];"
            f"sys.argv = ['x', '0']; runpy.run_path({str(EXAMPLES / (name + '.py'))!r}, run_name='__main__')"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20)
        assert done.returncode == 1
        assert "no default route" in done.stderr
        assert done.stderr.count("\n") == 1


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_the_application_says_where_it_is_and_closes_its_port() -> None:
    # The socket is there first: the simulated gateway forwards from the same address.
    with socket.create_server(("127.0.0.1", 0)) as listening:
        async with SimulatedGateway() as simulated:
            app = load("asgi_app").App(listening.getsockname()[1], simulated.gateway)
            server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(server.serve, [listening])
                where = f"127.0.0.1:{await external_port(simulated)}"
                async with httpx.AsyncClient(trust_env=False, timeout=5) as client:
                    answer = await client.get(f"http://{where}/where")
                    assert answer.json() == {"external": where, "reachability": "unknown"}
                    assert (await client.get(f"http://{where}/")).status_code == 404
                server.should_exit = True
            assert list(simulated.table) == []


@pytest.mark.anyio
async def test_the_application_does_not_start_without_its_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(portmapper, "open_mapping", partial(portmapper.open_mapping, backends=["pcp"]))
    said: list[dict[str, str]] = []

    async def send(message: dict[str, str]) -> None:
        said.append(message)

    async def receive() -> dict[str, str]:
        return {"type": "lifespan.startup"}

    async with SimulatedGateway(pcp=False) as simulated:
        await load("asgi_app").App(8000, simulated.gateway)({"type": "lifespan"}, receive, send)
    assert [message["type"] for message in said] == ["lifespan.startup.failed"]
    assert "no port mapping service answered" in said[0]["message"]
