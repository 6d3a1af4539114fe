"""The folder of a user's journals, one for each process that keeps mappings: shared by them, one at a time."""

import logging
import os
import secrets
import sys
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from portmapper import limits
from portmapper.errors import LocalError
from portmapper.state.files import UNKNOWN_HOME, FileLock, is_locked, private_folder, read_private, replace_private
from portmapper.state.journal import Journal, Note, Owner, decode_journal, encode_journal

_log = logging.getLogger(__name__)
_JOURNALS, _TURN = "journal", "turn"


def default_folder() -> Path:
    """Return the folder for this user's state; without a home it is one that is refused where it is used."""
    try:
        return Path(platformdirs.user_state_path("portmapper", appauthor=False))
    except RuntimeError:  # older versions of platformdirs return such a path
        return Path(UNKNOWN_HOME, "portmapper")


def this_process() -> Owner:
    """Return what other processes are told about this one."""
    program = Path(sys.argv[0] if sys.argv else "")
    name = program.parent.name if program.name == "__main__.py" else program.name
    shown = "".join(char if char.isprintable() else "?" for char in name)
    return Owner(os.getpid(), shown[: limits.PROGRAM_NAME] or "python")


@dataclass(frozen=True, slots=True)
class Found:
    """A journal in the folder; `living` is whether the process that wrote it still runs."""

    path: Path
    journal: Journal
    living: bool


@dataclass(frozen=True, slots=True)
class NotedMapping:
    """One mapping in the journal of a program; `living` is whether that still runs."""

    note: Note
    program: str
    pid: int
    living: bool


class StateFolder:
    """The journals in a folder, and the one of this process among them once it is begun.

    Everything here reads or writes files, so it belongs into a thread. Raises OSError and LocalError.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / _JOURNALS
        self._turn = folder / _TURN
        self.owner = this_process()
        name = secrets.token_hex(8)
        self._path = self._folder / f"{name}.json"
        self._lock = FileLock(_lock_of(self._path))
        self._warned: set[Path] = set()

    def begin(self, now: float) -> None:
        """Take the lock that shows to others that this process lives, and tidy up."""
        private_folder(self._folder.parent)
        private_folder(self._folder)
        with self.turn():
            self._lock.acquire()
            self._remove_litter()
            self.take(self.others(), lambda note: note.ended(now))

    @contextmanager
    def turn(self, seconds: float = limits.JOURNAL_TURN) -> Generator[None]:
        """Keep other processes from changing what is here meanwhile; not within another turn.

        Raises LocalError when another one has had the turn for so long.
        """
        lock = FileLock(self._turn)
        deadline = time.monotonic() + seconds
        while not lock.acquire():
            if time.monotonic() > deadline:
                raise LocalError(f"another program keeps {self._folder} to itself")
            time.sleep(limits.JOURNAL_POLL)
        try:
            yield
        finally:
            lock.release()

    def others(self) -> list[Found]:
        """Return the journals of other processes, without those that make no sense."""
        found: list[Found] = []
        for living, path in self._looked_at():
            with self._ignoring(path):
                journal = decode_journal(read_private(path, limits.JOURNAL_BYTES + 1))
                found.append(Found(path, journal, living))
        return found

    def save(self, notes: Sequence[Note]) -> None:
        """Write the journal of this process."""
        kept = tuple(notes)[: limits.JOURNAL_NOTES]
        replace_private(self._path, encode_journal(Journal(self.owner, kept)))

    def take(self, found: Iterable[Found], wanted: Callable[[Note], bool]) -> None:
        """Remove notes from journals of dead processes, in this process's turn, after saving them in its own."""
        for one in found:
            rest = tuple(note for note in one.journal.notes if not wanted(note))
            if one.living or len(rest) == len(one.journal.notes):
                continue
            if rest:
                replace_private(one.path, encode_journal(Journal(one.journal.owner, rest)))
            else:
                _remove(one.path)

    def end(self, notes: Sequence[Note]) -> None:
        """Leave the notes of what is still on a gateway for others to find; without any, leave nothing behind."""
        try:
            if notes:
                self.save(notes)
            else:
                self._path.unlink(missing_ok=True)
        finally:
            self._lock.release()
            if not self._path.exists():
                _lock_of(self._path).unlink(missing_ok=True)

    def abandon(self) -> None:
        """Give back what `begin` took, without a word."""
        self._lock.release()

    def _remove_litter(self) -> None:
        """Remove what processes left that died while they wrote, or before they wrote anything."""
        for path in (*self._folder.glob("*.json.*"), *self._folder.glob("*.lock")):
            journal = self._folder / f"{path.name.partition('.')[0]}.json"
            unfinished = path.suffix != ".lock" or not journal.exists()
            with self._ignoring(path):
                if unfinished and not is_locked(_lock_of(journal)):
                    path.unlink(missing_ok=True)

    def _looked_at(self) -> list[tuple[bool, Path]]:
        """Return whether their processes live and where other journals are; of too many the living and the newest."""
        ranked: list[tuple[bool, float, Path]] = []
        for path in self._folder.glob("*.json"):
            with self._ignoring(path):
                if path != self._path:
                    ranked.append((is_locked(_lock_of(path)), path.lstat().st_mtime, path))
        ranked.sort(reverse=True)
        if len(ranked) > limits.JOURNALS:
            self._warn(self._folder, f"it has {len(ranked)} journals; only {limits.JOURNALS} are looked at")
        return [(living, path) for living, _, path in ranked[: limits.JOURNALS]]

    @contextmanager
    def _ignoring(self, path: Path) -> Generator[None]:
        try:
            yield
        except FileNotFoundError:
            pass  # its process has just ended
        except (OSError, LocalError) as problem:
            self._warn(path, f"it is ignored: {problem}")

    def _warn(self, path: Path, text: str) -> None:
        if path not in self._warned:
            self._warned.add(path)
            _log.warning("%s: %s", path, text)


def noted_mappings(folder: Path | None = None) -> tuple[NotedMapping, ...]:
    """Return what this host has, or left, on any gateway, by the journals of its programs; no gateway is asked.

    `folder` is the `state` of those programs, by default that of this user. It reads files: call it in a thread from
    asynchronous code. Raises LocalError when the folder cannot be used.
    """
    state = folder or default_folder()
    try:
        private_folder(state)
        found = StateFolder(state).others()
    except OSError as error:
        raise LocalError(f"cannot read the state in {state}: {error.strerror}") from error
    return tuple(
        NotedMapping(note, owner.program, owner.pid, one.living)
        for one in found
        for owner in (one.journal.owner,)
        for note in one.journal.notes
    )


def _lock_of(path: Path) -> Path:
    return path.with_suffix(".lock")


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
    _lock_of(path).unlink(missing_ok=True)
