"""A home network of two namespaces: this host 192.168.1.10, and 192.168.1.1, a simulated gateway, 203.0.113.7 outside.

The command finds it as it finds any router, by its routes: nothing is said to it. On port 8080 of the host a web server
listens.
"""

import itertools
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from tests.router.namespaces import PREFIX, add_address, add_link, call, inside, sweep

HOST, ROUTER, EXTERNAL = "192.168.1.10", "192.168.1.1", "203.0.113.7"
NEEDED = ("ip",)
_counter = itertools.count()


@contextmanager
def home(external: str = EXTERNAL) -> Iterator[Sequence[str]]:
    """Make the network; yield what to put before a command that is to run on the host."""
    sweep()
    name = f"{PREFIX}{os.getpid()}x{next(_counter)}"
    host, router = f"{name}h", f"{name}g"
    with ExitStack() as stack:
        for namespace in (host, router):
            stack.callback(subprocess.run, ["ip", "netns", "del", namespace], stderr=subprocess.DEVNULL, check=False)
            call("ip", "netns", "add", namespace)
            call("ip", "-n", namespace, "link", "set", "lo", "up")
        add_link(host, "eth0", router, "lan0")
        add_address(host, "eth0", HOST)
        add_address(router, "lan0", ROUTER)
        call("ip", "-n", router, "addr", "add", f"{external}/32", "dev", "lo")
        call("ip", "-n", host, "route", "add", "default", "via", ROUTER)
        stack.enter_context(_running(inside(router), "tests.terminal.router", ROUTER, external))
        stack.enter_context(_running(inside(host), "tests.terminal.server"))
        yield inside(host)


@contextmanager
def _running(prefix: Sequence[str], module: str, *arguments: str) -> Iterator[None]:
    """Run a module, which says in a line that it is ready, until its input ends."""
    command = [*prefix, sys.executable, "-m", module, *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield
        finally:
            process.kill()
