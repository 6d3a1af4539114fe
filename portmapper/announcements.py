"""Hear a gateway announce that it restarted or changed (RFC 6886 3.2.1, RFC 6887 14, UPnP Device Architecture 2.0 1.2).

What comes unasked can be forged by anybody on the network, so nothing in it is believed: it makes us ask the gateway,
and the answer decides.
"""

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from ipaddress import IPv4Address, IPv6Address

import anyio

from portmapper import limits
from portmapper.errors import GatewayUnreachable, ProtocolError
from portmapper.model import Gateway, IPAddress
from portmapper.natpmp import wire as natpmp
from portmapper.net.multicast import GroupSocket, Listener, UnicastListener
from portmapper.pcp import wire as pcp
from portmapper.upnp.boot import BootWatch

_log = logging.getLogger(__name__)


async def listen(gateway: Gateway, ask: Callable[[], Awaitable[None]]) -> None:
    """Call `ask` after announcements of `gateway`, at most once a second, until cancelled."""
    try:
        with GroupSocket(_group(gateway.address), limits.ANNOUNCEMENT_PORT, gateway) as group:
            while True:
                await _heard(group, partial(_is_announced, gateway))
                await ask()
                await anyio.sleep(limits.CHECK_GAP)
    except GatewayUnreachable as problem:
        # Another program holds the port for itself, say. Renewals find a loss too, only later.
        _log.info("announcements of %s cannot be heard: %s", gateway, problem)


async def listen_for_restarts(gateway: Gateway, ask: Callable[[], Awaitable[None]]) -> None:
    """Call `ask` when the UPnP device of `gateway` says that it has started, at most once a second, until cancelled."""
    watch = BootWatch()
    try:
        with GroupSocket(_ssdp_group(gateway.address), limits.SSDP_PORT, gateway) as group:
            while True:
                await _heard(group, lambda data, sender, _: _is_at(gateway, sender) and watch.observe(data))
                await ask()
                await anyio.sleep(limits.CHECK_GAP)
    except GatewayUnreachable as problem:
        _log.info("the UPnP device at %s cannot be heard: %s", gateway, problem)


async def listen_for_updates(gateway: Gateway, notice: Callable[[bytes], None]) -> None:
    """Call `notice` with what `gateway` sends to this host's port 5350 alone, at most once a second, until cancelled.

    Of several programs that listen there, the system gives it to one.
    """
    try:
        with UnicastListener(gateway.source, limits.ANNOUNCEMENT_PORT) as listener:
            while True:
                notice(await _heard(listener, lambda _, sender, port: _is_from(gateway, sender, port)))
                await anyio.sleep(limits.CHECK_GAP)
    except GatewayUnreachable as problem:
        _log.info("mapping updates of %s cannot be heard: %s", gateway, problem)


async def _heard(listener: Listener, counts: Callable[[bytes, IPAddress, int], bool]) -> bytes:
    """Return the next datagram that counts.

    There is a pause after those that do not: a flood of them then fills the system's buffer instead of our time.
    """
    while True:
        await listener.wait()
        for _ in range(limits.HEARD_AT_ONCE):
            heard = listener.poll()
            if heard is None:
                break
            if counts(*heard):
                return heard[0]
        await anyio.sleep(limits.UNHEARD_GAP)


def _is_announced(gateway: Gateway, data: bytes, sender: IPAddress, port: int) -> bool:
    return _is_from(gateway, sender, port) and is_announcement(data)


def _is_from(gateway: Gateway, sender: IPAddress, port: int) -> bool:
    return _is_at(gateway, sender) and port == gateway.port


def _is_at(gateway: Gateway, sender: IPAddress) -> bool:
    return sender.packed == gateway.address.packed  # zones are spelt differently


def is_announcement(data: bytes) -> bool:
    """Whether `data` has the form of an announcement: NAT-PMP's external address, PCP's ANNOUNCE or Mapping Update."""
    try:
        if data[:1] == bytes([natpmp.VERSION]):
            return isinstance(natpmp.decode_response(data), natpmp.AddressResponse)
        return isinstance(pcp.decode_response(data), pcp.AnnounceResponse | pcp.MapResponse)
    except ProtocolError:
        return False


def _ssdp_group(address: IPAddress) -> IPAddress:
    v4 = isinstance(address, IPv4Address)
    return IPv4Address(limits.SSDP_GROUP) if v4 else IPv6Address(limits.SSDP_GROUP_6)


def _group(address: IPAddress) -> IPAddress:
    return IPv4Address(limits.ALL_HOSTS) if isinstance(address, IPv4Address) else IPv6Address(limits.ALL_NODES)
