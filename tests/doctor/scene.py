"""A host and a router in namespaces of their own, for one run of `portmapper doctor` each.

eth0 192.168.77.10  --  lan0 192.168.77.1 router, 8.8.4.1 its outer side
"""

import itertools
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.doctor.forks import Child
from tests.router.namespaces import PREFIX, add_link, call, in_namespace, inside
from tests.sockets import LabSocket

HOST, ROUTER, OUTER, NEIGHBOUR = "192.168.77.10", "192.168.77.1", "8.8.4.1", "192.168.77.20"
_ROOT = Path(__file__).parents[2]
_numbers = itertools.count()


@dataclass(frozen=True, slots=True)
class Seen:
    """What a run ended with: its exit code, its object, and what it complained of."""

    code: int
    told: dict[str, Any]
    errors: str


@dataclass
class Scene:
    """The namespaces; a context manager that removes them in every case."""

    folder: Path
    forks: Path
    host: str = field(init=False)
    router: str = field(init=False)
    _stack: ExitStack = field(default_factory=ExitStack)

    def __post_init__(self) -> None:
        name = f"{PREFIX}{os.getpid()}x8{next(_numbers)}"
        self.host, self.router = f"{name}h", f"{name}r"

    def __enter__(self) -> Self:
        try:
            for namespace in (self.host, self.router):
                call("ip", "netns", "add", namespace)
                call("ip", "-n", namespace, "link", "set", "lo", "up")
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._stack.close()
        for namespace in (self.host, self.router):
            subprocess.run(["ip", "netns", "del", namespace], stderr=subprocess.DEVNULL, check=False)

    def ip(self, commands: str, namespace: str | None = None) -> None:
        """Carry out several commands of `ip`, one a line, on the host or elsewhere."""
        command = ["ip", "-n", namespace or self.host, "-batch", "-"]
        subprocess.run(command, input=commands.encode(), check=True)

    def plug_in(self, name: str = "eth0", host: str = HOST, router: str = ROUTER) -> None:
        """Lay a cable between host and router."""
        other = f"{name}.r"
        add_link(self.host, name, self.router, other)
        for namespace, device, address in ((self.host, name, host), (self.router, other, router)):
            length = "64 nodad" if ":" in address else "24"
            self.ip(f"addr add {address}/{length} dev {device}\nlink set {device} up\n", namespace)

    def at_home(self) -> None:
        """Make the plain network: one cable, one default route, a router with an outer side."""
        self.plug_in()
        self.ip(f"route add default via {ROUTER}\n")
        self.ip(f"addr add {OUTER}/32 dev lo\n", self.router)

    def tunnel(self, *routes: str) -> None:
        """Add a VPN's interface, and routes through it."""
        self.ip("tuntap add dev tun0 mode tun\naddr add 10.2.0.2/32 dev tun0\nlink set tun0 up\n")
        self.ip("".join(f"route add {route} dev tun0\n" for route in routes))

    def rules(self, namespace: str, hook: str, *rules: str) -> None:
        """Load nftables rules into one chain."""
        chain = (
            f"table inet t {{\n chain c {{\n type filter hook {hook} priority -10\n {chr(10).join(rules)}\n }}\n}}\n"
        )
        subprocess.run([*inside(namespace), "nft", "-f", "-"], input=chain.encode(), check=True)

    def serve(self, **switches: Any) -> None:
        """Start a scripted gateway at the router's address."""
        facts = {"address": ROUTER, "external_address": OUTER, **switches}
        self._start(self.router, "gateway", json.dumps(facts))

    def serve_rubbish(self) -> None:
        """Answer on the router's ports with what makes no sense."""
        command = [*inside(self.router), sys.executable, str(_ROOT / "tests/router/rubbish.py"), ROUTER]
        process = self._stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE))
        self._stack.callback(process.kill)
        assert process.stdout is not None
        assert process.stdout.readline()

    def listen(self, address: str = "0.0.0.0", port: int = 8080) -> None:
        """Have a program of the host listen."""

        def make() -> socket.socket:
            sock = LabSocket(socket.AF_INET, socket.SOCK_STREAM)
            sock.bind((address, port))
            sock.listen()
            return sock

        self._stack.callback(in_namespace(self.host, make).close)

    def hold(self, *arguments: str) -> None:
        """Have another program of the host keep a port open."""
        self._start(self.host, "portmapper", "map", *arguments, "--json")

    def doctor(self, *arguments: str) -> Seen:
        """Run `portmapper doctor --json` on the host."""
        code, lines, errors = self.run("doctor", "--json", *arguments)
        assert len(lines) == 1, errors
        return Seen(code, json.loads(lines[0]), errors)

    def run(self, *arguments: str) -> tuple[int, list[str], str]:
        """Run the command on the host to its end; return its exit code, what it printed, what it complained of."""
        child = Child(self.forks, self.host, "portmapper", list(arguments), self._environment())
        return child.finished(timeout=60)

    def _start(self, namespace: str, program: str, *arguments: str) -> None:
        child = Child(self.forks, namespace, program, list(arguments), self._environment())
        self._stack.callback(child.kill)
        assert child.output.readline(), "it did not start"

    def _environment(self) -> dict[str, str]:
        return {"PORTMAPPER_STATE": str(self.folder / "state")}


Build = Callable[[Scene], None]
