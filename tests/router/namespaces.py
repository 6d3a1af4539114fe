"""Network namespaces: enter them, link them, and remove what a killed test run left."""

import ctypes
import os
import signal
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from tests.sockets import at_large

T = TypeVar("T")

PREFIX = "pmt"
_CLONE_NEWNET = 0x40000000


def sweep() -> None:
    """Remove namespaces that a killed test run left behind, with what still runs in them."""
    for line in output("ip", "netns", "list").splitlines():
        name = line.split()[0]
        owner = name.removeprefix(PREFIX).partition("x")[0]
        if name.startswith(PREFIX) and owner.isdigit() and not Path(f"/proc/{owner}").exists():
            for process in output("ip", "netns", "pids", name).split():
                with suppress(ProcessLookupError):
                    os.kill(int(process), signal.SIGKILL)
            call("ip", "netns", "del", name)


def in_namespace(namespace: str, work: Callable[[], T]) -> T:
    # A thread of its own changes its namespace; a socket stays in the one where it was made.
    def enter() -> T:
        libc = ctypes.CDLL(None, use_errno=True)
        with Path(f"/run/netns/{namespace}").open("rb") as handle:
            if libc.setns(handle.fileno(), _CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
        with at_large():
            return work()

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(enter).result()


def inside(namespace: str) -> list[str]:
    return ["ip", "netns", "exec", namespace]


def add_link(one: str, name: str, other: str, other_name: str) -> None:
    call("ip", "link", "add", name, "netns", one, "type", "veth", "peer", "name", other_name, "netns", other)


def add_address(namespace: str, device: str, address: str) -> None:
    net = [f"{address}/64", "nodad"] if ":" in address else [f"{address}/24"]
    call("ip", "-n", namespace, "addr", "add", *net, "dev", device)
    call("ip", "-n", namespace, "link", "set", device, "up")


def call(*command: str) -> None:
    subprocess.run(command, check=True)


def output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
