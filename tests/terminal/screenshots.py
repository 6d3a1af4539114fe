"""Makes the pictures of the documentation from the real command: `make screenshots`.

In a home network of namespaces, so as root: the command finds a simulated gateway there as it finds any router.
"""

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.terminal import home, picture
from tests.terminal.recording import Recording
from tests.terminal.terminals import PROMPT, ROOT, Server

ASSETS = ROOT / "docs" / "assets"
SHELL = {"PS1": "$ "}


@dataclass(frozen=True)
class Still:
    """A picture of what a command shows, once a pattern is there, in a home with that external address.

    What is run before is not in the picture.
    """

    name: str
    command: str
    shown: str
    columns: int = 92
    rows: int = 50
    external: str = home.EXTERNAL
    before: str = "true"


SESSION = "portmapper map 8080 5000/udp"
TABLE = "^5000/udp .*mapped"
CGNAT = "100.64.12.7"
STILLS = [
    Still("map", SESSION, TABLE),
    Still("map-narrow", SESSION, TABLE, columns=40),
    Still("watch", "portmapper watch", r"\+ 5000/udp", before=f"{SESSION} --once"),
    Still("doctor", "portmapper doctor 8080", "^  took"),
    Still("doctor-narrow", "portmapper doctor 8080", "^  took", columns=40, rows=120),
    Still("doctor-cgnat", "portmapper doctor 8080", "^  took", external=CGNAT),
]


def main(folder: Path = ASSETS) -> int:
    """Make all pictures."""
    if lacking := cannot():
        sys.exit(f"the pictures cannot be taken here: {lacking}")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        server = Server(Path(temporary))
        try:
            for one in STILLS:
                with home.home(one.external) as prefix:
                    take(server, one, folder, prefix)
            with home.home() as prefix:
                record(server, folder, prefix)
        finally:
            server.close()
    return 0


def cannot() -> str | None:
    """Return what is lacking, None if nothing."""
    absent = [name for name in ("tmux", "ip") if shutil.which(name) is None]
    return f"there is no {absent[0]}" if absent else None if os.geteuid() == 0 else "it takes root to make a network"


def take(server: Server, one: Still, folder: Path, prefix: Sequence[str] = ()) -> None:
    """Make a still picture."""
    with server.window(one.columns, one.rows, SHELL, prefix) as window:
        window.start(one.before)
        window.wait(lambda lines: PROMPT.match(lines[-1]))
        window.start(one.command)
        window.wait_for(one.shown)
        time.sleep(1.2)  # the rest of what comes with it
        screen = window.coloured_screen().lstrip("\n")
        (folder / f"{one.name}.svg").write_text(picture.still(screen, one.columns, one.command))


def record(server: Server, folder: Path, prefix: Sequence[str], columns: int = 92, rows: int = 14) -> None:
    """Record a session, from the command to the prompt after Ctrl-C."""
    with server.window(columns, rows, SHELL, prefix) as window:
        recording = Recording(window, columns, rows)
        recording.wait(0.8)
        recording.type(SESSION)
        recording.wait(5)
        window.key("C-c")
        recording.wait(1.5)
        (folder / "map.cast").write_text(recording.cast(SESSION))
        (folder / "map-session.svg").write_text(picture.moving(recording.frames, columns, SESSION))


if __name__ == "__main__":
    sys.exit(main())
