"""What the operating system has too little of, for the command to say it instead of showing a traceback."""

import errno

from portmapper.errors import LocalError

_SHORT = {errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.ENOSPC}


def shortage(error: BaseException) -> LocalError | None:
    """Return what to say, if nothing but that went wrong; None for what may be a mistake of the program."""
    short = _first(error)
    return None if short is None else LocalError(f"the operating system refused: {short.strerror or short}")


def _first(error: BaseException) -> OSError | None:
    inside: tuple[BaseException, ...] = getattr(error, "exceptions", ())
    if not inside:
        return error if isinstance(error, OSError) and error.errno in _SHORT else None
    found = [_first(one) for one in inside]
    return found[0] if all(found) else None
