"""A process that has everything imported and forks a child for each run, in a namespace: a start costs no half second.

Each connection to its socket is one run. The child's standard output goes there; its last line is the exit code.
"""

import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

import anyio

from portmapper.cli import main
from tests.doctor import scripted

_CLONE_NEWNET = 0x40000000


@contextmanager
def server(path: Path) -> Iterator[Path]:
    """Start the process; yield the path of its socket."""
    command = [sys.executable, "-W", "error", "-m", "tests.doctor.forks", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline(), "it did not start"
            yield path
        finally:
            process.kill()


class Child:
    """One run: a program ("portmapper" or "gateway") with its arguments, in a namespace."""

    def __init__(
        self, path: Path, namespace: str, program: str, arguments: list[str], environment: dict[str, str]
    ) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(path))
        request = {"namespace": namespace, "program": program, "arguments": arguments, "environment": environment}
        self._socket.sendall(json.dumps(request).encode() + b"\n")
        self.output: TextIO = self._socket.makefile("r")
        self.process = int(self.output.readline())

    def finished(self, timeout: float) -> tuple[int, list[str], str]:
        """Wait for the end; return the exit code, the lines on standard output, and standard error."""
        self._socket.settimeout(timeout)
        *lines, last = self.output.read().splitlines()
        self.close()
        code, errors = json.loads(last)
        return code, lines, errors

    def kill(self) -> None:
        """End it, if it has not ended."""
        with suppress(ProcessLookupError):
            os.kill(self.process, signal.SIGKILL)
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self.output.close()
        self._socket.close()


def serve(path: str) -> None:
    """Fork for each connection until killed."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the children
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(64)
        print("ready", flush=True)
        while True:
            connection, _ = listener.accept()
            if not os.fork():
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                listener.close()
                run(connection)
            connection.close()


def run(connection: socket.socket) -> None:
    """Be the child."""
    request = json.loads(connection.makefile("r").readline())
    os.dup2(connection.fileno(), 1)
    connection.close()
    errors = os.memfd_create("errors")
    os.dup2(errors, 2)
    print(os.getpid(), flush=True)
    enter(request["namespace"])
    os.environ.update(request["environment"])
    code = outcome(request["program"], request["arguments"])
    sys.stderr.flush()
    os.lseek(errors, 0, os.SEEK_SET)
    print(json.dumps([code, os.read(errors, 65536).decode()]), flush=True)
    os._exit(0)


def outcome(program: str, arguments: list[str]) -> Any:
    """Run a program of ours to its end and return its exit code."""
    try:
        if program == "gateway":
            anyio.run(scripted.main, json.loads(arguments[0]))
        main(arguments)
    except SystemExit as end:
        return end.code or 0
    except Exception:  # noqa: BLE001 - the parent has to hear of it
        sys.excepthook(*sys.exc_info())
    return -1


def enter(namespace: str) -> None:
    """Go into a network namespace."""
    with Path(f"/run/netns/{namespace}").open("rb") as handle:
        if ctypes.CDLL(None, use_errno=True).setns(handle.fileno(), _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")


if __name__ == "__main__":
    serve(sys.argv[1])
