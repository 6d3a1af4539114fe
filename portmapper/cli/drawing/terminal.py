"""Whether there is a person at a terminal that can draw."""

import os
import shutil
import sys
from typing import TextIO

ECHO = 2  # columns of ^C, which must find room behind what is drawn: in the next line it would shift all of it


def can_draw(stream: TextIO | None = None) -> bool:
    """Whether tables and colours can be shown on `stream`, by default standard output."""
    out = sys.stdout if stream is None else stream
    return out.isatty() and os.environ.get("TERM", "").lower() not in _DUMB


def room(most: int) -> int:
    """Return how many characters a line may have: what the terminal is wide, `most` where there is none."""
    columns = shutil.get_terminal_size(fallback=(most, 0)).columns
    return min(max(columns, _LEAST), most)


_DUMB = {"dumb", "unknown"} if sys.platform == "win32" else {"", "dumb", "unknown"}
_LEAST = 30  # in a narrower one the terminal may break the lines
