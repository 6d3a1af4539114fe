"""The examples that are programs of one file do what they say."""

import subprocess
import sys
from ipaddress import ip_address

import anyio
import pytest

import portmapper
from portmapper.registry import Candidate
from portmapper.testing import SimulatedGateway
from tests.examples.loading import EXAMPLES, load


def test_the_main_job_of_make_run() -> None:
    done = subprocess.run([sys.executable, EXAMPLES / "open_a_port.py"], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Hello from behind the router" in done.stdout
    assert done.stdout.splitlines()[-1] == "6. The external port is closed again."


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
