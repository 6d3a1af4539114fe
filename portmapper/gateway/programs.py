"""The routes that the system's own programs print: the last resort, where nothing else tells.

By absolute path, without a shell, with a clean environment, for at most 3 s; what is longer than any table is cut.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from portmapper import limits
from portmapper.gateway.tables.iproute import parse_ip_route
from portmapper.gateway.tables.netstat import parse_netstat
from portmapper.gateway.tables.route import Route
from portmapper.gateway.tables.windows import parse_windows_routes

_ENVIRONMENT = {"LC_ALL": "C", "PATH": "/usr/bin:/bin:/usr/sbin:/sbin"}


@dataclass(frozen=True, slots=True)
class Program:
    """A program that may be there, and how to read what it prints."""

    command: tuple[str, ...]
    parse: Callable[[str], list[Route]]


_NETSTAT = tuple(Program((f"/usr/{folder}/netstat", "-rn"), parse_netstat) for folder in ("sbin", "bin"))
PROGRAMS: dict[str, tuple[Program, ...]] = {
    # Without -W FreeBSD may cut a long address into another that is valid.
    "freebsd": (Program(("/usr/bin/netstat", "-rnW"), parse_netstat),),
    "win32": (Program(("{system}\\route.exe", "print"), parse_windows_routes),),
    "linux": (
        Program(("/sbin/ip", "route"), parse_ip_route),
        Program(("/system/bin/ip", "route", "show", "table", "0"), parse_ip_route),
    ),
}


def read_routes(programs: Sequence[Program] | None = None) -> list[Route]:
    """Return the routes that the first program prints which is there and prints any."""
    for program in _of_this_system() if programs is None else programs:
        routes = program.parse(_output(program.command))
        if routes:
            return routes
    return []


def _of_this_system() -> Iterator[Program]:
    for name, programs in PROGRAMS.items():
        if sys.platform.startswith(name):
            yield from programs
            return
    yield from _NETSTAT


def _output(command: Sequence[str]) -> str:
    program = command[0].replace("{system}", _system_folder())
    if not os.path.isabs(program) or not os.path.isfile(program):  # noqa: PTH117, PTH113 - no more than this
        return ""
    try:
        with (
            subprocess.Popen(  # noqa: S603 - an absolute path from the table above
                [program, *command[1:]],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=_ENVIRONMENT,
                close_fds=True,
            ) as process
        ):
            return _read(process)
    except OSError:
        return ""


def _read(process: "subprocess.Popen[bytes]") -> str:
    try:
        out, _ = process.communicate(timeout=limits.PROGRAM)
    except subprocess.TimeoutExpired:
        process.kill()
        return ""
    return out[: limits.ROUTE_BYTES].decode("utf-8", "replace")


def _system_folder() -> str:
    if sys.platform != "win32":
        return ""
    import ctypes  # noqa: PLC0415 - there alone

    buffer = ctypes.create_unicode_buffer(260)
    length = ctypes.windll.kernel32.GetSystemDirectoryW(buffer, 260)
    return buffer.value if length else ""
