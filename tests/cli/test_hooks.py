"""--exec: when the hook runs, what it is told, and what it cannot do to the command."""

import io
import os
import signal
import sys
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from portmapper import limits
from portmapper.cli.hooks.attendant import Hooks
from portmapper.cli.output import complain
from portmapper.errors import GatewayTimeout
from portmapper.model import Changed, Closed, Event, Lost, Mapped, Renewed, Restored
from tests.cli.leases import StandIn, lease
from tests.cli.test_command import environment, mapping

__all__ = ["environment"]

pytestmark = pytest.mark.anyio

GONE = GatewayTimeout("nothing came back")


@asynccontextmanager
async def hooks(command: str, told: list[str], *stand_ins: StandIn) -> AsyncGenerator[Hooks]:
    """Run hooks for the mappings until they are closed; the block has to end with that."""
    running = Hooks(command, told.append)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(running.run, [one.mapping for one in stand_ins])
        yield running


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(5):
        while not condition():
            await anyio.sleep(0.01)


def said(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


async def test_it_finds_everything_in_its_environment(tmp_path: Path) -> None:
    told: list[str] = []
    one = StandIn()
    command = f"env | grep ^PORTMAPPER_ | sort > {tmp_path}/$PORTMAPPER_EVENT"
    async with hooks(command, told, one) as running:
        running.tell(one.mapping, Changed(lease(external=79), lease()))
        await until((tmp_path / "changed").exists)
        running.tell(one.mapping, Closed(lease()))
    assert said(tmp_path / "changed") == [
        "PORTMAPPER_BACKEND=pcp",
        "PORTMAPPER_EVENT=changed",
        "PORTMAPPER_EXTERNAL_ADDRESS=203.0.113.7",
        "PORTMAPPER_EXTERNAL_PORT=80",
        "PORTMAPPER_GATEWAY=192.0.2.1",
        "PORTMAPPER_INTERNAL_ADDRESS=192.0.2.10",
        "PORTMAPPER_INTERNAL_PORT=8080",
        "PORTMAPPER_LIFETIME=7200",
        "PORTMAPPER_PREVIOUS_ADDRESS=203.0.113.7",
        "PORTMAPPER_PREVIOUS_PORT=79",
        "PORTMAPPER_PROTOCOL=tcp",
        "PORTMAPPER_REACHABILITY=unknown",
    ]
    assert (tmp_path / "closed").exists()
    assert told == []


async def test_it_runs_for_every_change_and_for_no_renewal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HOOK_QUIET", 0.0)
    one = StandIn()
    changes: list[Event] = [
        Mapped(lease()),
        Lost(lease(), GONE),
        Mapped(lease()),
        Restored(lease()),
        Changed(lease(), lease()),
    ]
    async with hooks(f"echo $PORTMAPPER_EVENT >> {tmp_path}/said", [], one) as running:
        for count, change in enumerate(changes, 1):
            running.tell(one.mapping, change)
            await until(lambda: len(said(tmp_path / "said")) == count)  # noqa: B023
            running.tell(one.mapping, Renewed(lease()))
            await anyio.sleep(0.05)
        running.tell(one.mapping, Closed(lease()))
    assert said(tmp_path / "said") == ["mapped", "lost", "mapped", "restored", "changed", "closed"]


async def test_of_a_burst_the_newest_state_is_told_once(tmp_path: Path) -> None:
    one = StandIn()
    async with hooks(f"echo $PORTMAPPER_EVENT $PORTMAPPER_EXTERNAL_PORT >> {tmp_path}/said", [], one) as running:
        for port in range(100, 150):
            running.tell(one.mapping, Lost(lease(external=port), GONE))
            await anyio.lowlevel.checkpoint()
            running.tell(one.mapping, Mapped(lease(external=port)))
            await anyio.lowlevel.checkpoint()
        await until(lambda: bool(said(tmp_path / "said")))
        running.tell(one.mapping, Closed(lease()))
    assert said(tmp_path / "said") == ["mapped 149", "closed 80"]


async def test_of_one_mapping_one_runs_at_a_time_and_then_the_newest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "HOOK_QUIET", 0.0)
    one = StandIn()
    command = f"echo begin $PORTMAPPER_EXTERNAL_PORT >> {tmp_path}/said; sleep 0.15; echo end >> {tmp_path}/said"
    async with hooks(command, [], one) as running:
        for port in range(1, 11):
            running.tell(one.mapping, Mapped(lease(external=port)))
            await anyio.sleep(0.01)
        await until(lambda: len(said(tmp_path / "said")) == 4)
        running.tell(one.mapping, Closed(lease()))
    assert said(tmp_path / "said") == ["begin 1", "end", "begin 10", "end", "begin 80", "end"]


async def test_those_of_several_mappings_run_side_by_side() -> None:
    several = [StandIn(lease(port)) for port in range(8000, 8004)]
    begin = time.monotonic()
    async with hooks("sleep 0.5", [], *several) as running:
        for one in several:
            running.tell(one.mapping, Closed(one.lease))
    assert 0.5 < time.monotonic() - begin < 1.5


async def test_one_that_fails_is_told_with_its_exit_code_and_last_words() -> None:
    told: list[str] = []
    one = StandIn()
    async with hooks("echo first >&2; echo second >&2; exit 3", told, one) as running:
        running.tell(one.mapping, Closed(lease()))
    assert told == ["the hook for 8080/tcp (closed) ended with exit code 3: second"]


async def test_one_that_a_signal_ends_is_told() -> None:
    told: list[str] = []
    one = StandIn()
    async with hooks("kill -9 $$", told, one) as running:
        running.tell(one.mapping, Closed(lease()))
    assert told == ["the hook for 8080/tcp (closed) was ended by signal 9"]


async def test_one_that_hangs_is_stopped_with_all_that_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "HOOK", 0.3)
    told: list[str] = []
    one = StandIn()
    async with hooks(f"trap '' TERM; sleep 60 & echo $! > {tmp_path}/pid; wait; sleep 60", told, one) as running:
        running.tell(one.mapping, Mapped(lease()))
        await until(lambda: bool(told))
        running.tell(one.mapping, Closed(lease()))
        monkeypatch.setattr(limits, "HOOK_CLOSED", 0.3)
    assert told[0] == "the hook for 8080/tcp (mapped) was stopped: it took too long"
    await until(lambda: is_gone(int(said(tmp_path / "pid")[0])))


def test_a_second_signal_leaves_none_behind(environment: dict[str, str], tmp_path: Path) -> None:
    hook = f"sleep 60 & echo $! > {tmp_path}/new; mv {tmp_path}/new {tmp_path}/pid; wait"
    with mapping(environment, "8080", "--exec", hook) as process:
        wait_until((tmp_path / "pid").exists)
        process.send_signal(signal.SIGTERM)
        time.sleep(0.2)  # two at once are one
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == -signal.SIGTERM
    wait_until(lambda: is_gone(int(said(tmp_path / "pid")[0])))


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def is_gone(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return True
    return status.rpartition(")")[2].split()[0] == "Z"  # ended, and nobody here has asked how


@pytest.mark.parametrize("count", [1, 12])
async def test_the_last_one_runs_and_the_way_out_stays_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """However many hang when the end comes."""
    monkeypatch.setattr(limits, "HOOK_LEFT", 0.2)
    monkeypatch.setattr(limits, "HOOK_CLOSED", 1.0)
    told: list[str] = []
    several = [StandIn(lease(8000 + number)) for number in range(count)]
    command = f"test $PORTMAPPER_EVENT = closed || exec sleep 60; echo closed >> {tmp_path}/said"
    async with hooks(command, told, *several) as running:
        for one in several:
            running.tell(one.mapping, Mapped(one.lease))
        await anyio.sleep(limits.HOOK_QUIET + 0.1)
        begin = time.monotonic()
        for one in several:
            running.tell(one.mapping, Closed(one.lease))
    assert time.monotonic() - begin < 2.0
    assert said(tmp_path / "said") == ["closed"] * count
    assert len(told) == count


async def test_those_that_hang_at_the_end_keep_others_from_running_and_that_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "HOOK_CLOSED", 0.3)
    told: list[str] = []
    several = [StandIn(lease(8000 + number)) for number in range(limits.HOOKS_AT_ONCE + 1)]
    begin = time.monotonic()
    async with hooks("exec sleep 60", told, *several) as running:
        for one in several:
            running.tell(one.mapping, Closed(one.lease))
    assert time.monotonic() - begin < 1.5
    assert sum(text.endswith("was stopped: it took too long") for text in told) == limits.HOOKS_AT_ONCE
    assert sum(text.endswith("was not run: others took too long") for text in told) == 1


async def test_nothing_that_a_router_says_is_run_as_code(tmp_path: Path) -> None:
    one = StandIn()
    evil = f"$(touch {tmp_path}/evil);`touch {tmp_path}/evil`\n;touch {tmp_path}/evil"
    async with hooks(
        f'printf %s "$PORTMAPPER_BACKEND" > {tmp_path}/said; echo $PORTMAPPER_BACKEND', [], one
    ) as running:
        running.tell(one.mapping, Closed(lease(backend=evil)))
    assert (tmp_path / "said").read_text() == evil
    assert not (tmp_path / "evil").exists()


async def test_what_it_prints_is_passed_on_safely_and_bounded() -> None:
    told: list[str] = []
    one = StandIn()
    async with hooks(r"printf '\033[2Jhello\n\n'; yes | head -200000; printf end", told, one) as running:
        running.tell(one.mapping, Closed(lease()))
    assert told[0] == r"--exec: \x1b[2Jhello"
    assert told[1:] == ["--exec: y"] * (limits.HOOK_LINES - 1)


async def test_a_line_without_end_is_cut() -> None:
    told: list[str] = []
    one = StandIn()
    async with hooks("head -c 1000000 /dev/zero | tr '\\0' x", told, one) as running:
        running.tell(one.mapping, Closed(lease()))
    assert told == [f"--exec: {'x' * limits.HOOK_LINE}..."]


async def test_a_program_that_it_leaves_behind_is_not_waited_for() -> None:
    told: list[str] = []
    one = StandIn()
    begin = time.monotonic()
    async with hooks("sleep 2 & echo started", told, one) as running:
        running.tell(one.mapping, Closed(lease()))
    assert time.monotonic() - begin < 1.5
    assert told == ["--exec: started"]


async def test_a_command_that_cannot_be_started_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    one = StandIn()
    monkeypatch.setattr(os, "environ", {**os.environ, "TOO_LONG": "x" * 10_000_000})
    async with hooks("true", told, one) as running:
        running.tell(one.mapping, Closed(lease()))
    assert told == ["the hook for 8080/tcp (closed) could not be started: [Errno 7] Argument list too long: '/bin/sh'"]


async def test_where_nobody_reads_complaints_the_command_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in ``portmapper map 8080 --exec ... 2>&1 | head -1``."""

    class Gone(io.StringIO):
        def write(self, _: str) -> int:
            raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr(sys, "stderr", Gone())
    one = StandIn()
    running = Hooks(f"echo $PORTMAPPER_EVENT >> {tmp_path}/said; echo hello; exit 3", complain)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(running.run, [one.mapping])
        running.tell(one.mapping, Mapped(one.lease))
        await until(lambda: said(tmp_path / "said") == ["mapped"])
        running.tell(one.mapping, Closed(one.lease))
    assert said(tmp_path / "said") == ["mapped", "closed"]
