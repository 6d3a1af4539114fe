"""Which sockets of the tests may send, and where to."""

import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from typing import Any


class LabSocket(socket.socket):
    """A socket in a namespace that the test made: nothing it sends leaves this machine."""


_here = threading.local()


@contextmanager
def at_large() -> Iterator[None]:
    """Let this thread send anywhere: it is in a namespace that the test made."""
    _here.at_large = True
    try:
        yield
    finally:
        _here.at_large = False


def quiet_port() -> int:
    """Return a UDP port that is free and below those that the system gives to whoever asks for any."""
    for port in range(20000, 32768):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock, suppress(OSError):
            sock.bind(("", port))
            return port
    raise RuntimeError("no UDP port is free")


def stay_at_home(event: str, arguments: tuple[Any, ...]) -> None:
    """Refuse to send to anything but loopback and multicast, except in a namespace of ours (an audit hook)."""
    if event not in {"socket.connect", "socket.sendto"} or isinstance(arguments[0], LabSocket):
        return
    if getattr(_here, "at_large", False):
        return
    address = arguments[1]
    if isinstance(address, tuple) and not _harmless(address[0]):
        raise RuntimeError(f"a test tried to send to {address}")


def install() -> None:
    """Watch over this process from now on."""
    sys.addaudithook(stay_at_home)


def _harmless(host: str) -> bool:
    address = ip_address(host.partition("%")[0])
    return address.is_loopback or address.is_multicast
