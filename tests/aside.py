"""What a test without an event loop needs beside it: gateways that run in another thread, and programs of their own."""

import socket
import subprocess
import sys
from collections.abc import Generator, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager, suppress
from ipaddress import IPv4Address, ip_address
from pathlib import Path
from typing import Any, Self, TypeVar

import pytest
from anyio import from_thread, sleep
from anyio.from_thread import start_blocking_portal
from anyio.lowlevel import current_token

from portmapper import Gateway
from portmapper.testing import SimulatedGateway

T = TypeVar("T")
ROOT = Path(__file__).parent.parent
LOOPBACK = ip_address("127.0.0.1")

BEGINNING = """
import json, os, signal, sys, threading, time
from ipaddress import ip_address
import portmapper
from portmapper import callback, sync
port, ssdp_port = map(int, sys.argv[1:3])
loopback = ip_address("127.0.0.1")
gateway = portmapper.Gateway(address=loopback, source=loopback, port=port, ssdp_port=ssdp_port)
def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())  # nothing is kept that a fork would copy
"""


@contextmanager
def aside(manager: AbstractAsyncContextManager[T]) -> Generator[T]:
    """Keep `manager` entered in an event loop in a thread of its own."""
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(manager) as entered:
        yield entered


@contextmanager
def silent_gateway() -> Generator[Gateway]:
    """A gateway that takes everything and says nothing."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as search,
    ):
        control.bind(("127.0.0.1", 0))
        search.bind(("127.0.0.1", 0))
        port, ssdp_port = control.getsockname()[1], search.getsockname()[1]
        yield Gateway(address=LOOPBACK, source=LOOPBACK, port=port, ssdp_port=ssdp_port)


class Besides(SimulatedGateway):
    """One that runs in another thread than the test, and is changed there."""

    async def __aenter__(self) -> Self:
        """Note where it runs."""
        self._token = current_token()
        return await super().__aenter__()

    def give_away(self, port: int) -> None:
        """Forget all mappings, as at a restart, and take an external port away."""

        async def change() -> None:
            self.reboot()
            while self._taken is None:
                await sleep(0.01)  # what forwarded it ends
                with suppress(OSError):
                    self._taken = socket.create_server((str(LOOPBACK), port))

        from_thread.run(change, token=self._token)

    async def __aexit__(self, *raised: Any) -> None:
        """Give the port back."""
        if self._taken is not None:
            self._taken.close()
        await super().__aexit__(*raised)

    _taken: socket.socket | None = None


class Swallowing(SimulatedGateway):
    """Answers questions, and says nothing to the request for a mapping: map waits for seconds."""

    def answer_datagram(self, data: bytes, sender: "IPv4Address") -> list[bytes]:  # type: ignore[override]
        """Swallow PCP's MAP."""
        return [] if data[:2] == b"\x02\x01" else super().answer_datagram(data, sender)


def program(source: str, gateway: Gateway) -> subprocess.Popen[str]:
    """Start a program that has `sync`, `callback`, `gateway` and `say`."""
    command = [sys.executable, "-W", "error", "-c", BEGINNING + source, str(gateway.port), str(gateway.ssdp_port)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)


def finished(source: str, gateway: Gateway, timeout: float = 20) -> tuple[list[str], str, int]:
    """Run a program to its end; return its lines, its errors and its exit code."""
    with program(source, gateway) as process:
        output, errors = process.communicate(timeout=timeout)
    return output.splitlines(), errors, process.returncode


@pytest.fixture
def simulated() -> Iterator[Besides]:
    """Return a gateway that runs in another thread."""
    with aside(Besides()) as gateway:
        yield gateway
