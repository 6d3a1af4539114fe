"""Run the tests against a real router beside all others: they spend most of their time waiting.

The others bind fixed ports, so where that is possible they get a network of their own. Prints the output of the others
as it comes, then that of the router tests.
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
_OWN_NETWORK = ("unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh")
_TICK = 0.2
_PATIENCE = 20.0


def main() -> int:
    """Return 0 if both runs pass, else the exit code of the first that does not."""
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGHUP, _interrupt)
    with ExitStack() as stack:
        file = stack.enter_context(tempfile.NamedTemporaryFile(prefix="router-tests-", suffix=".txt"))
        # Each run remembers its failures in a folder of its own.
        router = stack.enter_context(_running([_ROUTER, "-o", "cache_dir=.pytest_cache/router"], stdout=file.file))
        others = stack.enter_context(_running(["--ignore", _ROUTER], prefix=_own_network()))
        others.wait()
        _follow(Path(file.name), router)
        return others.returncode or router.returncode


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
