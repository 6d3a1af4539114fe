"""The terminal behind standard output, drawn on without waiting for whoever reads it."""

import io
import os
import sys
from contextlib import suppress
from typing import TextIO

import anyio

from portmapper.cli.streams import takes_more

_TICK = 0.02  # seconds
_MOST = 1 << 16  # bytes that are kept beside a picture: complaints


class Pane(io.TextIOBase):
    """Takes what is drawn; what the terminal does not take at once is kept, and comes before anything else.

    That it takes something does not say that it takes a whole table, and whoever has ports to renew must not wait for
    the rest. It is opened once more for that: others write to standard output too, and would not expect that it cannot
    wait. Where that is not possible, it is standard output itself.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._terminal = _opened_again(stream)
        self._left = b""

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The characters that it has."""
        return self._stream.encoding

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return self._stream.isatty()

    def write(self, text: str) -> int:
        """Take a text; it is drawn at the next `flush`."""
        if self._terminal is None:
            return self._stream.write(text)
        if len(self._left) < _MOST:
            self._left += text.encode(self.encoding, "backslashreplace")
        return len(text)

    def flush(self) -> None:
        """Draw as much as the terminal takes now. Raises OSError when it is gone."""
        if self._terminal is None:
            self._stream.flush()
            return
        with suppress(BlockingIOError):
            while self._left:
                self._left = self._left[os.write(self._terminal, self._left) :]

    def takes_more(self) -> bool:
        """Whether all that came before is drawn, and more is taken now."""
        self.flush()
        return not self._left and takes_more("stdout")

    async def drain(self, seconds: float) -> None:
        """Wait until all is drawn, or for so long."""
        with anyio.move_on_after(seconds):
            while self._left:
                await anyio.sleep(_TICK)
                self.flush()

    def close(self) -> None:
        """Draw no more."""
        if self._terminal is not None:
            os.close(self._terminal)
            self._terminal, self._left = None, b""


def _opened_again(stream: TextIO) -> int | None:
    if sys.platform == "win32":
        return None
    try:
        return os.open(os.ttyname(stream.fileno()), os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError:  # no terminal, or one that belongs to another user, as after su
        return None
