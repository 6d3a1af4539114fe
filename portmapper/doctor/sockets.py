"""A connected UDP socket that tells who refused a datagram, and with which words of ICMP."""

import socket
import struct
import sys
from contextlib import suppress
from ipaddress import IPv4Address, ip_address

from portmapper.doctor.findings import Refusal
from portmapper.errors import GatewayUnreachable
from portmapper.model import IPAddress
from portmapper.net.datagram import Datagram

# linux/in.h, linux/in6.h, linux/errqueue.h; Python has no names for them.
_IP_RECVERR, _IPV6_RECVERR, _MSG_ERRQUEUE = 11, 25, 0x2000
_EXTENDED = struct.Struct("=IBBBBII")  # errno, origin, type, code, padding, info, data; then who said so
_FROM_ICMP = {2, 3}  # by IPv4, by IPv6
_OFFENDER = {socket.AF_INET: slice(4, 8), socket.AF_INET6: slice(8, 24)}  # where the address is in a sockaddr


class TellingSocket(Datagram):
    """On Linux it also hears what a plain socket is not told: that a host or its network cannot be reached."""

    def __init__(self, remote: IPAddress, port: int, *, source: IPAddress) -> None:
        super().__init__(remote, port, source=source)
        if sys.platform == "linux":
            v4 = isinstance(remote, IPv4Address)
            level, option = (socket.IPPROTO_IP, _IP_RECVERR) if v4 else (socket.IPPROTO_IPV6, _IPV6_RECVERR)
            self._socket.setsockopt(level, option, 1)

    def refusal(self, error: GatewayUnreachable) -> Refusal:
        """Return what is known of an error that `send` or `receive` raised."""
        icmp, by = None, None
        if sys.platform == "linux":
            with suppress(OSError):  # nothing is queued: it was this host itself
                _, ancillary, _, _ = self._socket.recvmsg(1, 512, _MSG_ERRQUEUE)
                icmp, by = _parsed([data for _, _, data in ancillary])
        return Refusal(text=str(error), errno=error.errno or 0, icmp=icmp, by=by)


def _parsed(told: list[bytes]) -> tuple[tuple[int, int] | None, IPAddress | None]:
    for data in told:
        if len(data) >= _EXTENDED.size:
            _, origin, kind, code, _, _, _ = _EXTENDED.unpack_from(data)
            if origin in _FROM_ICMP:
                return (kind, code), _offender(data[_EXTENDED.size :])
    return None, None


def _offender(sockaddr: bytes) -> IPAddress | None:
    family = int.from_bytes(sockaddr[:2], sys.byteorder)
    place = _OFFENDER.get(socket.AddressFamily(family)) if family in set(_OFFENDER) else None
    packed = sockaddr[place] if place else b""
    return ip_address(packed) if len(packed) in {4, 16} else None
