"""Stay as long as somebody reads what is printed."""

import os
import select
import stat
import sys
from typing import TextIO

import anyio

from portmapper import limits
from portmapper.cli.output import Output


async def hold(output: Output) -> None:
    """Stay until told to leave, or until the program that reads the objects is gone: it may have told nobody."""
    if output.as_json:
        await _reader_gone(sys.__stdout__)
        output.leave_unread()
    await anyio.sleep_forever()


async def _reader_gone(stream: TextIO | None) -> None:
    if sys.platform == "win32" or stream is None or not _is_pipe(stream):
        await anyio.sleep_forever()
        return
    watched = select.poll()
    watched.register(stream, 0)  # what is always told: an error, or that the other end is closed
    # To wait for it would be to be woken without end by a socket that is closed one way only.
    while not watched.poll(0):  # noqa: ASYNC110
        await anyio.sleep(limits.READER_LOOK)


def _is_pipe(stream: TextIO) -> bool:
    mode = os.fstat(stream.fileno()).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)  # Node.js gives its children sockets
