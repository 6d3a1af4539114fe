"""What survives a crash: the secret key from which PCP nonces are derived."""

import os
import secrets
import stat
from pathlib import Path

import platformdirs

from portmapper import limits
from portmapper.errors import LocalError

_KEY_FILE = "key"


def default_folder() -> Path:
    """Return the folder for this user's state."""
    return Path(platformdirs.user_state_path("portmapper", appauthor=False))


def new_key() -> bytes:
    """Return a fresh secret, for those who need nothing to survive."""
    return secrets.token_bytes(limits.STATE_KEY)


def load_key(folder: Path) -> bytes:
    """Return the key kept in `folder`, made at the first call; readable by its owner only.

    Raises LocalError when the folder cannot be used, or holds something that is not a key of ours.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return _create_key(folder / _KEY_FILE)
    except FileExistsError:
        return _read_key(folder / _KEY_FILE)
    except OSError as error:
        raise LocalError(f"cannot keep state in {folder}: {error.strerror}") from error


def _create_key(path: Path) -> bytes:
    # Written aside and linked into place: another process sees a whole key or none, and only one of two wins.
    key = new_key()
    aside = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    if path.exists():
        raise FileExistsError(path)
    try:
        _write_private(aside, key)
        os.link(aside, path, follow_symlinks=False)
    finally:
        aside.unlink(missing_ok=True)
    return key


def _write_private(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)


def _read_key(path: Path) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
        with os.fdopen(descriptor, "rb") as file:
            _check_owner(path, os.fstat(file.fileno()))
            key = file.read(limits.STATE_KEY + 1)
    except OSError as error:
        raise LocalError(f"cannot read {path}: {error.strerror}") from error
    if len(key) != limits.STATE_KEY:
        raise LocalError(f"{path} is damaged; remove it to start afresh")
    return key


def _check_owner(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise LocalError(f"{path} is not a regular file")
    if hasattr(os, "getuid") and status.st_uid != os.getuid():
        raise LocalError(f"{path} belongs to another user")
