"""What the system says about its interfaces, on Linux; elsewhere nothing is known."""

import socket
import struct
import sys
from enum import IntFlag
from ipaddress import IPv4Address

from portmapper.model import IPAddress

_GET_ADDRESS, _GET_FLAGS = 0x8915, 0x8913  # linux/sockios.h
_NAME = 16  # bytes of an interface's name, with the final zero
_REQUEST = struct.Struct(f"{_NAME}s24x")


class Flag(IntFlag):
    """What an interface is and does (linux/if.h)."""

    UP = 0x1
    LOOPBACK = 0x8
    POINT_TO_POINT = 0x10
    RUNNING = 0x40
    """Its cable or radio link is there."""


def interface_with(address: IPAddress) -> str | None:
    """Return the interface whose first IPv4 address this is; None if there is none, or if the system does not say."""
    if isinstance(address, IPv4Address):
        for _, name in socket.if_nameindex():
            if address_of(name) == address:
                return name
    return None


def address_of(interface: str) -> IPv4Address | None:
    """Return the first IPv4 address of an interface; None if it has none, or if the system does not say."""
    answer = _ask(interface, _GET_ADDRESS)
    return None if answer is None else IPv4Address(answer[20:24])


def flags_of(interface: str) -> Flag:
    """Return what an interface is and does; no flags where the system does not say."""
    answer = _ask(interface, _GET_FLAGS)
    return Flag(0) if answer is None else Flag(struct.unpack_from("=H", answer, _NAME)[0])


def is_tunnel(interface: str) -> bool:
    """Whether an interface leads to one other host alone, as those of VPNs do."""
    return Flag.POINT_TO_POINT in flags_of(interface)


def _ask(interface: str, question: int) -> bytes | None:
    name = interface.encode()
    if sys.platform != "linux" or len(name) >= _NAME:
        return None
    import fcntl  # noqa: PLC0415 - not there on Windows

    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            return fcntl.ioctl(sock, question, _REQUEST.pack(name))
    except OSError:
        return None  # it is gone, or has no such address
