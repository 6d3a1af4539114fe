"""What programs of this host have and left, as the command tells it; journals are made here, no gateway is asked."""

import json
import os
import time
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from portmapper.model import Gateway
from portmapper.state.folder import StateFolder
from portmapper.state.journal import Note, NoteState
from tests.cli.test_command import environment, run
from tests.state.notes import note

__all__ = ["environment"]

NOWHERE = Gateway(address=IPv4Address("127.0.0.2"), source=IPv4Address("127.0.0.1"))
BEGIN = 1_700_000_000.0


@pytest.fixture
def living(environment: dict[str, str]) -> Iterator[StateFolder]:
    """Begin the journal of this process."""
    folder = StateFolder(Path(environment["PORTMAPPER_STATE"]))
    folder.begin(time.time())
    yield folder
    folder.end(())


def held(port: int = 8080, external: int | None = 9001, seconds: float | None = 600, **more: object) -> Note:
    ends = None if seconds is None else round(time.time() + seconds)
    return note(port, external, gateway=NOWHERE, since=BEGIN, ends=ends, **more)  # type: ignore[arg-type]


def test_a_port_that_another_program_has_is_one_line_and_exit_6(
    environment: dict[str, str], living: StateFolder
) -> None:
    living.save([held()])
    done = run(environment, "map", "8080", "--gateway", "127.0.0.2")
    assert done.returncode == 6
    assert done.stderr.count("\n") == 1
    assert f"(process {os.getpid()}) on this host has it at external port 9001, since 2023-11-1" in done.stderr
    done = run(environment, "map", "8080", "--gateway", "127.0.0.2", "--json")
    assert json.loads(done.stdout)["error"] == "InUseLocally"


@pytest.mark.parametrize("option", ["--share", "--no-state"])
def test_a_port_that_another_program_has_may_be_asked_for_all_the_same(
    environment: dict[str, str], living: StateFolder, option: str
) -> None:
    """Nothing listens there."""
    living.save([held()])
    assert run(environment, "map", "8080", "--gateway", "127.0.0.2", option).returncode == 4


def test_without_state_no_folder_is_made(environment: dict[str, str]) -> None:
    run(environment, "map", "8080", "--gateway", "127.0.0.2", "--no-state")
    run(environment, "map", "8080", "--simulate", "--once")
    assert not Path(environment["PORTMAPPER_STATE"]).exists()


def test_what_programs_of_this_host_have_and_left_is_listed(environment: dict[str, str], living: StateFolder) -> None:
    dead = StateFolder(Path(environment["PORTMAPPER_STATE"]))
    dead.begin(time.time())
    dead.save(
        [
            held(8081, None, None, state=NoteState.ASKED, backend=None),
            held(8082, seconds=None, state=NoteState.LEFT, protocol="udp"),
            held(8083, state=NoteState.DETACHED),
            held(8084, seconds=-1),
        ]
    )
    dead.abandon()
    living.save([held()])
    done = run(environment, "list", "--mine")
    owner = f"{living.owner.program} (process {os.getpid()})"
    gone = f"left by {owner}, which is dead: unmap --stale"
    assert done.stderr == ""
    lines = [line.replace("599 s", "600 s") for line in done.stdout.splitlines()]
    assert lines == [
        f"127.0.0.1:8080/tcp (external port 9001) at the gateway 127.0.0.2 (600 s left, {owner}, held)",
        f"127.0.0.1:8081/tcp at the gateway 127.0.0.2 ({gone})",
        f"127.0.0.1:8082/udp (external port 9001) at the gateway 127.0.0.2 (without end, {gone})",
        f"127.0.0.1:8083/tcp (external port 9001) at the gateway 127.0.0.2 (600 s left, left on purpose by {owner})",
    ]


def test_what_is_listed_has_the_documented_keys(environment: dict[str, str], living: StateFolder) -> None:
    living.save([held()])
    found = json.loads(run(environment, "list", "--mine", "--json").stdout)
    assert 590 < found.pop("remaining") <= 600
    assert found == {
        "event": "noted",
        "protocol": "tcp",
        "internal": {"address": "127.0.0.1", "port": 8080},
        "external": {"address": "203.0.113.7", "port": 9001},
        "remote": [],
        "backend": "pcp",
        "gateway": "127.0.0.2",
        "state": "held",
        "description": "portmapper",
        "since": "2023-11-14T22:13:20+00:00",
        "program": living.owner.program,
        "pid": os.getpid(),
        "living": True,
    }


def test_nothing_noted_is_said(environment: dict[str, str]) -> None:
    assert run(environment, "list", "--mine").stdout == "nothing is noted of any program of this host\n"


def test_what_cannot_be_removed_is_said(environment: dict[str, str]) -> None:
    """Of another gateway it is only said; of this one it is a failure."""
    dead = StateFolder(Path(environment["PORTMAPPER_STATE"]))
    dead.begin(time.time())
    dead.save([note(8081, gateway=Gateway(address=IPv4Address("10.0.0.1"), source=NOWHERE.source), ends=None)])
    dead.abandon()
    done = run(environment, "unmap", "--stale", "--gateway", "127.0.0.2")
    assert (done.returncode, done.stderr) == (0, "")
    stays = "127.0.0.1:8081/tcp (external port 8080) stays at 10.0.0.1: it is on the gateway 10.0.0.1, for 127.0.0.1"
    assert done.stdout == f"{stays}\n"
    again = StateFolder(Path(environment["PORTMAPPER_STATE"]))
    again.begin(time.time())
    again.save([held()])
    again.abandon()
    done = run(environment, "unmap", "--stale", "--gateway", "127.0.0.2", "--json", "--backend", "pcp")
    assert done.returncode == 1
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(one["event"], one.get("removed")) for one in found] == [
        ("cleared", False),
        ("cleared", False),
        ("error", None),
    ]
    assert "refused" in found[0]["reason"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["unmap", "--stale", "8080"], "--stale goes without PORT"),
        (["unmap", "--stale", "--no-state"], "--stale goes without PORT, --all-mine, --no-state"),
        (["list", "--mine", "--no-state"], "--mine goes without --no-state"),
    ],
)
def test_what_contradicts_itself_is_exit_2(environment: dict[str, str], arguments: list[str], says: str) -> None:
    done = run(environment, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr
