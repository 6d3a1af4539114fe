"""Opens a port from a program that is driven by callbacks, as one with a window is.

    python examples/callbacks.py [SECONDS]

Every function of `portmapper.callback` returns at once. What it is told comes through `dispatch` into the thread of the
program, here by a queue; with tkinter `dispatch=root.after_idle` does it.
"""

import queue
import sys
import time
from collections.abc import Callable
from typing import Any

import portmapper
from portmapper import callback
from portmapper.callback import Result

PORT = 5000


def main(seconds: float, gateway: portmapper.Gateway | None = None) -> None:
    todo: queue.Queue[Callable[[], Any]] = queue.Queue()  # what the loop of a window has to do next

    def told(error: Exception | None, result: Result) -> None:
        print(f"not open: {result.error}" if error else f"open for {result.ttl} s by the gateway {result.gateway}")

    def reached(result: Result | None) -> None:
        print(f"reached at {result.external_ip}:{result.public_port}" if result else "not to be reached any more")

    def stopped(error: Exception | None, _: Result) -> None:
        print(f"stopped, but {error}" if error else "stopped")

    kept = callback.persistent(gateway, PORT, 0, 7200, told, on_mapping=reached, dispatch=todo.put)
    run_for(seconds, todo)
    kept.stop(stopped)
    run_for(seconds, todo)


def run_for(seconds: float, todo: queue.Queue[Callable[[], Any]]) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        try:
            todo.get(timeout=left)()
        except queue.Empty:
            return


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 5)
