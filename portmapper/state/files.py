"""Files that nobody else may read or plant: owner checked, no symlink followed, written whole or not at all."""

import os
import secrets
import stat
import sys
from pathlib import Path

from portmapper.errors import LocalError

_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_NONBLOCK = getattr(os, "O_NONBLOCK", 0)  # a FIFO in the place of a file must not stop us
UNKNOWN_HOME = "~"
_OTHERS_WRITE = 0o022
_OTHERS_READ = 0o077


def private_folder(path: Path) -> None:
    """Make a folder of ours, if it is not there. Raises OSError, and LocalError for one that others may write to.

    One in a home folder that is not known is refused too: "~" would be made wherever the program was started.
    """
    if path.parts[:1] == (UNKNOWN_HOME,):
        raise LocalError(f"{path} is not to be found: set HOME, or name a folder in full")
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode):
        raise LocalError(f"{path} is not a folder")
    _check_ours(path, status, _OTHERS_WRITE)


def read_private(path: Path, limit: int) -> bytes:
    """Return the first `limit` bytes of a file of ours. Raises OSError, and LocalError for what is no such file."""
    descriptor = os.open(path, os.O_RDONLY | _NOFOLLOW | _NONBLOCK)
    try:
        _check_file(path, os.fstat(descriptor))
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(limit)
    finally:
        os.close(descriptor)


def write_aside(path: Path, data: bytes) -> Path:
    """Write a new file beside `path`, safe against a loss of power, and return it. Raises OSError."""
    aside = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        aside.unlink(missing_ok=True)
        raise
    return aside


def replace_private(path: Path, data: bytes) -> None:
    """Put a file in the place of `path`: others see the old one or the new one, whole. Raises OSError."""
    aside = write_aside(path, data)
    try:
        aside.replace(path)
    except OSError:
        aside.unlink(missing_ok=True)
        raise


def is_locked(path: Path) -> bool:
    """Whether a process that lives holds the lock of that name. Raises OSError, and LocalError as FileLock does."""
    lock = FileLock(path)
    try:
        return not lock.acquire(os.O_RDWR, shared=True)  # shared, so that two who look do not see each other
    except FileNotFoundError:
        return False
    finally:
        lock.release()


class FileLock:
    """A lock that the system takes back when the process ends, however it ends.

    Of the open file, not of the process: two in one process exclude each other too.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def acquire(self, flags: int = os.O_RDWR | os.O_CREAT, *, shared: bool = False) -> bool:
        """Take the lock; False when somebody has it. Raises OSError, and LocalError for a file that is not ours."""
        descriptor = os.open(self._path, flags | _NOFOLLOW | _NONBLOCK, 0o600)
        taken = False
        try:
            _check_file(self._path, os.fstat(descriptor))
            taken = _try_lock(descriptor, shared=shared)
        finally:
            if taken:
                self._descriptor = descriptor
            else:
                os.close(descriptor)
        return taken

    def release(self) -> None:
        """Give the lock back; twice is fine."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _check_file(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise LocalError(f"{path} is not a regular file")
    _check_ours(path, status, _OTHERS_READ)


def _check_ours(path: Path, status: os.stat_result, forbidden: int) -> None:
    if sys.platform == "win32":
        return  # the folder is in the user's profile, which others cannot write to
    if status.st_uid != os.geteuid():
        raise LocalError(f"{path} belongs to another user")
    if status.st_mode & forbidden:
        raise LocalError(f"{path} is open to others (mode {stat.S_IMODE(status.st_mode):o})")


if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor: int, *, shared: bool) -> bool:  # noqa: ARG001 - there are no shared ones
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        return True

else:
    import fcntl

    def _try_lock(descriptor: int, *, shared: bool) -> bool:
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
