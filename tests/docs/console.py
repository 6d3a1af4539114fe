"""Run what a console block shows, and compare what it prints."""

import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from portmapper import limits
from tests.docs.alike import alike, plain
from tests.docs.blocks import ROOT, Block
from tests.docs.home import Home

_INTERRUPT = "^C"
_PATIENCE = 20.0
_HOOKS = limits.HOOK_QUIET + 1.2  # for what --exec runs to be done before the interruption


@dataclass(frozen=True, slots=True)
class Step:
    """A command, and the lines that it shows before and after it is interrupted; `after` is None if it ends itself."""

    command: str
    before: str
    after: str | None


def steps(block: Block) -> list[Step]:
    """Return the commands of a block. Raises ValueError for a block that does not begin with one."""
    parts = re.split(r"^\$ ", block.code, flags=re.MULTILINE)
    if parts[0].strip() or len(parts) == 1:
        raise ValueError(f"{block} does not begin with a command")
    return [_step(part) for part in parts[1:]]


def _step(part: str) -> Step:
    joined = part.replace("\\\n", " ")
    command, _, output = joined.partition("\n")
    before, interrupt, after = output.partition(f"{_INTERRUPT}\n")
    return Step(command.partition("  #")[0].strip(), before, after if interrupt else None)


class Console:
    """A terminal in a home network, with a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "bin").mkdir(parents=True)
        self._install("portmapper", f'exec {sys.executable} -m tests.docs.command "$@"')

    def _install(self, name: str, script: str) -> None:
        program = self._folder / "bin" / name
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)

    def run(self, block: Block, home: Home) -> None:
        """Run a block; fail unless each command prints what the block shows."""
        for step in steps(block):
            program = shlex.split(step.command)[0]
            check = _CHECKED.get(program)
            if check is not None:
                check(shlex.split(step.command))
            else:
                self._run(block, step, home)

    def _run(self, block: Block, step: Step, home: Home) -> None:
        if shlex.split(step.command)[0] not in _RUN:
            raise ValueError(f"{block}: nothing is known of {step.command!r}")
        printed = self._printed(step, home)
        shown = step.before + (step.after or "")
        if not alike(shown, printed):
            raise AssertionError(
                f"{block}: {step.command} prints\n{plain(printed)}\nand the page shows\n{plain(shown)}"
            )

    def _printed(self, step: Step, home: Home) -> str:
        with self._started(step, home) as process, _bounded(process):
            assert process.stdout is not None
            printed = ""
            if step.after is not None:
                while not alike(step.before, printed) and (line := process.stdout.readline()):
                    printed += line
                time.sleep(_HOOKS if "--exec" in step.command else 0)
                process.send_signal(signal.SIGINT)
            return printed + process.stdout.read()

    def _started(self, step: Step, home: Home) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["sh", "-c", f"exec {step.command}" if step.after is not None else step.command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self.environment(home),
            cwd=self._folder,
            process_group=0,
        )

    def environment(self, home: Home) -> Mapping[str, str]:
        """Return the environment of a process that lives in `home` and keeps its state here."""
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "PORTMAPPER_"))},
            "DOCS_HOME": home.dump(),
            "HOME": str(self._folder),
            "PATH": f"{self._folder / 'bin'}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "COLUMNS": "200",
        }


@contextmanager
def _bounded(process: subprocess.Popen[str]) -> Iterator[None]:
    """Kill a process, and what it has started, that goes on for too long; and in any case at the end."""
    timer = threading.Timer(_PATIENCE, _kill, [process])
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        _kill(process)


def _kill(process: subprocess.Popen[str]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _check_pip(words: list[str]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = re.fullmatch(r"([a-z-]+)(?:\[([a-z]+)\])?", words[-1])
    assert words[:2] == ["pip", "install"], words
    assert wanted is not None, words
    assert wanted[1] == project["name"], words
    assert wanted[2] is None or wanted[2] in project["optional-dependencies"], words


def _check_make(words: list[str]) -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert words[1] in targets, words


_CHECKED = {"pip": _check_pip, "make": _check_make}
_RUN = {"portmapper", "python", "cat", "sh"}
