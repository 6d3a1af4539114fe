"""The routes that the system's own programs print: the last resort, where nothing else tells.

By absolute path, without a shell, with a clean environment, for at most 3 s; what is longer than any table is cut.
"""

import ntpath
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from threading import Thread
from typing import IO

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
_ANDROID = Program(("/system/bin/ip", "route", "show", "table", "0"), parse_ip_route)
PROGRAMS: dict[str, tuple[Program, ...]] = {
    # Without -W FreeBSD may cut a long address into another that is valid.
    "freebsd": (Program(("/usr/bin/netstat", "-rnW"), parse_netstat),),
    "win32": (Program(("{system}\\route.exe", "print"), parse_windows_routes),),
    "linux": (
        Program(("/sbin/ip", "route"), parse_ip_route),
        _ANDROID,  # as Python called that until 3.13
    ),
    "android": (_ANDROID,),
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
    system = _system_folder()
    program = command[0].replace("{system}", system)
    if not os.path.isabs(program) or not os.path.isfile(program):  # noqa: PTH117, PTH113 - no more than this
        return ""
    # Windows finds parts of itself, and of its sockets, by this variable.
    environment = _ENVIRONMENT | ({"SystemRoot": ntpath.dirname(system)} if system else {})
    try:
        process = subprocess.Popen(  # noqa: S603 - an absolute path from the table above
            [program, *command[1:]],
            bufsize=0,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            close_fds=True,
        )
    except OSError:
        return ""
    return _read(process)


def _read(process: "subprocess.Popen[bytes]") -> str:
    # In a thread, because Windows has no other way to wait for a pipe only so long. It ends with the program, except
    # where a child of that holds the pipe open: then it is left to itself.
    found: list[bytes] = []
    reader = Thread(target=_read_all, args=(process.stdout, found), daemon=True)
    reader.start()
    reader.join(limits.PROGRAM)
    finished = not reader.is_alive()
    process.kill()
    process.wait()
    reader.join(limits.PROGRAM_PIPE)
    return b"".join(found).decode("utf-8", "replace") if finished else ""


def _read_all(pipe: IO[bytes], found: list[bytes]) -> None:
    left = limits.ROUTE_BYTES
    with pipe:
        while left > 0 and (chunk := pipe.read(min(left, 65536))):
            left -= len(chunk)
            found.append(chunk)


def _system_folder() -> str:
    if sys.platform != "win32":
        return ""
    import ctypes  # noqa: PLC0415 - there alone

    buffer = ctypes.create_unicode_buffer(260)
    length = ctypes.windll.kernel32.GetSystemDirectoryW(buffer, 260)
    return buffer.value if length else ""
