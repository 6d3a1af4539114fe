"""Programs on the LAN host that open ports by themselves, and what their visitors see."""

import http.client
import os
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.router.lab import EXTERNAL, Lab, runs
from tests.router.namespaces import in_namespace, inside


@contextmanager
def program(lab: Lab, *command: str) -> Iterator[subprocess.Popen[str]]:
    """Run a program on the LAN host, with pipes; it is gone at the end of the block, with what it started."""
    with subprocess.Popen(
        [*inside(lab.lan), *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**lab._environment(), "PYTHONUNBUFFERED": "1"},
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def line(process: subprocess.Popen[str], timeout: float = 15) -> str:
    """Return the next line that a program says."""
    assert process.stdout is not None
    assert process.stderr is not None
    ready, _, _ = select.select([process.stdout], [], [], timeout)
    assert ready, "it says nothing"
    said = process.stdout.readline()
    assert said, process.stderr.read()
    return said.rstrip("\n")


def fetch(lab: Lab, port: int, path: str = "/", within: float = 0.0) -> str | None:
    """Return the page that the WAN host gets at the external address, None if it gets none `within` seconds."""
    deadline = time.monotonic() + within
    while (page := in_namespace(lab.wan, lambda: _get(port, path))) is None and time.monotonic() < deadline:
        time.sleep(0.05)
    return page


def _get(port: int, path: str) -> str | None:
    connection = http.client.HTTPConnection(EXTERNAL, port, timeout=0.5)
    try:
        connection.request("GET", path)
        return connection.getresponse().read().decode()
    except OSError:
        return None
    finally:
        connection.close()


def gone(process: int, within: float = 10.0) -> float:
    """Return the seconds until a process that is not ours to wait for has ended."""
    begin = time.monotonic()
    while runs(Path("/proc", str(process))):
        assert time.monotonic() - begin < within, f"process {process} is still there"
        time.sleep(0.02)
    return time.monotonic() - begin
