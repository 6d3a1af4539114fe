"""The standard streams as a command may find them: closed, or without the characters of what has to be said."""

import io
import os
import sys


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
