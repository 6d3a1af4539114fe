"""A real terminal: tmux, a server of its own for the test run, a window of its own for each test."""

import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PROMPT = re.compile(r"^(?:\[(\d+)\])?\$ ?$")
_PATIENCE = 20.0  # seconds; a program starts in half of one, on a machine that is busy in several
_TICK = 0.03


def missing() -> str | None:
    """Return what these tests lack here."""
    return None if shutil.which("tmux") else "tmux"


class Window:
    """A terminal with a shell in it, whose prompt shows the exit code of the last command."""

    def __init__(self, server: "Server", name: str, raw: Path) -> None:
        self._server = server
        self._name = name
        self._raw = raw

    def run(self, command: str) -> int:
        """Type a command and return its exit code."""
        self.start(command)
        return self.wait_for_prompt()

    def start(self, command: str) -> None:
        """Reset the window, forget what came to it, and type a command."""
        self._tmux("send-keys", "-R")
        self._tmux("clear-history")
        self.key("Enter")
        self.wait(lambda lines: PROMPT.match(lines[-1]) is not None)
        self._raw.write_bytes(b"")
        self.letters(command)
        self.key("Enter")
        self.wait(lambda _: b"\r\n" in self.raw())  # else the prompt from before is taken for that after it

    def letters(self, text: str) -> None:
        """Type a text."""
        escaped = f"{text[:-1]}\\;" if text.endswith(";") else text  # at the end of a word it ends a command of tmux
        self._tmux("send-keys", "-l", escaped)

    def key(self, name: str) -> None:
        """Press a key: C-c, Enter."""
        self._tmux("send-keys", name)

    def resize(self, columns: int, rows: int = 24) -> None:
        """Change the size of the window."""
        self._tmux("resize-window", "-x", str(columns), "-y", str(rows))

    def lines(self) -> list[str]:
        """Return what the window shows and has scrolled away, without the empty rest."""
        return self._tmux("capture-pane", "-p", "-S", "-").rstrip("\n").split("\n")

    def screen(self) -> list[str]:
        """Return what the window shows now, without the empty rest."""
        return self._tmux("capture-pane", "-p").rstrip("\n").split("\n")

    def coloured(self) -> str:
        """Return what the window shows and has scrolled away, with the sequences that colour it."""
        return self._tmux("capture-pane", "-p", "-e", "-S", "-")

    def coloured_screen(self) -> str:
        """Return what the window shows now, with the sequences that colour it."""
        return self._tmux("capture-pane", "-p", "-e")

    def raw(self) -> bytes:
        """Return the bytes that came to the terminal since `start`: the command, as it was typed, and all after it."""
        return self._raw.read_bytes()

    def state(self, name: str) -> str:
        """Return what tmux knows of the window: cursor_flag, cursor_x, alternate_on."""
        return self._tmux("display-message", "-p", f"#{{{name}}}").strip()

    def wait_for(self, pattern: str, seconds: float = _PATIENCE) -> list[str]:
        """Return the lines as soon as one of them has the pattern."""
        return self.wait(lambda lines: any(re.search(pattern, line) for line in lines), seconds)

    def wait_for_prompt(self) -> int:
        """Return the exit code of the command that was typed."""
        lines = self.wait(lambda lines: len(lines) > 1 and PROMPT.match(lines[-1]) is not None)
        match = PROMPT.match(lines[-1])
        assert match is not None
        return int(match[1])

    def wait(self, enough: Callable[[list[str]], object], seconds: float = _PATIENCE) -> list[str]:
        """Return the lines as soon as they are what is waited for."""
        end = time.monotonic() + seconds
        while not enough(lines := self.lines()):
            assert time.monotonic() < end, "\n".join(["the terminal shows:", *lines])
            time.sleep(_TICK)
        return lines

    def _tmux(self, *arguments: str) -> str:
        return self._server.tmux(arguments[0], "-t", self._name, *arguments[1:])


class Look(NamedTuple):
    """How a terminal is set: what a program has to leave as it found it."""

    modes: str
    cursor: str
    alternate: str
    wrapping: str
    mouse: str


def look(window: Window) -> Look:
    """Return how the terminal is set."""
    # First these: the next command is typed into a window that was reset.
    flags = [window.state(name) for name in ("cursor_flag", "alternate_on", "wrap_flag", "mouse_any_flag")]
    assert window.run("stty -g") == 0
    return Look("".join(window.lines()[:-1]).partition("stty -g")[2], *flags)


class Server:
    """A tmux server that knows no settings of the user's."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0
        # Between two windows it has none, and would end just when the next one is asked for.
        self.tmux("start-server", ";", "set-option", "-g", "exit-empty", "off")

    def tmux(self, *arguments: str) -> str:
        """Run a tmux command and return what it prints."""
        command = ["tmux", "-S", str(self._folder / "socket"), "-f", "/dev/null", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=_PATIENCE).stdout

    @contextmanager
    def window(
        self,
        columns: int,
        rows: int = 24,
        environment: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
    ) -> Iterator[Window]:
        """Open a terminal for the time of a block; its shell is run by `prefix`, in another network namespace say."""
        self._count += 1
        name, raw = f"w{self._count}", self._folder / f"raw{self._count}"
        shell = {
            "PS1": "[$?]$ ",
            "PATH": f"{commands(self._folder)}:/usr/bin:/bin",
            "HOME": str(self._folder),
            "LANG": "C.UTF-8",
            "TERM": "screen-256color",
            "PORTMAPPER_STATE": str(self._folder / f"state{self._count}"),
            **(environment or {}),
        }
        words = " ".join(shlex.quote(f"{key}={value}") for key, value in shell.items())
        size = ["-x", str(columns), "-y", str(rows)]
        self.tmux("new-session", "-d", "-s", name, *size, f"exec {shlex.join(prefix)} env -i {words} sh")
        self.tmux("pipe-pane", "-t", name, "-O", f"cat >> {shlex.quote(str(raw))}")
        window = Window(self, name, raw)
        try:
            window.wait(lambda lines: PROMPT.match(lines[-1]) is not None)
            yield window
        finally:
            self.tmux("kill-session", "-t", name)

    def close(self) -> None:
        """End the server, and with it all that still runs in its windows."""
        subprocess.run(
            ["tmux", "-S", str(self._folder / "socket"), "kill-server"], check=False, capture_output=True, timeout=5
        )


def commands(folder: Path) -> Path:
    """Return a folder with the command, as it is in this checkout."""
    place = folder / "bin"
    script = place / "portmapper"
    if not script.exists():
        place.mkdir()
        python = shlex.quote(sys.executable)
        script.write_text(f'#!/bin/sh\nPYTHONPATH={shlex.quote(str(ROOT))} exec {python} -m portmapper "$@"\n')
        script.chmod(0o755)
    return place
