"""The journals of all processes in one folder: the living, the dead, the torn, and the race for a port."""

import os
import random
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from portmapper import limits
from portmapper.errors import LocalError
from portmapper.state import turns
from portmapper.state.claims import Obstacle, in_use
from portmapper.state.files import FileLock
from portmapper.state.folder import StateFolder, default_folder, noted_mappings
from portmapper.state.journal import Note, NoteState
from tests.state.notes import ELSEWHERE, GATEWAY, note, wish

NOW = 2000.0


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[StateFolder]:
    """Begin the journal of this process."""
    begun = StateFolder(tmp_path)
    begun.begin(NOW)
    yield begun
    begun.end(())


def died_with(path: Path, *notes: Note) -> None:
    """Leave the journal of a process that was killed."""
    dead = StateFolder(path)
    dead.begin(NOW)
    dead.save(notes)
    dead.abandon()  # what the system does


def left(path: Path) -> list[Note]:
    return [one.note for one in noted_mappings(path) if not one.living]


def test_what_a_process_leaves_is_nothing_but_the_turn(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path)
    folder.begin(NOW)
    folder.save([note()])
    folder.end(())
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["journal", "turn"]


def test_what_is_still_on_a_gateway_at_the_end_is_left_for_others(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path)
    folder.begin(NOW)
    folder.save([note(), note(9000)])
    folder.end([note(9000, state=NoteState.LEFT)])
    assert left(tmp_path) == [note(9000, state=NoteState.LEFT)]


def test_a_process_lives_as_long_as_its_lock(tmp_path: Path, folder: StateFolder) -> None:
    folder.save([note()])
    (one,) = noted_mappings(tmp_path)
    assert (one.living, one.pid, one.note) == (True, os.getpid(), note())
    folder.abandon()
    assert [one.living for one in noted_mappings(tmp_path)] == [False]


def test_leases_that_have_ended_are_dropped_without_a_word(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    died_with(tmp_path, note(8080, ends=NOW + 100), note(8081, ends=NOW - 1), note(8082, ends=None))
    other = StateFolder(tmp_path)
    other.begin(NOW)
    assert [one.request.internal_port for one in left(tmp_path)] == [8080, 8082]
    other.end(())
    other = StateFolder(tmp_path)
    other.begin(NOW + 200)
    other.end(())
    assert [one.request.internal_port for one in left(tmp_path)] == [8082]
    assert caplog.messages == []


def test_a_claim_takes_what_dead_processes_left_of_the_port_into_the_own_journal(
    tmp_path: Path, folder: StateFolder
) -> None:
    died_with(tmp_path, note(8080, 9999), note(9000))
    claimed = turns.claim(folder, wish(8080), share=False, own=[note(7000)], now=NOW)
    assert isinstance(claimed, turns.Claimed)
    assert claimed.claim.request.external_port == 9999
    assert claimed.left == (note(8080, 9999, state=NoteState.LEFT),)
    assert left(tmp_path) == [note(9000)]
    mine = [one.note for one in noted_mappings(tmp_path) if one.living]
    assert mine == [note(7000), wish(8080, external_port=9999), note(8080, 9999, state=NoteState.LEFT)]


def test_what_was_left_on_purpose_stays_so_when_its_port_is_claimed(tmp_path: Path, folder: StateFolder) -> None:
    died_with(tmp_path, note(state=NoteState.DETACHED))
    claimed = turns.claim(folder, wish(), share=False, own=[], now=NOW)
    assert isinstance(claimed, turns.Claimed)
    assert claimed.left == (note(state=NoteState.DETACHED),)


def test_an_intent_is_on_the_disk_before_anything_is_asked(tmp_path: Path, folder: StateFolder) -> None:
    """What dies between the question and the answer has left a note that this may be there."""
    turns.claim(folder, wish(), share=False, own=[], now=NOW)
    folder.abandon()
    assert left(tmp_path) == [wish()]


def test_what_dead_processes_left_is_taken_over_gateway_by_gateway(tmp_path: Path, folder: StateFolder) -> None:
    died_with(tmp_path, note(8080), note(8081, gateway=ELSEWHERE), note(8082, state=NoteState.DETACHED), note(8083))
    living = StateFolder(tmp_path)
    living.begin(NOW)
    living.save([note(8083, since=5.0)])
    inherited = turns.inherit(folder, GATEWAY, own=[], now=NOW)
    assert inherited.mine == (note(8080, state=NoteState.LEFT),)
    assert [str(reason) for _, reason in inherited.others] == [
        "it is on the gateway 10.0.0.1, for 10.0.0.7",
        str(in_use(living.owner, note(8083, since=5.0))),
    ]
    assert [one.request.internal_port for one in left(tmp_path)] == [8081, 8082, 8083]
    living.end(())


def test_two_who_leave_a_shared_port_at_once_agree_who_removes_it(tmp_path: Path) -> None:
    """Each order of their turns: exactly one is the last."""
    for _ in range(50):
        pair = [StateFolder(tmp_path), StateFolder(tmp_path)]
        for one in pair:
            one.begin(NOW)
            one.save([note()])
        last: list[StateFolder] = []

        def go(one: StateFolder, last: list[StateFolder] = last) -> None:
            if not turns.leave(one, [note(state=NoteState.LEAVING)], []):
                last.append(one)

        threads = [threading.Thread(target=go, args=[one]) for one in pair]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for one in pair:
            one.end(())
        assert len(last) == 1


@pytest.mark.conforms("F44")
def test_one_port_is_never_granted_twice_in_1000_random_interleavings(tmp_path: Path) -> None:
    """F44: eight processes want three ports; each lock is of an open file, so that threads stand for processes."""
    seed = random.randrange(2**32)
    print("seed", seed)
    holders: dict[int, list[int]] = {port: [] for port in (8080, 8081, 8082)}
    doubles: list[int] = []
    grants = threading.Semaphore(1000)
    refused: list[object] = []

    def work(number: int) -> None:
        dice = random.Random(f"{seed} {number}")
        while grants.acquire(blocking=False):
            folder = StateFolder(tmp_path)
            folder.begin(NOW)
            port = dice.choice(list(holders))
            outcome = turns.claim(folder, wish(port), share=False, own=[], now=NOW)
            if isinstance(outcome, Obstacle):
                refused.append(outcome)
            else:
                holders[port].append(number)
                time.sleep(dice.random() / 500)
                doubles.extend([port] if len(holders[port]) != 1 else [])
                holders[port].remove(number)
            folder.end(()) if dice.random() < 0.8 else folder.abandon()

    threads = [threading.Thread(target=work, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert doubles == []
    assert len(refused) > 50


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ((b'{"version":1', 0o600), "damaged"),
        ((b"\0" * 2_000_000, 0o600), "longer than"),
        ((b'{"version":9}', 0o600), "another version"),
        ((b'{"version":1}', 0o644), "open to others"),
    ],
    ids=["torn", "huge", "newer", "not private"],
)
def test_a_journal_that_makes_no_sense_is_ignored_with_one_warning(
    tmp_path: Path, folder: StateFolder, caplog: pytest.LogCaptureFixture, bad: tuple[bytes, int], says: str
) -> None:
    died_with(tmp_path, note())
    path = tmp_path / "journal" / "0123456789abcdef.json"
    path.write_bytes(bad[0])
    path.chmod(bad[1])
    for _ in range(3):
        assert [one.journal.notes for one in folder.others()] == [(note(),)]
    (message,) = caplog.messages
    assert message.startswith(f"{path}: it is ignored: ")
    assert says in message
    assert path.exists()


@pytest.mark.parametrize("name", ["journal", "turn"])
def test_a_symlink_in_the_place_of_a_part_is_not_followed(tmp_path: Path, name: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises((OSError, LocalError)):
        StateFolder(tmp_path).begin(NOW)
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_what_was_half_written_when_its_process_died_is_tidied_up(tmp_path: Path, folder: StateFolder) -> None:
    folder.save([note()])
    journals = tmp_path / "journal"
    for name in ("aa.json.0011", "aa.lock", "bb.lock"):
        (journals / name).touch(0o600)
    alive = FileLock(journals / "bb.lock")
    alive.acquire()
    (journals / "bb.json.2233").touch(0o600)
    other = StateFolder(tmp_path)
    other.begin(NOW)
    other.end(())
    alive.release()
    assert len([path for path in journals.iterdir() if path.name.startswith("aa.")]) == 0
    assert len([path for path in journals.iterdir() if path.name.startswith("bb.")]) == 2


def test_a_process_that_is_stopped_with_the_turn_stops_no_other(
    tmp_path: Path, folder: StateFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "JOURNAL_TURN_LEAVING", 0.1)
    stopped = FileLock(tmp_path / "turn")
    assert stopped.acquire()
    begin = time.monotonic()
    with pytest.raises(LocalError, match="to itself"):
        turns.leave(folder, [note()], [])
    assert time.monotonic() - begin < 0.5
    stopped.release()


def test_of_too_many_journals_the_newest_are_looked_at(
    tmp_path: Path, folder: StateFolder, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "JOURNALS", 3)
    for number in range(5):
        died_with(tmp_path, note(1000 + number))
        for path in (tmp_path / "journal").glob("*.json"):
            os.utime(path, (path.stat().st_mtime - 10,) * 2)
    living = StateFolder(tmp_path)
    living.begin(NOW)
    living.save([note(2000)])
    caplog.clear()
    for path in (tmp_path / "journal").glob("*.json"):
        os.utime(path, (path.stat().st_mtime - 10,) * 2)
    for _ in range(2):
        assert [one.journal.notes[0].request.internal_port for one in folder.others()] == [2000, 1004, 1003]
    living.end(())
    assert caplog.messages == [f"{tmp_path / 'journal'}: it has 6 journals; only 3 are looked at"]


def test_more_than_a_journal_holds_is_not_noted(tmp_path: Path, folder: StateFolder) -> None:
    folder.save([note(port) for port in range(1, limits.JOURNAL_NOTES + 10)])
    assert len(noted_mappings(tmp_path)) == limits.JOURNAL_NOTES


def test_a_folder_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LocalError, match="cannot read the state in"):
        noted_mappings(tmp_path / "file" / "state")


@pytest.mark.skipif(sys.platform == "win32", reason="there the home folder is in no variable and no list")
def test_a_user_without_a_home_has_no_folder_and_none_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As a service that runs by a number, without HOME."""

    def unlisted(number: int) -> NoReturn:
        raise KeyError(number)

    monkeypatch.chdir(tmp_path)
    for name in ("HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", unlisted)
    why = "portmapper is not to be found: set HOME, or name a folder in full"
    with pytest.raises(LocalError, match=why):
        noted_mappings()
    with pytest.raises(LocalError, match=why):
        StateFolder(default_folder()).begin(0.0)
    assert list(tmp_path.iterdir()) == []
