"""F10, F12, F13: the clocks of the machine are set, or jump, under a process that holds a mapping."""

import mmap
import os
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest

from portmapper.testing import SimulatedGateway
from tests.faults.holder import LIFETIME, LOOKS

pytestmark = pytest.mark.anyio

SOURCE = Path(__file__).with_name("clock_shim.c")
DAY = 86400.0
SEEN = 2 * LOOKS
"""After so long the watch has looked at the clock."""


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compile it; without a compiler skip, except in CI."""
    compiler = shutil.which("cc")
    if sys.platform != "linux" or compiler is None:
        assert os.environ.get("CI") != "true", "in CI the clocks must jump: that needs Linux and a C compiler"
        pytest.skip("shifting the clocks of a process needs Linux and a C compiler")
    library = tmp_path_factory.mktemp("shim") / "clock_shim.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, SOURCE, "-lm"], check=True)
    return library


class Clocks:
    """The clocks of another process, which has to be started in this `environment`."""

    def __init__(self, path: Path, shim: Path) -> None:
        self.path = path
        self.environment = {**os.environ, "LD_PRELOAD": str(shim), "SHIFTS": str(path)}
        path.write_bytes(bytes(4096))

    def shift(self, *, real: float = 0.0, monotonic: float = 0.0, boot: float = 0.0) -> None:
        """Add seconds to them."""
        with self.path.open("r+b") as file, mmap.mmap(file.fileno(), 4096) as shared:
            struct.pack_into("3d", shared, 0, real, monotonic, boot)


@pytest.fixture
def clocks(tmp_path: Path, shim: Path) -> Clocks:
    return Clocks(tmp_path / "shifts", shim)


class Elsewhere(SimulatedGateway):
    """Its clock goes on while this machine sleeps."""

    ahead = 0.0

    @property
    def epoch(self) -> int:
        return super().epoch + int(self.ahead)


@dataclass
class Holder:
    """A process that holds a mapping on `gateway`, and what it printed."""

    gateway: Elsewhere
    printed: Path

    @property
    def events(self) -> list[str]:
        """The names of the events that it told."""
        return self.printed.read_text().split()

    async def tells(self, *events: str, within: float = 10.0) -> None:
        """Wait until it has told these events and no others."""
        with anyio.move_on_after(within):
            while self.events != list(events):
                await anyio.sleep(0.02)
        assert self.events == list(events)


@pytest.fixture
def loop(anyio_backend_name: str) -> str:
    return anyio_backend_name


@asynccontextmanager
async def holding(clocks: Clocks, loop: str) -> AsyncGenerator[Holder]:
    async with Elsewhere(natpmp=False, upnp=False) as gateway:
        printed = clocks.path.with_name("printed")
        command = [sys.executable, "-m", "tests.faults.holder", str(gateway.gateway.port), loop]
        with (
            printed.open("wb") as output,
            subprocess.Popen(command, stdout=output, env=clocks.environment, cwd=Path(__file__).parents[2]) as process,
        ):
            try:
                holder = Holder(gateway, printed)
                await holder.tells("Mapped")
                gateway.datagrams.clear()
                yield holder
            finally:
                process.kill()


@pytest.mark.conforms("F12")
async def test_a_wall_clock_that_is_set_leads_to_nothing(clocks: Clocks, loop: str) -> None:
    """By an hour, by a day back, to 1970 and beyond 2038, where 32 bits end."""
    async with holding(clocks, loop) as holder:
        for jump in (3600.0, -DAY, 1.0 - time.time(), 2.0**31):
            clocks.shift(real=jump)
            await anyio.sleep(SEEN)
        assert holder.gateway.datagrams == []
        assert holder.events == ["Mapped"]


@pytest.mark.conforms("F10", "F13")
@pytest.mark.parametrize(
    ("monotonic", "seconds", "told"),
    [
        pytest.param(0, LIFETIME / 4, ["Renewed"], id="suspend"),
        pytest.param(1, LIFETIME, ["Lost", "Mapped"], id="restored virtual machine, for longer than the lease"),
    ],
)
async def test_a_clock_of_leases_that_jumps_is_time_that_has_passed(
    clocks: Clocks, loop: str, monotonic: int, seconds: float, told: list[str]
) -> None:
    """The first leaves the clock that the loop waits by as it is, the second takes it along."""
    async with holding(clocks, loop) as holder:
        begin = anyio.current_time()
        holder.gateway.ahead = seconds
        clocks.shift(real=seconds, monotonic=monotonic * seconds, boot=seconds)
        await holder.tells("Mapped", *told)
        assert anyio.current_time() - begin < 2
        await anyio.sleep(0.3)
        assert sum(data[1] == 1 for data in holder.gateway.datagrams) == 1
