"""The standard streams as a command may find them: closed, full, or without the characters of what has to be said."""

import io
import os
import select
import sys
from contextlib import suppress
from typing import Literal, TextIO

Name = Literal["stdout", "stderr"]


def make_usable() -> None:
    """Open on the null device what is closed, and let standard output say everything.

    The next thing that is opened would else take the number of a closed stream, and get what a child process prints.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):  # in this order: each gets its own number
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115 - as long as the process
    if isinstance(sys.stdout, io.TextIOWrapper):
        # As standard error has it.
        sys.stdout.reconfigure(errors="backslashreplace")  # pyright: ignore[reportUnknownMemberType]


def takes_more(name: Name) -> bool:
    """Whether a few lines can be written at once: a program that does not read, or a terminal that was stopped, waits.

    Whoever has ports to renew must not wait with it.
    """
    stream: TextIO | None = getattr(sys, f"__{name}__")  # what may be in its place is drawn there
    if sys.platform == "win32" or stream is None:
        return True
    return bool(select.select([], [stream], [], 0)[1])


def print_to_nobody(stream: TextIO) -> None:
    """Throw away what could not be written to a stream, and all that follows."""
    nobody = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nobody, stream.fileno())
    os.close(nobody)


def forget_unwritten() -> None:
    """Throw away what standard output does not take: it would be tried again at the end of the program."""
    try:
        sys.stdout.flush()
    except OSError:
        with suppress(OSError):
            print_to_nobody(sys.stdout)
