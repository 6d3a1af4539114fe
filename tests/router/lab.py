"""A real router in network namespaces: LAN host - router (miniupnpd, nftables NAT) - WAN host.

    NAME-lan 192.168.77.10  --  192.168.77.1 NAME-rtr 8.8.4.1  --  8.8.4.2 NAME-wan
             fd77::10           fd77::1      2001:db8:1::1     2001:db8:1::2

miniupnpd refuses to map behind a private or documentation address, so the WAN side uses a public one; nothing leaves
the namespaces. A mapping is proved by a packet from the WAN host that a server on the LAN host answers, never by a
table.
"""

import itertools
import json
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self, TypeVar

import anyio

from tests.router.namespaces import PREFIX, add_address, add_link, call, in_namespace, inside, output, sweep
from tests.router.running import Running
from tests.router.settings import CONFIG, FIREWALL
from tests.sockets import LabSocket

__all__ = ["PREFIX", "Lab", "Running", "answering", "missing", "sweep"]

T = TypeVar("T")

LAN_ADDRESS, GATEWAY, EXTERNAL, WAN_ADDRESS = "192.168.77.10", "192.168.77.1", "8.8.4.1", "8.8.4.2"
NEIGHBOUR_ADDRESS = "192.168.77.11"
LAN_ADDRESS_6, GATEWAY_6, EXTERNAL_6, WAN_ADDRESS_6 = "fd77::10", "fd77::1", "2001:db8:1::1", "2001:db8:1::2"
TOKEN = b"portmapper was here"
NEEDED = ("miniupnpd", "nft", "ip")

_counter = itertools.count()


def missing() -> str | None:
    """Return what the router tests lack on this machine, None if nothing."""
    if sys.platform != "linux":
        return "Linux"
    if os.geteuid() != 0:
        return "root"
    absent = [program for program in NEEDED if shutil.which(program) is None]
    return f"the programs {', '.join(absent)} (make router-packages)" if absent else None


class Lab:
    """The namespaces and the router daemon; a context manager that removes them in every case."""

    def __init__(
        self,
        folder: Path,
        *,
        natpmp: bool = True,
        upnp: bool = True,
        min_lifetime: int = 120,
        extra: str = "",
        daemon: bool = True,
    ) -> None:
        name = f"{PREFIX}{os.getpid()}x{next(_counter)}"
        self.lan, self.router, self.wan, self.neighbour = f"{name}l", f"{name}r", f"{name}w", f"{name}n"
        self._folder = folder
        self._daemon = daemon
        self._config = CONFIG.format(
            natpmp=_yes(natpmp), upnp=_yes(upnp), min_lifetime=min_lifetime, folder=folder, extra=extra
        )
        self._ports = [port for port, wanted in ((5351, natpmp), (1900, upnp)) if wanted]
        self._tables = ["udp", "udp6"]  # where the ports show
        self._pid_file = folder / "miniupnpd.pid"

    def __enter__(self) -> Self:
        try:
            self._make_network()
            self.start_daemon()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self.remove()

    def start_daemon(self) -> None:
        """Start miniupnpd, which returns when it serves, unless this lab has none.

        Without -d: writing its debugging log slows it down, and a search for a free port logs every port.
        """
        if not self._daemon:
            return
        config = self._folder / "miniupnpd.conf"
        config.write_text(self._config)
        (self._folder / "leases").touch()
        call(*inside(self.router), "miniupnpd", "-f", str(config), "-P", str(self._pid_file))
        deadline = time.monotonic() + 5
        while not self._serves():
            if time.monotonic() > deadline:
                raise RuntimeError("miniupnpd did not start")
            time.sleep(0.01)

    def _serves(self) -> bool:
        if not (self._pid_file.exists() and self._pid_file.read_text().strip()):
            return False
        bound = [Path("/proc", self._pid_file.read_text().strip(), "net", name).read_text() for name in self._tables]
        return all(f":{port:04X} " in sockets for sockets in bound for port in self._ports)

    def stop_daemon(self) -> None:
        """Stop miniupnpd; its rules stay, as those of a crashed one do."""
        self._end_daemon(signal.SIGTERM, signal.SIGKILL)

    def kill_daemon(self) -> None:
        """Let miniupnpd crash: it takes leave of nobody."""
        self._end_daemon(signal.SIGKILL)

    def _end_daemon(self, *numbers: signal.Signals) -> None:
        if not self._pid_file.exists():
            return
        process = Path("/proc") / self._pid_file.read_text().strip()
        self._pid_file.unlink()
        for number in numbers:
            with suppress(ProcessLookupError):
                os.kill(int(process.name), number)
            deadline = time.monotonic() + 2
            while runs(process) and time.monotonic() < deadline:
                time.sleep(0.01)

    def reboot(self) -> None:
        """Restart the router's daemon with nothing left of its mappings."""
        self.stop_daemon()
        (self._folder / "leases").unlink()
        for chain in ("miniupnpd", "prerouting_miniupnpd", "postrouting_miniupnpd"):
            call(*inside(self.router), "nft", "flush", "chain", "inet", "filter", chain)
        self.start_daemon()

    def remove(self) -> None:
        """Take everything down; twice is fine."""
        try:
            self.stop_daemon()
        finally:  # also when the wait for the daemon is interrupted
            for namespace in (self.lan, self.neighbour, self.router, self.wan):
                subprocess.run(["ip", "netns", "del", namespace], stderr=subprocess.DEVNULL, check=False)

    def firewall(self, rules: str) -> None:
        """Load nftables rules into the router."""
        subprocess.run([*inside(self.router), "nft", "-f", "-"], input=rules.encode(), check=True)

    def link_local_gateway(self) -> str:
        """Make the router's link-local address the IPv6 gateway, as advertisements do; return it with its zone."""
        found = json.loads(output("ip", "-n", self.router, "-j", "-6", "addr", "show", "dev", "lan0", "scope", "link"))
        address: str = next(one["local"] for link in found for one in link.get("addr_info", []) if "local" in one)
        call("ip", "-n", self.lan, "-6", "route", "replace", "default", "via", address, "dev", "eth0")
        while "tentative" in output("ip", "-n", self.lan, "-6", "addr", "show", "dev", "eth0"):
            time.sleep(0.1)  # until the host's own link-local address could be chosen
        return f"{address}%eth0"

    def renumber(self, address: str) -> None:
        """Give the LAN host another IPv4 address, as a new DHCP lease does."""
        call("ip", "-n", self.lan, "addr", "del", f"{LAN_ADDRESS}/24", "dev", "eth0")
        add_address(self.lan, "eth0", address)
        call("ip", "-n", self.lan, "route", "replace", "default", "via", GATEWAY)

    def add_global_network(self, host: str, router: str) -> None:
        """Give the LAN a global IPv6 network beside its unique local one."""
        add_address(self.lan, "eth0", host)
        add_address(self.router, "lan0", router)

    def remove_default_route(self) -> None:
        """Leave the LAN host without a way out."""
        call("ip", "-n", self.lan, "route", "del", "default")
        call("ip", "-n", self.lan, "-6", "route", "del", "default")

    @contextmanager
    def second_host(self) -> Iterator[None]:
        """Add another host, on a second LAN port of the router that is bridged with the first."""
        call("ip", "netns", "add", self.neighbour)
        call("ip", "-n", self.router, "link", "set", "lan0", "name", "lan1")
        call("ip", "-n", self.router, "addr", "flush", "dev", "lan1")
        call("ip", "-n", self.router, "link", "add", "lan0", "type", "bridge")
        add_link(self.neighbour, "eth0", self.router, "lan2")
        for port in ("lan1", "lan2"):
            call("ip", "-n", self.router, "link", "set", port, "master", "lan0", "up")
        add_address(self.router, "lan0", GATEWAY)
        add_address(self.neighbour, "eth0", NEIGHBOUR_ADDRESS)
        call("ip", "-n", self.neighbour, "route", "add", "default", "via", GATEWAY)
        self._tables = ["udp"]  # the bridge has no address of the network that IPv6 needs
        self.stop_daemon()
        self.start_daemon()
        yield

    @contextmanager
    def rubbish(self) -> Iterator[None]:
        """Answer on the router's ports, instead of miniupnpd, with what makes no sense."""
        script = Path(__file__).with_name("rubbish.py")
        command = [*inside(self.router), sys.executable, str(script), GATEWAY]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            try:
                assert process.stdout is not None
                process.stdout.readline()
                yield
            finally:
                process.kill()

    def command(self, *arguments: str, host: str | None = None) -> list[str]:
        """Return the command line that runs portmapper on the LAN host (or another)."""
        return [*inside(host or self.lan), sys.executable, "-W", "error", "-m", "portmapper", *arguments]

    def run(self, *arguments: str, timeout: float = 20, host: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run portmapper on the LAN host (or another) to its end."""
        command = self.command(*arguments, host=host)
        return subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=self._environment())

    @contextmanager
    def running(self, *arguments: str) -> Iterator[Running]:
        """Run ``portmapper map --json`` on the LAN host in the background."""
        process = subprocess.Popen(
            self.command(*arguments, "--json"), stdout=subprocess.PIPE, text=True, env=self._environment()
        )
        running = Running(process)
        try:
            yield running
        finally:
            running.kill()

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "PORTMAPPER_STATE": str(self._folder / "state")}

    def ask(self, conversation: Callable[[], Awaitable[T]], host: str | None = None) -> T:
        """Run what talks to the router with this process's library on the LAN host (or another)."""
        return in_namespace(host or self.lan, lambda: anyio.run(conversation))

    def socket(
        self, namespace: str, kind: socket.SocketKind, family: socket.AddressFamily = socket.AF_INET
    ) -> socket.socket:
        """Return a socket that lives in `namespace`."""
        return in_namespace(namespace, lambda: LabSocket(family, kind))

    def reach_tcp(self, port: int, timeout: float = 1.0) -> bytes | None:
        """Connect from the WAN host to the router's external address; return what the server says."""
        with self.socket(self.wan, socket.SOCK_STREAM) as sock:
            sock.settimeout(timeout)
            try:
                sock.connect((EXTERNAL, port))
                return sock.recv(100)
            except OSError:
                return None

    def reach_tcp6(self, port: int, timeout: float = 1.0) -> bytes | None:
        """Connect from the WAN host to the LAN host's own IPv6 address; return what the server says."""
        with self.socket(self.wan, socket.SOCK_STREAM, socket.AF_INET6) as sock:
            sock.settimeout(timeout)
            try:
                sock.connect((LAN_ADDRESS_6, port))
                return sock.recv(100)
            except OSError:
                return None

    def reach_udp(self, port: int, timeout: float = 1.0) -> bytes | None:
        """Send a datagram from the WAN host to the router's external address; return the answer."""
        with self.socket(self.wan, socket.SOCK_DGRAM) as sock:
            sock.settimeout(timeout)
            try:
                sock.sendto(b"hello", (EXTERNAL, port))
                return sock.recv(100)
            except OSError:
                return None

    def source_port_seen(self, port: int, remote_port: int) -> int:
        """Send a datagram from the LAN host's `port` to the WAN host; return the port that it comes from there."""
        with (
            self.socket(self.wan, socket.SOCK_DGRAM) as outer,
            self.socket(self.lan, socket.SOCK_DGRAM) as inner,
        ):
            outer.bind((WAN_ADDRESS, remote_port))
            outer.settimeout(2)
            inner.bind((LAN_ADDRESS, port))
            inner.sendto(b"hello", (WAN_ADDRESS, remote_port))
            seen: int = outer.recvfrom(100)[1][1]
            return seen

    def _make_network(self) -> None:
        for namespace in (self.lan, self.router, self.wan):
            call("ip", "netns", "add", namespace)
            call("ip", "-n", namespace, "link", "set", "lo", "up")
        add_link(self.lan, "eth0", self.router, "lan0")
        add_link(self.wan, "eth0", self.router, "wan0")
        add_address(self.lan, "eth0", LAN_ADDRESS)
        add_address(self.router, "lan0", GATEWAY)
        add_address(self.router, "wan0", EXTERNAL)
        add_address(self.wan, "eth0", WAN_ADDRESS)
        call("ip", "-n", self.lan, "route", "add", "default", "via", GATEWAY)
        add_address(self.lan, "eth0", LAN_ADDRESS_6)
        add_address(self.router, "lan0", GATEWAY_6)
        add_address(self.router, "wan0", EXTERNAL_6)
        add_address(self.wan, "eth0", WAN_ADDRESS_6)
        call("ip", "-n", self.lan, "-6", "route", "add", "default", "via", GATEWAY_6)
        call("ip", "-n", self.wan, "-6", "route", "add", "default", "via", EXTERNAL_6)
        call(*inside(self.router), "sysctl", "-qw", "net.ipv6.conf.all.forwarding=1")
        call("ip", "-n", self.router, "route", "add", "default", "via", WAN_ADDRESS)
        call(*inside(self.router), "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv4.icmp_ratelimit=0")
        self.firewall(FIREWALL)


@contextmanager
def answering(lab: Lab, *ports: int) -> Iterator[None]:
    """Answer TCP connections and UDP datagrams on the LAN host with TOKEN."""
    stop, wake = socket.socketpair()
    selector = selectors.DefaultSelector()
    selector.register(wake, selectors.EVENT_READ)
    for port in ports:
        for kind, family, address in (
            (socket.SOCK_STREAM, socket.AF_INET, LAN_ADDRESS),
            (socket.SOCK_DGRAM, socket.AF_INET, LAN_ADDRESS),
            (socket.SOCK_STREAM, socket.AF_INET6, LAN_ADDRESS_6),
        ):
            sock = lab.socket(lab.lan, kind, family)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((address, port))
            if kind == socket.SOCK_STREAM:
                sock.listen(64)
            selector.register(sock, selectors.EVENT_READ)
    thread = threading.Thread(target=_serve, args=(selector, wake))
    thread.start()
    try:
        yield
    finally:
        stop.close()
        thread.join()
        for key in list(selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
        selector.close()


def _serve(selector: selectors.BaseSelector, wake: socket.socket) -> None:
    while True:
        for key, _ in selector.select():
            sock = key.fileobj
            assert isinstance(sock, socket.socket)
            if sock is wake:
                return
            if sock.type == socket.SOCK_STREAM:
                with sock.accept()[0] as connection:
                    connection.sendall(TOKEN)
            else:
                _, peer = sock.recvfrom(100)
                sock.sendto(TOKEN, peer)


def runs(process: Path) -> bool:
    """Whether a process, named by its folder in /proc, has not ended."""
    # A daemon that has ended is there until the system's first process asks how; some take seconds.
    try:
        return process.joinpath("stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _yes(value: bool) -> str:
    return "yes" if value else "no"
