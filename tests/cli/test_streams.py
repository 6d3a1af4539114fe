"""The command where a standard stream is closed, full, or short of characters."""

import errno
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from portmapper.cli.shortage import shortage
from tests.cli.test_command import environment, run

__all__ = ["environment"]

COMMAND = f"{sys.executable} -W error -m portmapper"


def shell(line: str, environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(line, shell=True, env=environment, capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_stream_is_in_nobodys_way(environment: dict[str, str], tmp_path: Path, closed: str) -> None:
    told = tmp_path / "told"
    line = f"{COMMAND} run 8080 --simulate -- sh -c 'echo $PORTMAPPER_EXTERNAL_PORT >{told}; exit 7' {closed}"
    assert shell(line, environment).returncode == 7
    assert told.read_text() == "8080\n"
    assert shell(f"{COMMAND} address --simulate {closed}", environment).returncode == 0


@pytest.mark.parametrize(
    "arguments", ["address --simulate", "schema", "completion bash", "backends --json", "watch --simulate"]
)
def test_a_full_disk_is_said_and_no_success(environment: dict[str, str], arguments: str) -> None:
    done = shell(f"{COMMAND} {arguments} >/dev/full", environment)
    assert (done.returncode, done.stderr) == (1, "portmapper: cannot write standard output: No space left on device\n")


@pytest.mark.parametrize("arguments", ["--help", "--version", "map --help"])
def test_so_it_is_where_only_the_help_cannot_be_written(environment: dict[str, str], arguments: str) -> None:
    done = shell(f"{COMMAND} {arguments} >/dev/full", environment)
    assert (done.returncode, done.stderr) == (1, "portmapper: the operating system refused: No space left on device\n")


@pytest.mark.parametrize("files", [6, 8, 12])
def test_too_few_files_are_no_traceback(environment: dict[str, str], files: int) -> None:
    """Wherever they run out: for the event loop, at an import or for a socket."""
    done = shell(f"ulimit -n {files}; {COMMAND} map 8080 --once --simulate", environment)
    assert done.returncode in {1, 4}
    assert "Too many open files" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_may_be_a_mistake_of_the_program_keeps_its_traceback() -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    assert str(shortage(ExceptionGroup("", [ExceptionGroup("", [full])]))).endswith("refused: No space left on device")
    assert shortage(ExceptionGroup("", [full, ValueError()])) is None
    assert shortage(OSError(errno.EINVAL, "Invalid argument")) is None


def test_what_is_open_stays_open_on_a_full_disk(environment: dict[str, str]) -> None:
    command = [*COMMAND.split(), "map", "8080", "--simulate"]
    with (
        Path("/dev/full").open("w") as full,
        subprocess.Popen(command, env=environment, stdout=full, stderr=subprocess.PIPE, text=True) as process,
    ):
        assert process.stderr is not None
        assert process.stderr.readline() == "portmapper: cannot write standard output: No space left on device\n"
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.3)
        process.send_signal(signal.SIGTERM)
        assert (process.wait(10), process.stderr.read()) == (128 + signal.SIGTERM, "")


@pytest.fixture
def full_pipe() -> Iterator[tuple[int, int]]:
    """A pipe that takes nothing more until something is read from it."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writing, b"x" * 512)
    os.set_blocking(writing, True)  # as the command will find it
    yield reading, writing
    os.close(reading)
    os.close(writing)


@pytest.mark.parametrize(("stream", "form"), [("stdout", "--json"), ("stdout", "--plain"), ("stderr", "--json")])
def test_whoever_does_not_read_keeps_nobody_from_renewing(
    environment: dict[str, str], tmp_path: Path, full_pipe: tuple[int, int], stream: str, form: str
) -> None:
    """Nor from leaving: what happened is kept meanwhile, and told when somebody reads."""
    told = tmp_path / "told"
    hook = f"echo $PORTMAPPER_EVENT >>{told}; echo and something to complain about; echo so >&2"
    command = [*COMMAND.split(), "map", "8080", "--simulate", "--lifetime", "5", "--exec", hook, form]
    others: dict[str, int] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, stream: full_pipe[1]}
    with ended(subprocess.Popen(command, env=environment, **others)) as process:  # type: ignore[call-overload]
        deadline = time.monotonic() + 10
        while not told.exists() or "mapped" not in told.read_text():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(6)  # the lease would have ended
        assert told.read_text().split() == ["mapped"]
        if stream == "stdout":
            assert "8080" in _later(full_pipe[0])
        begin = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 128 + signal.SIGTERM
        assert time.monotonic() - begin < 2


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_nor_where_nothing_is_open_by_ipv6(
    environment: dict[str, str], tmp_path: Path, full_pipe: tuple[int, int], stream: str
) -> None:
    """What is open by IPv4 is closed in time although nobody reads that."""
    told = tmp_path / "told"
    command = [*COMMAND.split(), "map", "8080", "--simulate", "--ipv6", "--backend", "pcp", "--json"]
    command += ["--exec", f"echo $PORTMAPPER_EVENT >>{told}"]
    others: dict[str, int] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, stream: full_pipe[1]}
    with ended(subprocess.Popen(command, env=environment, **others)) as process:  # type: ignore[call-overload]
        deadline = time.monotonic() + 10
        while not told.exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(1)  # the IPv6 gateway, which has no PCP, is asked
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 128 + signal.SIGTERM
    assert told.read_text().split() == ["mapped", "closed"]


@contextmanager
def ended(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """End a process in every case, also where it waits for somebody to read."""
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _later(reading: int) -> str:
    """Return what comes in the second after the pipe was emptied."""
    data, deadline = b"", time.monotonic() + 1.5
    os.set_blocking(reading, False)
    while time.monotonic() < deadline:
        with suppress(BlockingIOError):
            data += os.read(reading, 1 << 16)
        time.sleep(0.02)
    return data.decode().lstrip("x")


_PRINTS_WHILE_IT_WAITS = """
import anyio
from portmapper.cli.drawing.progress import progress
from portmapper.cli.output import Output

async def main():
    async with progress("Asking ..."):
        await anyio.sleep(1)
        Output(as_json=False).page("the result")

anyio.run(main)
"""


def test_a_word_about_what_is_waited_for_takes_nothing_from_standard_output(environment: dict[str, str]) -> None:
    leader, follower = pty.openpty()
    command = [sys.executable, "-W", "error", "-c", _PRINTS_WHILE_IT_WAITS]
    done = subprocess.run(
        command, env={**environment, "TERM": "xterm"}, stdout=subprocess.PIPE, stderr=follower, timeout=20
    )
    shown = os.read(leader, 1 << 16)
    os.close(leader)
    os.close(follower)
    assert (done.returncode, done.stdout) == (0, b"the result\n")
    assert b"Asking ..." in shown
    assert b"the result" not in shown


def test_what_a_character_set_lacks_is_written_as_its_number(environment: dict[str, str]) -> None:
    code = (
        "from portmapper.cli import streams; from portmapper.cli.output import Output;"
        "streams.make_usable(); Output(as_json=False).page('caf\\u00e9')"
    )
    done = shell(f'{sys.executable} -c "{code}"', {**environment, "PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stdout) == (0, "caf\\xe9\n")


def test_without_arguments_it_is_the_help_and_no_success(environment: dict[str, str]) -> None:
    done = run(environment)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Usage: portmapper [OPTIONS] COMMAND")
    assert "128 + n" in done.stderr
