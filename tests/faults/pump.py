"""A link between two namespaces, a TAP device at each end, that loses, delays, doubles and reorders as a seed says.

The kernel's own (netem) is missing on many machines. ARP and IPv6 neighbour discovery pass untouched.

`python -m tests.faults.pump NAMESPACE DEVICE NAMESPACE DEVICE JSON` prints "ready" when both devices are there, and
what it did as JSON when it is terminated.
"""

import ctypes
import fcntl
import heapq
import itertools
import json
import os
import random
import select
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_CLONE_NEWNET = 0x40000000
_TUNSETIFF, _IFF_TAP, _IFF_NO_PI = 0x400454CA, 0x0002, 0x1000
_FRAME = 65536
_ARP, _IPV6, _ICMPV6 = b"\x08\x06", b"\x86\xdd", 58


@dataclass(frozen=True, slots=True)
class Impairment:
    """What happens to frames, in each direction: shares between 0 and 1, seconds."""

    seed: int = 1
    loss: float = 0.0
    delay: float = 0.0
    jitter: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    """The share that is not delayed, and so overtakes the others."""


@dataclass(slots=True)
class Counts:
    """What was done to how many frames."""

    seen: int = 0
    lost: int = 0
    doubled: int = 0
    reordered: int = 0


class Fate:
    """Decides what becomes of each frame. No I/O: the same seed gives the same fates."""

    def __init__(self, impairment: Impairment) -> None:
        self._impairment = impairment
        self._dice = random.Random(impairment.seed)
        self.counts = Counts()

    def delays(self, frame: bytes) -> list[float]:
        """Return after how many seconds a frame is delivered: no element if it is lost, two if it is doubled."""
        if frame[12:14] == _ARP or (frame[12:14] == _IPV6 and frame[20:21] == bytes([_ICMPV6])):
            return [0.0]
        self.counts.seen += 1
        if self._happens(self._impairment.loss):
            self.counts.lost += 1
            return []
        doubled = self._happens(self._impairment.duplicate)
        self.counts.doubled += doubled
        return [self._delay() for _ in range(1 + doubled)]

    def _delay(self) -> float:
        if self._happens(self._impairment.reorder):
            self.counts.reordered += 1
            return 0.0
        jitter = self._impairment.jitter
        return max(self._impairment.delay + self._dice.uniform(-jitter, jitter), 0.0)

    def _happens(self, share: float) -> bool:
        return self._dice.random() < share


def carry(one: int, other: int, fate: Fate, stopped: list[bool]) -> None:
    """Carry frames between two TAP devices until something is put into `stopped`."""
    waiting: list[tuple[float, int, int, bytes]] = []
    order = itertools.count()
    while not stopped:
        patience = max(waiting[0][0] - time.monotonic(), 0.0) if waiting else 0.2
        for device in select.select([one, other], [], [], min(patience, 0.2))[0]:
            for frame in _frames(device):
                for delay in fate.delays(frame):
                    entry = (time.monotonic() + delay, next(order), other if device == one else one, frame)
                    heapq.heappush(waiting, entry)
        while waiting and waiting[0][0] <= time.monotonic():
            _, _, device, frame = heapq.heappop(waiting)
            _deliver(device, frame)


def _frames(device: int) -> Iterator[bytes]:
    while True:
        try:
            yield os.read(device, _FRAME)
        except OSError:  # no more, or the device is down
            return


def _deliver(device: int, frame: bytes) -> None:
    try:
        os.write(device, frame)
    except OSError:
        return  # the device is down: as a cable that is pulled


def make_tap(namespace: str, name: str) -> int:
    """Return the descriptor of a new TAP device in `namespace`; it is gone when that is closed."""
    libc = ctypes.CDLL(None, use_errno=True)
    home, there = os.open("/proc/self/ns/net", os.O_RDONLY), os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    try:
        if libc.setns(there, _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
        tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(tap, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TAP | _IFF_NO_PI))
    finally:
        libc.setns(home, _CLONE_NEWNET)
        os.close(home)
        os.close(there)
    return tap


@contextmanager
def pump(one: tuple[str, str], other: tuple[str, str], impairment: Impairment) -> Iterator[Counts]:
    """Join two (namespace, device), both new, in a process of its own; the counts are there after the block."""
    counts = Counts()
    command = [sys.executable, "-m", "tests.faults.pump", *one, *other, json.dumps(asdict(impairment))]
    with subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n", "the pump did not start"
            yield counts
        finally:
            process.terminate()
            told = json.loads(process.communicate(timeout=10)[0])
            for name, value in told.items():
                setattr(counts, name, value)


def main() -> None:
    stopped: list[bool] = []
    signal.signal(signal.SIGTERM, lambda *_: stopped.append(True))
    one, other = make_tap(*sys.argv[1:3]), make_tap(*sys.argv[3:5])
    fate = Fate(Impairment(**json.loads(sys.argv[5])))
    print("ready", flush=True)
    carry(one, other, fate, stopped)
    print(json.dumps(asdict(fate.counts)))


if __name__ == "__main__":
    main()
