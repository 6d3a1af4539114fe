"""What the system says about its interfaces, on Linux; elsewhere nothing is known."""

import socket
import struct
import sys
from ipaddress import IPv4Address

from portmapper.model import IPAddress

_GET_ADDRESS, _GET_FLAGS, _POINT_TO_POINT = 0x8915, 0x8913, 0x10  # linux/sockios.h, linux/if.h
_NAME = 16  # bytes of an interface's name, with the final zero
_REQUEST = struct.Struct(f"{_NAME}s24x")


def interface_with(address: IPAddress) -> str | None:
    """Return the interface whose first IPv4 address this is; None if there is none, or if the system does not say."""
    if isinstance(address, IPv4Address):
        for _, name in socket.if_nameindex():
            answer = _ask(name, _GET_ADDRESS)
            if answer is not None and answer[20:24] == address.packed:
                return name
    return None


def is_tunnel(interface: str) -> bool:
    """Whether an interface leads to one other host alone, as those of VPNs do."""
    answer = _ask(interface, _GET_FLAGS)
    return answer is not None and bool(struct.unpack_from("=H", answer, _NAME)[0] & _POINT_TO_POINT)


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
