"""The key that survives: private, whole or not at all."""

import stat
import threading
from pathlib import Path

import pytest

from portmapper.errors import LocalError
from portmapper.state.key import load_key, new_key


@pytest.mark.conforms("PC-162")
def test_the_key_is_made_once_and_read_ever_after(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "state"
    key = load_key(folder)
    assert len(key) == 32
    assert load_key(folder) == key
    assert [path.name for path in folder.iterdir()] == ["key"]


@pytest.mark.conforms("PC-162")
def test_only_its_owner_reads_it(tmp_path: Path) -> None:
    """S52."""
    folder = tmp_path / "state"
    load_key(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "key").stat().st_mode) == 0o600


def test_two_keys_differ() -> None:
    assert new_key() != new_key()


def test_a_symlink_is_not_followed(tmp_path: Path) -> None:
    """S52."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(bytes(32))
    (tmp_path / "key").symlink_to(elsewhere)
    with pytest.raises(LocalError):
        load_key(tmp_path)


@pytest.mark.parametrize("content", [b"", b"short", bytes(33)])
def test_a_damaged_key_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "key").write_bytes(content)
    (tmp_path / "key").chmod(0o600)
    with pytest.raises(LocalError, match="damaged"):
        load_key(tmp_path)


def test_a_key_that_others_could_read_is_refused(tmp_path: Path) -> None:
    load_key(tmp_path)
    (tmp_path / "key").chmod(0o644)
    with pytest.raises(LocalError, match=r"open to others \(mode 644\)"):
        load_key(tmp_path)


def test_a_folder_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LocalError, match="cannot keep state"):
        load_key(tmp_path / "file" / "state")


def test_two_that_start_at_once_agree(tmp_path: Path) -> None:
    keys: list[bytes] = []
    threads = [threading.Thread(target=lambda: keys.append(load_key(tmp_path))) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(keys)) == 1
