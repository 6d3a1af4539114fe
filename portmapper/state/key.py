"""The secret key from which PCP nonces are derived."""

import os
import secrets
from pathlib import Path

from portmapper import limits
from portmapper.errors import LocalError
from portmapper.state.files import private_folder, read_private, write_aside

_KEY_FILE = "key"


def new_key() -> bytes:
    """Return a fresh secret, for those who need nothing to survive."""
    return secrets.token_bytes(limits.STATE_KEY)


def load_key(folder: Path) -> bytes:
    """Return the key kept in `folder`, made at the first call; readable by its owner only.

    Raises LocalError when the folder cannot be used, or holds something that is not a key of ours.
    """
    try:
        private_folder(folder)
        return _create_key(folder / _KEY_FILE)
    except FileExistsError:
        return _read_key(folder / _KEY_FILE)
    except OSError as error:
        raise LocalError(f"cannot keep state in {folder}: {error.strerror}") from error


def _create_key(path: Path) -> bytes:
    # Written aside and linked into place: another process sees a whole key or none, and only one of two wins.
    if os.path.lexists(path):
        raise FileExistsError(path)
    key = new_key()
    aside = write_aside(path, key)
    try:
        os.link(aside, path, follow_symlinks=False)
    finally:
        aside.unlink(missing_ok=True)
    return key


def _read_key(path: Path) -> bytes:
    try:
        key = read_private(path, limits.STATE_KEY + 1)
    except OSError as error:
        raise LocalError(f"cannot read {path}: {error.strerror}") from error
    if len(key) != limits.STATE_KEY:
        raise LocalError(f"{path} is damaged; remove it to start afresh")
    return key
