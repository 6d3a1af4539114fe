"""A session in a terminal as it went: an asciicast (version 2), and the screens one after the other."""

import json
import time

from tests.terminal.picture import Frame
from tests.terminal.terminals import Window

_TICK = 0.04
_KEYSTROKE = 0.05


class Recording:
    """Records a window from its making on, whenever it is told to wait."""

    def __init__(self, window: Window, columns: int, rows: int) -> None:
        self._window = window
        self._size = {"width": columns, "height": rows}
        self._begun = time.monotonic()
        self._seen = len(window.raw())
        self._output = [(0.0, window.lines()[-1].rstrip() + " ")]  # the prompt that is there already
        self._rest = b""
        self.frames: list[Frame] = []

    def type(self, text: str) -> None:
        """Type as a person does, and press Enter."""
        for letter in text:
            self._window.letters(letter)
            self.wait(_KEYSTROKE)
        self.wait(0.4)
        self._window.key("Enter")

    def wait(self, seconds: float) -> None:
        """Look on for some time."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._look()
            time.sleep(_TICK)
        self._look()

    def cast(self, title: str) -> str:
        """Return the asciicast."""
        head = {"version": 2, **self._size, "title": title, "env": {"TERM": "xterm-256color", "SHELL": "/bin/sh"}}
        lines = [json.dumps(head), *(json.dumps([round(when, 3), "o", text]) for when, text in self._output)]
        return "\n".join(lines) + "\n"

    def _look(self) -> None:
        when = time.monotonic() - self._begun
        raw = self._window.raw()
        fresh, self._seen = self._rest + raw[self._seen :], len(raw)
        text = fresh.decode(errors="ignore")  # what is left of a character comes with the next look
        self._rest = fresh[len(text.encode()) :]
        if text:
            self._output.append((when, text))
        screen = self._window.coloured_screen()
        if not self.frames or self.frames[-1][1] != screen:
            self.frames.append((when, screen))
