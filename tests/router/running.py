"""The command, running in the background."""

import json
import signal
import subprocess
import threading
from typing import Any


class Running:
    """A ``portmapper map --json`` in the background."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def event(self, timeout: float = 15) -> dict[str, Any]:
        """Return the next object it prints."""
        assert self.process.stdout is not None
        watchdog = threading.Timer(timeout, self.process.kill)
        watchdog.start()
        try:
            line = self.process.stdout.readline()
        finally:
            watchdog.cancel()
            watchdog.join()
        assert line, f"portmapper ended with {self.process.wait()} and said nothing"
        found: dict[str, Any] = json.loads(line)
        return found

    def end(self, number: signal.Signals = signal.SIGTERM, timeout: float = 10) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(timeout)

    def kill(self) -> None:
        """Make sure that it is gone."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
