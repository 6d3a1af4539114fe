"""Makes the pictures of the documentation from the real command: `make screenshots`.

Each in a terminal of its own, with a simulated gateway; nothing is sent beyond the loopback interface.
"""

import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.terminal import picture
from tests.terminal.recording import Recording
from tests.terminal.terminals import ROOT, Server, missing

ASSETS = ROOT / "docs" / "assets"
PROMPT = {"PS1": "$ "}


@dataclass(frozen=True)
class Still:
    """A picture of what a command shows, once a pattern is there."""

    name: str
    command: str
    columns: int
    shown: str
    rows: int = 24


STILLS = [
    Still("map", "portmapper map 8080 5000/udp --simulate", 92, "5000/udp .*open"),
    Still("map-narrow", "portmapper map 8080 5000/udp --simulate", 40, "5000/udp"),
]
SESSION = "portmapper map 8080 5000/udp --simulate"


def main(folder: Path = ASSETS) -> int:
    """Make all pictures."""
    if lacking := missing():
        sys.exit(f"the pictures are taken in a terminal that is not here: {lacking}")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        server = Server(Path(temporary))
        try:
            for one in STILLS:
                take(server, one, folder)
            record(server, folder)
        finally:
            server.close()
    return 0


def take(server: Server, one: Still, folder: Path) -> None:
    """Make a still picture."""
    with server.window(one.columns, one.rows, PROMPT) as window:
        window.letters(one.command)
        window.key("Enter")
        window.wait_for(one.shown)
        time.sleep(0.3)  # the rest of what comes with it
        screen = window.coloured_screen()
        (folder / f"{one.name}.svg").write_text(picture.still(screen, one.columns, one.command))


def record(server: Server, folder: Path, columns: int = 92, rows: int = 14) -> None:
    """Record a session, from the command to the prompt after Ctrl-C."""
    with server.window(columns, rows, PROMPT) as window:
        recording = Recording(window, columns, rows)
        recording.wait(0.8)
        recording.type(SESSION)
        recording.wait(5)
        window.key("C-c")
        recording.wait(1.5)
        (folder / "map.cast").write_text(recording.cast("portmapper map"))
        (folder / "map-session.svg").write_text(picture.moving(recording.frames, columns, "portmapper map"))


if __name__ == "__main__":
    sys.exit(main())
