"""F55: a folder that cannot be written is warned of once, and stops no mapping."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_PROGRAM = """
import logging, resource, sys
import anyio
from portmapper import PortMapper
from portmapper.testing import SimulatedGateway

logging.basicConfig(format="%(message)s")
moment, folder, loop = sys.argv[1:]

def fill(now):
    if moment == now:  # from now on writing more than nothing fails: EFBIG for ENOSPC
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))

async def main():
    async with SimulatedGateway(natpmp=False, upnp=False) as simulated:
        fill("before")
        async with PortMapper(gateway=simulated.gateway, state=folder) as mapper:
            fill("opened")
            mapping = await mapper.map(4001, external_port=21320)
            fill("mapped")
            await mapper.map(4002, external_port=21321)
            await mapping.refresh()
            print([one.external_port for one in mapper.mappings], len(list(simulated.table)), flush=True)
        print(len(list(simulated.table)))

anyio.run(main, backend=loop)
"""


def run(moment: str, folder: Path, loop: str, *wrapper: str) -> subprocess.CompletedProcess[str]:
    command = [*wrapper, sys.executable, "-W", "error", "-c", _PROGRAM, moment, str(folder), loop]
    return subprocess.run(command, capture_output=True, text=True, timeout=30)


@pytest.mark.conforms("F55")
@pytest.mark.parametrize("loop", ["asyncio", "trio"])
@pytest.mark.parametrize("moment", ["before", "opened", "mapped"])
def test_a_disk_that_is_full_is_warned_of_once_and_stops_no_mapping(tmp_path: Path, moment: str, loop: str) -> None:
    done = run(moment, tmp_path / "state", loop)
    assert (done.returncode, done.stdout) == (0, "[21320, 21321] 2\n0\n"), done.stderr
    assert done.stderr.count("\n") == 1
    assert "going on without keeping state: " in done.stderr
    assert sorted(path.name for path in (tmp_path / "state").rglob("*") if "." in path.name) == []


def test_a_disk_with_room_is_not_warned_of(tmp_path: Path) -> None:
    """The control."""
    done = run("never", tmp_path / "state", "asyncio")
    assert (done.returncode, done.stdout, done.stderr) == (0, "[21320, 21321] 2\n0\n", "")
    assert sorted(path.name for path in (tmp_path / "state").iterdir()) == ["journal", "key", "turn"]


@pytest.mark.conforms("F55")
@pytest.mark.skipif(
    not (shutil.which("unshare") and hasattr(os, "geteuid") and os.geteuid() == 0), reason="only root can mount"
)
def test_a_folder_that_is_read_only_is_warned_of_once_and_stops_no_mapping(tmp_path: Path) -> None:
    mount = f'mount -t tmpfs -o ro tmpfs {tmp_path} && exec "$@"'
    done = run("never", tmp_path / "state", "asyncio", "unshare", "--mount", "sh", "-c", mount, "sh")
    assert (done.returncode, done.stdout) == (0, "[21320, 21321] 2\n0\n"), done.stderr
    why = f"cannot keep state in {tmp_path / 'state'}: Read-only file system"
    assert done.stderr == f"going on without keeping state: {why}\n"
