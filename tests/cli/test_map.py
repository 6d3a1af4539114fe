"""`portmapper map`: several ports at once, in order, all or nothing; the hook and the file."""

import json
import re
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from portmapper.cli import main
from portmapper.cli.commands.map import _map_and_hold, _map_once
from portmapper.cli.keeping.wanted import Wanted
from portmapper.errors import InvalidRequest, PortMapperError
from portmapper.model import IPAddress
from portmapper.net import clock
from portmapper.testing import SimulatedGateway
from tests.cli.sessions import running, simulate, simulated, wanted
from tests.cli.test_hooks import said, until
from tests.mapper.test_both import taken_for_udp

__all__ = ["simulated", "taken_for_udp"]


class SlowAboutTheSecond(SimulatedGateway):
    """Drops the first request for port 8001, which is so granted later than those that are asked for after it."""

    def __init__(self) -> None:
        super().__init__()
        self.dropped = False

    def answer_datagram(self, data: bytes, sender: IPAddress) -> list[bytes]:
        if len(data) >= 60 and data[1] == 1 and int.from_bytes(data[40:42]) == 8001 and not self.dropped:
            self.dropped = True
            return []
        return super().answer_datagram(data, sender)


async def printed(capsys: pytest.CaptureFixture[str], count: int) -> list[str]:
    """Wait until so many lines are printed, and return them."""
    seen: list[str] = []

    def enough() -> bool:
        seen.extend(capsys.readouterr().out.splitlines())
        return len(seen) >= count

    await until(enough)
    return seen


async def failure_of(asked: Wanted) -> PortMapperError:
    """Return why what is asked for cannot be opened."""
    async with anyio.create_task_group() as tasks:
        with pytest.raises(PortMapperError) as caught:
            await _map_and_hold(asked, tasks)
    return caught.value


@pytest.mark.anyio
async def test_what_is_granted_is_printed_in_the_order_of_the_command_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    simulate(monkeypatch, SlowAboutTheSecond)
    asked = wanted("8000-8002:21620", "7000:21630/both", "--json")
    async with running(partial(_map_and_hold, asked)):
        mapped = [json.loads(line) for line in await printed(capsys, 5)]
        assert [(one["internal"]["port"], one["external"]["port"], one["protocol"]) for one in mapped] == [
            (8000, 21620, "tcp"),
            (8001, 21621, "tcp"),
            (8002, 21622, "tcp"),
            (7000, 21630, "tcp"),
            (7000, 21630, "udp"),
        ]
    closed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert sorted(one["event"] for one in closed) == ["closed"] * 5


@pytest.mark.anyio
async def test_one_that_fails_is_named_and_nothing_stays_open(
    simulated: list[SimulatedGateway], taken_for_udp: int, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = wanted("8000-8003:21640", f"7000:{taken_for_udp}/both", "--exact", "--backend", "pcp")
    told = str(await failure_of(asked))
    assert told.startswith("7000/both cannot be opened: the gateway 127.0.0.1 refused\n  pcp: ")
    assert list(simulated[0].table) == []
    assert capsys.readouterr().out == ""


@pytest.mark.anyio
@pytest.mark.parametrize(("ports", "begin"), [(1, ""), (2, "800. cannot be opened: ")])
async def test_which_one_it_was_is_said_if_there_are_several(
    monkeypatch: pytest.MonkeyPatch, ports: int, begin: str
) -> None:
    simulate(monkeypatch, lambda: SimulatedGateway(pcp=False, natpmp=False, upnp=False))
    asked = wanted(*[str(8000 + number) for number in range(ports)], "--backend", "pcp")
    told = str(await failure_of(asked))
    assert re.match(begin.replace(" ", "/tcp ", 1) + "no port mapping service answered", told)


@pytest.mark.anyio
async def test_the_lifetime_and_the_wish_reach_the_gateway(simulated: list[SimulatedGateway]) -> None:
    asked = wanted("8000", "--external", "21650", "--lifetime", "600")
    async with running(partial(_map_and_hold, asked)):
        await until(lambda: bool(simulated) and bool(list(simulated[0].table)))
        (entry,) = simulated[0].table
        assert entry.external_port == 21650
        assert 590 < entry.ends - clock.now() <= 600


@pytest.mark.anyio
async def test_the_hook_and_the_file_follow_what_happens(
    simulated: list[SimulatedGateway], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, heard = tmp_path / "ports", tmp_path / "heard"
    hook = f"echo $PORTMAPPER_EVENT $PORTMAPPER_INTERNAL_PORT >> {heard}"
    words = ("8001:21661", "8000:21660", "--write", str(file), "--exec", hook, "--backend", "pcp")
    asked = await anyio.to_thread.run_sync(partial(wanted, *words))  # it looks at the file before a loop runs
    async with running(partial(_map_and_hold, asked)):
        await until(lambda: file.exists() and len(said(heard)) == 2)
        assert said(file) == ["21661", "21660"]
        assert sorted(said(heard)) == ["mapped 8000", "mapped 8001"]
    assert not file.exists()
    assert sorted(said(heard)[2:]) == ["closed 8000", "closed 8001"]
    assert capsys.readouterr().err == ""


@pytest.mark.anyio
async def test_once_leaves_them_open(simulated: list[SimulatedGateway], capsys: pytest.CaptureFixture[str]) -> None:
    async with anyio.create_task_group() as tasks:
        await _map_once(wanted("8000-8001:21670"), tasks)
        assert sorted(entry.external_port for entry in simulated[0].table) == [21670, 21671]
    assert [line.split(" (")[0] for line in capsys.readouterr().out.splitlines()] == [
        "127.0.0.1:8000/tcp is open at 127.0.0.1:21670",
        "127.0.0.1:8001/tcp is open at 127.0.0.1:21671",
    ]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["8080", "--write", "/nowhere/ports"], "--write: /nowhere/ports cannot be written: No such file or directory"),
        (["8080", "--once", "--write", "ports"], "--once goes without --exec and --write"),
        (["8080", "--once", "--exec", "true"], "--once goes without --exec and --write"),
        (["8080", "8081", "--external", "80"], "--external goes with one port"),
    ],
)
def test_what_makes_no_sense_is_said_before_anything_is_mapped(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    monkeypatch.setattr("portmapper.cli.commands.map.run_session", pytest.fail)
    with pytest.raises(SystemExit) as caught:
        main(["map", "--simulate", "--no-state", *arguments])
    assert caught.value.code == 2
    assert says in capsys.readouterr().err


def test_a_hundred_and_twenty_eight_are_the_most() -> None:
    assert len(wanted("1-128").wishes) == 128
    with pytest.raises(InvalidRequest, match="more than 128 ports"):
        wanted("1-129")
