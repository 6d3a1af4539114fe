"""A lab whose router is hostile, with traps where no packet may come."""

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Self

from tests.router.hostile_client import Job, Report
from tests.router.hostile_modes import MODES, scene
from tests.router.lab import Lab

_ROOT = Path(__file__).parents[2]
_NUMBERS = {name: number for number, name in enumerate(MODES)}

# Requests and connections: what answers a forged datagram is ICMP, and the search itself goes to a group.
_TRAP = """
table inet trap {{
  set seen {{
    type ipv4_addr . inet_service . inet_proto
    flags dynamic
    size 65535
  }}
  set seen6 {{
    type ipv6_addr . inet_service . inet_proto
    flags dynamic
    size 65535
  }}
  chain arrive {{
    type filter hook prerouting priority -300;
    {interface}
    ip daddr 224.0.0.0/4 return
    ip6 daddr ff00::/8 return
    meta nfproto ipv4 meta l4proto {{ tcp, udp }} update @seen {{ ip daddr . th dport . meta l4proto counter }}
    meta nfproto ipv6 meta l4proto {{ tcp, udp }} update @seen6 {{ ip6 daddr . th dport . meta l4proto counter }}
  }}
}}
"""


class HostileLab(Lab):
    """Has a network for each mode of `hostile_modes`, a second LAN host, and traps there, on the WAN host and on the
    loopback interface of the LAN host.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, daemon=False)
        self._stack = ExitStack()
        self._clients: subprocess.Popen[str]

    def __enter__(self) -> Self:
        super().__enter__()
        try:
            self._stack.enter_context(self.second_host())
            self._make_networks()
            for namespace, interface in ((self.wan, "eth0"), (self.neighbour, "eth0"), (self.lan, "lo")):
                self._nft(namespace, _TRAP.format(interface=f'iifname != "{interface}" return'))
            self.firewall("table inet mute { chain i { type filter hook input priority -10; tcp dport 7 drop; }; }")
            self._start(self.router, "tests.router.hostile_igd")
            self._clients = self._start(self.lan, "tests.router.hostile_client", scene(_NUMBERS["honest"]).host)
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()
        super().__exit__(*exc)

    def run_jobs(
        self, names: Iterable[str], operations: Sequence[str] = ("map",), *, at_once: int = 24
    ) -> dict[str, Report]:
        """Have each device asked by a process of its own, every second one on trio; return what became of each.

        With several operations the device's name is followed by that of the operation.
        """
        chosen = {
            name if len(operations) == 1 else f"{name}, {operation}": Job(scene(_NUMBERS[name]).host, operation)
            for operation in operations
            for name in names
        }
        jobs = [
            asdict(replace(job, loop=("asyncio", "trio")[number % 2])) for number, job in enumerate(chosen.values())
        ]
        assert self._clients.stdin is not None
        self._clients.stdin.write(json.dumps({"jobs": jobs, "at_once": at_once}) + "\n")
        self._clients.stdin.flush()
        found: list[dict[str, Any]] = json.loads(_line(self._clients, timeout=90))
        return {name: Report(**report) for name, report in zip(chosen, found, strict=True)}

    def empty_traps(self) -> None:
        """Forget what the traps have caught."""
        for namespace in (self.wan, self.neighbour, self.lan):
            self._nft(namespace, "flush set inet trap seen\nflush set inet trap seen6\n")

    def caught(self) -> Mapping[str, dict[str, int]]:
        """Return how many packets came to the traps, by address, port and protocol, by the name of the trap."""
        traps = {"wan": self.wan, "neighbour": self.neighbour, "loopback": self.lan}
        return {name: self._seen(namespace) for name, namespace in traps.items()}

    def connect(self, *targets: tuple[str, int]) -> None:
        """Connect from the LAN host, as no program that uses the library may."""
        for target in targets:
            with self.socket(self.lan, socket.SOCK_STREAM) as sock:
                sock.settimeout(0.1)
                sock.connect_ex(target)

    def _seen(self, namespace: str) -> dict[str, int]:
        told = [self._inside(namespace, "nft", "-j", "list", "set", "inet", "trap", name) for name in ("seen", "seen6")]
        sets = [json.loads(text)["nftables"][1]["set"] for text in told]
        found = [one["elem"] for each in sets for one in each.get("elem", [])]
        return {" ".join(map(str, one["val"]["concat"])): one["counter"]["packets"] for one in found}

    def _make_networks(self) -> None:
        places = [scene(number) for number in range(len(MODES))]
        for namespace, device, addresses in (
            (self.router, "lan0", [place.host for place in places]),
            (self.lan, "eth0", [place.lan for place in places]),
            (self.neighbour, "eth0", [place.neighbour for place in places]),
        ):
            batch = "".join(f"addr add {address}/24 dev {device}\n" for address in addresses)
            subprocess.run(["ip", "-n", namespace, "-batch", "-"], input=batch.encode(), check=True)

    def _start(self, namespace: str, module: str, *arguments: str) -> subprocess.Popen[str]:
        command = ["ip", "netns", "exec", namespace, sys.executable, "-W", "error", "-m", module, *arguments]
        process = subprocess.Popen(command, cwd=_ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._stack.enter_context(process)
        self._stack.callback(process.kill)
        assert _line(process, timeout=20) == "ready\n"
        return process

    def _nft(self, namespace: str, rules: str) -> None:
        subprocess.run(["ip", "netns", "exec", namespace, "nft", "-f", "-"], input=rules.encode(), check=True)

    def _inside(self, namespace: str, *command: str) -> str:
        whole = ["ip", "netns", "exec", namespace, *command]
        return subprocess.run(whole, check=True, capture_output=True, text=True).stdout


def _line(process: subprocess.Popen[str], timeout: float) -> str:
    assert process.stdout is not None
    watchdog = threading.Timer(timeout, process.kill)
    watchdog.start()
    try:
        return process.stdout.readline()
    finally:
        watchdog.cancel()
        watchdog.join()
