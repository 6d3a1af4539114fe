"""Hints of this host's own firewall: what can be read without root, and with root what nftables does."""

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import anyio
import anyio.to_thread

from portmapper import limits
from portmapper.doctor.findings import Firewall
from portmapper.doctor.ruleset import read_ruleset
from portmapper.gateway import procfs

_UFW = Path("/etc/ufw/ufw.conf")
_RUNNING = Path("/run/systemd/units/invocation:firewalld.service")  # a link that is there while the unit runs
_NFT = ("/usr/sbin/nft", "/sbin/nft")
_ENVIRONMENT = {"LC_ALL": "C", "PATH": "/usr/bin:/bin:/usr/sbin:/sbin"}


async def look() -> Firewall:
    """Return what shows of the firewall, within 2 s. Other systems than Linux show nothing."""
    if sys.platform != "linux":
        return Firewall()
    active = await anyio.to_thread.run_sync(_named)
    rules = await _rules() if os.geteuid() == 0 else None
    found = read_ruleset(rules) if rules else None
    if found is None:
        return Firewall(active=active)
    incoming, outgoing = found
    nftables = ("nftables",) if incoming or outgoing else ()
    return Firewall(active=(*active, *nftables), drops_incoming=incoming, stops_outgoing=outgoing)


def _named() -> tuple[str, ...]:
    found = {
        "ufw": "ENABLED=yes" in _small_text(_UFW),
        "firewalld": os.path.lexists(_RUNNING),
        "iptables": "filter" in procfs.read_text("ip_tables_names").split(),  # root only; the old ones, not nftables'
    }
    return tuple(name for name, is_so in found.items() if is_so)


def _small_text(path: Path) -> str:
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            return os.read(descriptor, 4096).decode("ascii", "replace")
        finally:
            os.close(descriptor)
    return ""


async def _rules() -> str | None:
    with anyio.move_on_after(limits.DOCTOR_FIREWALL):
        for program in _NFT:
            with suppress(OSError):  # it is not there
                return await _output(program)
    return None


async def _output(program: str) -> str | None:
    """Return what `nft` prints, None if it fails or prints more than anybody would read."""
    command = [program, "-j", "list", "ruleset"]
    quiet = subprocess.DEVNULL
    async with await anyio.open_process(command, stdin=quiet, stderr=quiet, env=_ENVIRONMENT) as process:
        assert process.stdout is not None  # noqa: S101 - a pipe was asked for
        collected = bytearray()
        async for chunk in process.stdout:
            collected += chunk
            if len(collected) > limits.DOCTOR_RULES:
                process.kill()
                return None
        return collected.decode("utf-8", "replace") if await process.wait() == 0 else None
