"""Files of ours: nobody else's are believed, and each is whole or not there."""

import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from portmapper.errors import LocalError
from portmapper.state.files import FileLock, is_locked, private_folder, read_private, replace_private

ROOT = hasattr(os, "geteuid") and os.geteuid() == 0
NOBODY = 65534


def test_a_file_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    replace_private(tmp_path / "file", b"text")
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o600
    assert read_private(tmp_path / "file", 10) == b"text"
    assert read_private(tmp_path / "file", 2) == b"te"


def _symlink(path: Path) -> None:
    other = path.with_name("other")
    replace_private(other, b"text")
    path.symlink_to(other)


def _open_to_others(path: Path) -> None:
    replace_private(path, b"text")
    path.chmod(0o644)


def _foreign(path: Path) -> None:
    if not ROOT:
        pytest.skip("only root can give a file away")
    replace_private(path, b"text")
    os.chown(path, NOBODY, NOBODY)


@pytest.mark.parametrize("plant", [_symlink, os.mkfifo, _open_to_others, _foreign, Path.mkdir])
@pytest.mark.parametrize("use", [lambda path: read_private(path, 10), lambda path: FileLock(path).acquire()])
def test_what_is_not_a_file_of_ours_alone_is_refused(
    tmp_path: Path, plant: Callable[[Path], None], use: Callable[[Path], object]
) -> None:
    """S52: a symlink, a FIFO that would never end, a file that others can read, another user's, a folder."""
    plant(tmp_path / "file")
    with pytest.raises((OSError, LocalError)):
        use(tmp_path / "file")


def test_a_file_is_replaced_not_written_through_a_symlink(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (tmp_path / "file").symlink_to(victim)
    replace_private(tmp_path / "file", b"text")
    assert victim.read_bytes() == b"precious"
    assert not (tmp_path / "file").is_symlink()


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777])
def test_a_folder_that_others_may_write_to_is_refused(tmp_path: Path, mode: int) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder").chmod(mode)
    with pytest.raises(LocalError, match="open to others"):
        private_folder(tmp_path / "folder")


def test_a_folder_that_is_a_symlink_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "folder").symlink_to(tmp_path / "other")
    with pytest.raises(LocalError, match="not a folder"):
        private_folder(tmp_path / "folder")


@pytest.mark.skipif(not ROOT, reason="only root can give a folder away")
def test_a_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.chown(tmp_path / "folder", NOBODY, NOBODY)
    with pytest.raises(LocalError, match="another user"):
        private_folder(tmp_path / "folder")


@pytest.mark.parametrize("call", ["write", "flush", "fsync", "replace"])
def test_trouble_at_any_step_leaves_the_old_file_and_no_litter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    replace_private(tmp_path / "file", b"old")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    if call == "fsync":
        monkeypatch.setattr(os, "fsync", fail)
    elif call == "replace":
        monkeypatch.setattr(Path, "replace", fail)
    else:
        monkeypatch.setattr(os, "fdopen", _fdopen_whose(call, fail))
    with pytest.raises(OSError, match="No space left"):
        replace_private(tmp_path / "file", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"old"


def _fdopen_whose(call: str, fail: Callable[..., None]) -> Callable[..., object]:
    class Failing:
        def __init__(self, descriptor: int, _: str) -> None:
            self._descriptor = descriptor
            setattr(self, call, fail)

        def __enter__(self) -> "Failing":
            return self

        def __exit__(self, *_: object) -> None:
            os.close(self._descriptor)

        def write(self, _: bytes) -> None: ...

        def flush(self) -> None: ...

    return Failing


def test_readers_see_the_old_file_or_the_new_one_whole(tmp_path: Path) -> None:
    path, sizes, stop = tmp_path / "file", set[int](), threading.Event()
    contents = [bytes([65 + number]) * 20_000 for number in range(4)]
    replace_private(path, contents[0])

    def read() -> None:
        while not stop.is_set():
            data = read_private(path, 30_000)
            sizes.add(len(data) if len(set(data)) == 1 else -1)

    thread = threading.Thread(target=read)
    thread.start()
    for number in range(200):
        replace_private(path, contents[number % 4])
    stop.set()
    thread.join()
    assert sizes == {20_000}


def test_a_lock_is_one_holders_and_those_who_look_do_not_disturb(tmp_path: Path) -> None:
    first, second = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    assert not is_locked(tmp_path / "lock")
    assert first.acquire()
    assert not second.acquire()
    assert is_locked(tmp_path / "lock")
    first.release()
    first.release()
    assert not is_locked(tmp_path / "lock")
    looking = FileLock(tmp_path / "lock")
    assert looking.acquire(os.O_RDWR, shared=True)
    assert not is_locked(tmp_path / "lock")
    looking.release()
    assert second.acquire()
    second.release()


def test_a_lock_ends_with_its_process_however_that_ends(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from portmapper.state.files import FileLock\n"
        "print(FileLock(Path(sys.argv[1])).acquire(), flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "lock")], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"True\n"
        assert is_locked(tmp_path / "lock")
        process.kill()
    assert not is_locked(tmp_path / "lock")
