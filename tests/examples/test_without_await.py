"""The examples without an event loop do what they say."""

import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest

from portmapper.testing import SimulatedGateway
from tests.aside import aside
from tests.examples.loading import load


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
