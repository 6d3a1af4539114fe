"""Run the tests against a real router, and those of whole programs, beside all others: they mostly wait.

Programs and others bind fixed ports, so where that is possible each gets a network of its own. Prints the output of the
others as it comes, then that of the programs and of the router tests.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, NoReturn

_ROUTER = "tests/router"
_PROGRAMS = [f"tests/{name}" for name in ("callback", "cli", "docs", "doctor", "examples", "sync", "terminal")]
_OWN_NETWORK = ("unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh")
_TICK = 0.2
_PATIENCE = 20.0


def main() -> int:
    """Return 0 if all runs pass, else the exit code of the first that does not."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a background job of a shell ignores
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGHUP, _interrupt)
    with ExitStack() as stack:
        beside = [
            stack.enter_context(_beside("programs", _PROGRAMS, prefix=_own_network())),
            stack.enter_context(_beside("router", [_ROUTER])),
        ]
        apart = [word for folder in (_ROUTER, *_PROGRAMS) for word in ("--ignore", folder)]
        others = stack.enter_context(_running(apart, prefix=_own_network()))
        others.wait()
        for file, run in beside:
            _follow(file, run)
        return next((run.returncode for run in (others, *(run for _, run in beside)) if run.returncode), 0)


@contextmanager
def _beside(
    name: str, arguments: Sequence[str], *, prefix: Sequence[str] = ()
) -> Iterator[tuple[Path, subprocess.Popen[bytes]]]:
    """Run pytest with its output in a file; each run remembers its failures in a folder of its own."""
    words = [*arguments, "-o", f"cache_dir=.pytest_cache/{name}"]
    with (
        tempfile.NamedTemporaryFile(prefix=f"{name}-tests-", suffix=".txt") as file,
        _running(words, prefix=prefix, stdout=file.file) as run,
    ):
        yield Path(file.name), run


def _own_network() -> Sequence[str]:
    possible = sys.platform == "linux" and os.geteuid() == 0 and shutil.which("unshare") and shutil.which("ip")
    return _OWN_NETWORK if possible else ()


@contextmanager
def _running(
    arguments: Sequence[str], *, prefix: Sequence[str] = (), stdout: IO[bytes] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run pytest; interrupt it at the end if it still runs, and let it remove its namespaces and processes."""
    command = [*prefix, sys.executable, "-m", "pytest", *arguments]
    # Ctrl-C reaches a process group: in one of its own a run gets one signal, from here, and no second in its clean-up.
    with subprocess.Popen(command, stdout=stdout, stderr=subprocess.STDOUT if stdout else None, process_group=0) as run:
        try:
            yield run
        finally:
            while run.poll() is None:
                run.send_signal(signal.SIGINT)  # again, if it is lost in the exception group of a test
                with suppress(KeyboardInterrupt, subprocess.TimeoutExpired):
                    run.wait(_PATIENCE)


def _follow(path: Path, run: subprocess.Popen[bytes]) -> None:
    """Print what a run has written, and what it writes until it ends."""
    with path.open("rb") as written:
        ended = False
        while not ended:
            ended = run.poll() is not None  # before the last look, which then sees everything
            sys.stdout.buffer.write(written.read())
            sys.stdout.flush()
            if not ended:
                time.sleep(_TICK)


def _interrupt(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
