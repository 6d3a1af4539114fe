"""Each example does what it says."""

import importlib.util
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address
from pathlib import Path
from types import ModuleType

import anyio
import pytest

import portmapper
from portmapper.registry import Candidate
from portmapper.testing import SimulatedGateway
from tests.aside import aside

EXAMPLES = Path(__file__).parent.parent / "examples"


def load(name: str) -> ModuleType:
    """Import an example from its file."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_there_is_a_test_for_each() -> None:
    text = Path(__file__).read_text()
    assert [path.stem for path in EXAMPLES.glob("*.py") if f'"{path.stem}"' not in text and path.name not in text] == []


def test_the_main_job_of_make_run() -> None:
    done = subprocess.run([sys.executable, EXAMPLES / "open_a_port.py"], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Hello from behind the router" in done.stdout
    assert done.stdout.splitlines()[-1] == "6. The external port is closed again."


@pytest.mark.anyio
async def test_async_server(capsys: pytest.CaptureFixture[str]) -> None:
    async with SimulatedGateway() as simulated:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(load("async_server").serve, simulated.gateway)
            while not list(simulated.table):
                await anyio.sleep(0.01)
            (entry,) = simulated.table
            async with await anyio.connect_tcp("127.0.0.1", entry.external_port) as stream:
                assert await stream.receive() == b"Hello from behind the router.\n"
        assert list(simulated.table) == []
    assert f"visit 127.0.0.1:{entry.external_port} (by PCP" in capsys.readouterr().out


def test_sync_server(capsys: pytest.CaptureFixture[str]) -> None:
    with aside(SimulatedGateway()) as simulated, ThreadPoolExecutor() as threads:
        served = threads.submit(load("sync_server").serve, simulated.gateway)
        while not (entries := list(simulated.table)):
            time.sleep(0.01)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"http://127.0.0.1:{entries[0].external_port}/", timeout=5) as response:
            assert response.read() == b"Hello from behind the router.\n"
        served.result(5)
        assert list(simulated.table) == []
    lines = capsys.readouterr().out.splitlines()
    where = f"127.0.0.1:{entries[0].external_port}"
    assert lines == [f"visit http://{where}/ (by PCP, unknown)", f"closed at {where}"]


def test_callbacks(capsys: pytest.CaptureFixture[str]) -> None:
    with aside(SimulatedGateway()) as simulated:
        load("callbacks").main(0.5, simulated.gateway)
        assert list(simulated.table) == []
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["open for 7200 s by the gateway 127.0.0.1", "reached at 127.0.0.1:5000"]
    assert sorted(lines[2:]) == ["not to be reached any more", "stopped"]


@pytest.mark.anyio
async def test_watch_mapping(capsys: pytest.CaptureFixture[str]) -> None:
    async with SimulatedGateway() as simulated:
        with anyio.move_on_after(0.3):
            await load("watch_mapping").watch(5000, simulated.gateway)
        assert list(simulated.table) == []
    assert capsys.readouterr().out.startswith("open at 127.0.0.1:")


@pytest.mark.anyio
async def test_custom_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = load("custom_backend").TableBackend
    monkeypatch.setattr("portmapper.registry._plugins", lambda: (Candidate("table", lambda: backend),))
    nowhere = portmapper.Gateway(address=ip_address("127.0.0.2"), source=ip_address("127.0.0.1"))
    async with portmapper.PortMapper(gateway=nowhere, backends=["table"]) as mapper:
        mapping = await mapper.map(8080)
        assert str(mapping.external) == "203.0.113.7:8080"
        assert mapping.lease.lifetime == 3600
        with pytest.raises(portmapper.NoService, match="ports below 1024"):
            await mapper.map(80)
        assert await mapper.unmap(8080) == ("table",)
    assert backend.table == {}


@pytest.mark.anyio
async def test_probe() -> None:
    probe = load("probe").probe
    async with SimulatedGateway() as simulated:
        assert await probe(simulated.gateway) == {"NAT-PMP": "external address 127.0.0.1", "PCP": "up for 0 s"}
    async with SimulatedGateway(pcp=False) as simulated:
        assert (await probe(simulated.gateway))["PCP"] == "not spoken"
    async with SimulatedGateway(pcp=False, natpmp=False) as simulated:
        assert "refused" in (await probe(simulated.gateway))["PCP"]
