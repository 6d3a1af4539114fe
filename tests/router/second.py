"""A second real router beside the first: another link of the LAN host, another external address.

NAME-lan 192.168.88.10 eth1  --  192.168.88.1 NAME-two 8.8.5.1  --  8.8.5.2 eth1 NAME-wan
"""

import os
import selectors
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.router.lab import TOKEN, Lab
from tests.router.namespaces import add_address, add_link, call, inside
from tests.router.settings import CONFIG, FIREWALL

GATEWAY_2, LAN_ADDRESS_2, EXTERNAL_2, WAN_ADDRESS_2 = "192.168.88.1", "192.168.88.10", "8.8.5.1", "8.8.5.2"


class _Daemon:
    """miniupnpd in the second router."""

    def __init__(self, namespace: str, folder: Path) -> None:
        config = CONFIG.format(natpmp="yes", upnp="yes", min_lifetime=120, folder=folder, extra="")
        self._config, self._pid_file = folder / "miniupnpd.conf", folder / "miniupnpd.pid"
        self._namespace = namespace
        self._config.write_text(config.replace("192.168.77.0/24", "192.168.88.0/24"))
        (folder / "leases").touch()

    def start(self) -> None:
        call(*inside(self._namespace), "miniupnpd", "-f", str(self._config), "-P", str(self._pid_file))
        deadline = time.monotonic() + 5
        while not (self._pid_file.exists() and self._pid_file.read_text().strip()):
            assert time.monotonic() < deadline, "miniupnpd did not start"
            time.sleep(0.01)

    def stop(self) -> None:
        if self._pid_file.exists():
            with suppress(ProcessLookupError):
                os.kill(int(self._pid_file.read_text()), signal.SIGTERM)


@contextmanager
def second_router(lab: Lab, folder: Path) -> Iterator[None]:
    """Add a second router and a second link of the LAN host; the default route stays with the first."""
    name = f"{lab.router}2"
    call("ip", "netns", "add", name)
    daemon = _Daemon(name, folder)
    try:
        call("ip", "-n", name, "link", "set", "lo", "up")
        add_link(lab.lan, "eth1", name, "lan0")
        add_link(lab.wan, "eth1", name, "wan0")
        for namespace, device, address in (
            (lab.lan, "eth1", LAN_ADDRESS_2),
            (name, "lan0", GATEWAY_2),
            (name, "wan0", EXTERNAL_2),
            (lab.wan, "eth1", WAN_ADDRESS_2),
        ):
            add_address(namespace, device, address)
        call("ip", "-n", name, "route", "add", "default", "via", WAN_ADDRESS_2)
        call(*inside(name), "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv4.icmp_ratelimit=0")
        subprocess.run([*inside(name), "nft", "-f", "-"], input=FIREWALL.encode(), check=True)
        daemon.start()
        yield
    finally:
        daemon.stop()
        subprocess.run(["ip", "netns", "del", name], stderr=subprocess.DEVNULL, check=False)


def default_route(lab: Lab, gateway: str) -> None:
    """Make another router that of the LAN host's default route."""
    call("ip", "-n", lab.lan, "route", "replace", "default", "via", gateway)


def count_packets(lab: Lab, expression: str) -> None:
    """Count what leaves the LAN host and matches an nftables expression; `counted` tells how many."""
    hook = "type filter hook output priority 0"
    table = f"table inet count {{\nchain out {{\n{hook}\n{expression} counter\n}}\n}}\n"
    subprocess.run([*inside(lab.lan), "nft", "-f", "-"], input=table.encode(), check=True)


def counted(lab: Lab) -> int:
    """Return how many packets were counted."""
    done = subprocess.run(
        [*inside(lab.lan), "nft", "list", "table", "inet", "count"], capture_output=True, text=True, check=True
    )
    return int(done.stdout.partition("packets ")[2].split()[0])


def reach(lab: Lab, external: str, port: int, timeout: float = 0.3) -> bool:
    """Whether a server on the LAN host is reached from the WAN host at an external address."""
    with lab.socket(lab.wan, socket.SOCK_STREAM) as sock:
        sock.settimeout(timeout)
        try:
            sock.connect((external, port))
            return sock.recv(100) == TOKEN
        except OSError:
            return False


@contextmanager
def answering_everywhere(lab: Lab, port: int) -> Iterator[None]:
    """Answer TCP connections to any address of the LAN host with TOKEN."""
    stop, wake = socket.socketpair()
    with lab.socket(lab.lan, socket.SOCK_STREAM) as server, stop, wake, selectors.DefaultSelector() as selector:
        server.bind(("0.0.0.0", port))
        server.listen(64)
        selector.register(server, selectors.EVENT_READ)
        selector.register(wake, selectors.EVENT_READ)
        thread = threading.Thread(target=_serve, args=(selector, server))
        thread.start()
        try:
            yield
        finally:
            stop.send(b"x")
            thread.join()


def _serve(selector: selectors.BaseSelector, server: socket.socket) -> None:
    while True:
        for key, _ in selector.select():
            if key.fileobj is not server:
                return
            with server.accept()[0] as connection:
                connection.sendall(TOKEN)
