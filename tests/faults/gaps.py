"""Probe ports from the WAN host every 100 ms, and tell the longest time that each was out of reach.

Started there by `probe`; prints JSON. Each probe comes from a port of its own: a known flow passes without a mapping.
"""

import json
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import anyio

from tests.router.lab import EXTERNAL, TOKEN, Lab
from tests.router.namespaces import inside

INTERVAL = 0.1
RENEWING = 0.2  # at a PCP or NAT-PMP renewal miniupnpd deletes its rules and adds them again: a probe may fall there
PATIENCE = 0.9  # less than a second: a lost SYN must not be mended by its repetition
_ROOT = Path(__file__).parents[2]

Target = tuple[str, int]


@dataclass(frozen=True)
class Reach:
    """How a port was reached: the number of probes and misses, and the seconds of the longest series of misses."""

    probes: int
    misses: int
    gap: float


def probe(lab: Lab, seconds: float, *targets: Target) -> dict[Target, Reach]:
    """Probe all `targets` (("tcp", 8080), ...) for so long."""
    names = [f"{protocol}/{port}" for protocol, port in targets]
    command = [*inside(lab.wan), sys.executable, "-m", "tests.faults.gaps", str(seconds), *names]
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=True)
    answers: list[list[bool]] = json.loads(done.stdout)
    return {target: reach(series) for target, series in zip(targets, answers, strict=True)}


def reach(answers: Sequence[bool]) -> Reach:
    """Return what a series of probes says, of which each was answered or not."""
    runs = [len(list(run)) for answered, run in groupby(answers) if not answered]
    return Reach(len(answers), sum(runs), max(runs, default=0) * INTERVAL)


def table(found: dict[Target, Reach]) -> str:
    """Return the figures as text."""
    lines = [f"{'':10} {'probes':>7} {'misses':>7} {'longest gap':>12}"]
    for (protocol, port), one in found.items():
        lines.append(f"{port}/{protocol:6} {one.probes:6} {one.misses:7} {one.gap * 1000:9.0f} ms")
    return "\n".join(lines)


async def _answered(protocol: str, port: int) -> bool:
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, kind) as sock, anyio.move_on_after(PATIENCE):
        sock.setblocking(False)
        try:
            await _begin(sock, protocol, port)
            await anyio.wait_readable(sock)
            return sock.recv(100) == TOKEN
        except OSError:
            return False
    return False


async def _begin(sock: socket.socket, protocol: str, port: int) -> None:
    if protocol == "udp":
        sock.sendto(b"hello", (EXTERNAL, port))
        return
    try:
        sock.connect((EXTERNAL, port))
    except BlockingIOError:
        await anyio.wait_writable(sock)


async def _watch(target: str, count: int, answers: list[bool]) -> None:
    protocol, port = target.split("/")
    answers += [False] * count

    async def note(number: int) -> None:
        answers[number] = await _answered(protocol, int(port))

    begin = anyio.current_time()
    async with anyio.create_task_group() as tasks:
        for number in range(count):
            await anyio.sleep_until(begin + number * INTERVAL)
            tasks.start_soon(note, number)


async def main(seconds: float, targets: Sequence[str]) -> None:
    answers: list[list[bool]] = [[] for _ in targets]
    async with anyio.create_task_group() as tasks:
        for target, series in zip(targets, answers, strict=True):
            tasks.start_soon(_watch, target, int(seconds / INTERVAL), series)
    print(json.dumps(answers))


if __name__ == "__main__":
    anyio.run(main, float(sys.argv[1]), sys.argv[2:])
