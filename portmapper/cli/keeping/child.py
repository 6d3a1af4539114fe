"""The command that `run` runs."""

import os
import shutil
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import anyio
from anyio.abc import Process

from portmapper.cli.hooks.variables import lease_variables
from portmapper.cli.output import complain
from portmapper.mapping import Mapping
from portmapper.text import safe_text

NOT_EXECUTABLE, NOT_FOUND = 126, 127  # as shells have it
_BY_SIGNAL = 128


class Child:
    """One command, run once: without a shell, with our standard streams."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = tuple(command)
        self._process: Process | None = None

    def obstacle(self) -> int:
        """Return the exit code for a command that cannot be run, after telling why; 0 if nothing is in the way."""
        name = self._command[0]
        if shutil.which(name) is not None:
            return 0
        if any(path.exists() for path in _places(name)):
            complain(f"{safe_text(name)} is not executable")
            return NOT_EXECUTABLE
        complain(f"there is no command {safe_text(name)}")
        return NOT_FOUND

    async def run(self, mappings: Sequence[Mapping]) -> int:
        """Run it and return its exit code as a shell has it: 128 + n if signal n ended it."""
        environment = {**os.environ, **child_variables(mappings)}
        try:
            process = await anyio.open_process(self._command, stdin=None, stdout=None, stderr=None, env=environment)
        except OSError as error:
            complain(f"{safe_text(self._command[0])} cannot be run: {error.strerror or error}")
            return NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE
        async with process:
            self._process = process
            code = await process.wait()
        return _BY_SIGNAL - code if code < 0 else code

    def take(self, number: signal.Signals) -> bool:
        """Pass a signal on to the command, and return whether it runs: then it is the one to decide about the end."""
        if self._process is None or self._process.returncode is not None:
            return False
        if not _came_to_both(number):
            with suppress(ProcessLookupError):
                self._process.send_signal(number)
        return True


def child_variables(mappings: Sequence[Mapping]) -> dict[str, str]:
    """Return the environment variables for a command: of the first mapping, and where each port is reached."""
    variables = lease_variables(mappings[0].lease) if mappings else {}
    for mapping in mappings:
        lease = mapping.lease
        name = f"PORTMAPPER_{mapping.internal_port or 'ALL'}_{mapping.protocol.upper()}"
        name = f"{name}_IPV6" if name in variables else name  # --ipv6 has each port twice
        variables[name] = str(lease.external) if lease.external.address else f":{lease.external.port}"
    return variables


def _places(name: str) -> list[Path]:
    if os.sep in name:
        return [Path(name)]
    return [Path(folder or ".") / name for folder in os.get_exec_path()]


def _came_to_both(number: signal.Signals) -> bool:
    """Whether the terminal has sent a signal to the command too: Ctrl-C goes to all in the foreground."""
    if number != signal.SIGINT:
        return False
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError:
        return False  # there is none
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)
