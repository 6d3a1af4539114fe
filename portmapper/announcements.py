"""Hear a gateway announce that it restarted or changed (RFC 6886 3.2.1, RFC 6887 14, UPnP Device Architecture 2.0 1.2).

What comes unasked can be forged by anybody on the network, so nothing in it is believed: it makes us ask the gateway,
and the answer decides.
"""

import logging
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from ipaddress import IPv4Address, IPv6Address
from typing import TypeAlias

import anyio

from portmapper import limits
from portmapper.errors import GatewayUnreachable, ProtocolError
from portmapper.model import Gateway, IPAddress
from portmapper.natpmp import wire as natpmp
from portmapper.net.multicast import GroupSocket, Listener, UnicastListener
from portmapper.pcp import wire as pcp
from portmapper.upnp.boot import BootWatch
from portmapper.upnp.ssdp import decode_notification, is_gateway

_log = logging.getLogger(__name__)

Datagram: TypeAlias = tuple[bytes, IPAddress, int]
"""What came, and the address and port it came from."""


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


class Source(StrEnum):
    """How an announcement comes."""

    PCP = "pcp"
    NAT_PMP = "natpmp"
    SSDP = "ssdp"


@dataclass(frozen=True, slots=True)
class Announcement:
    """Something that came unasked in the name of a gateway. `kind` is a word of the protocol for what it says."""

    source: Source
    kind: str


Reader: TypeAlias = Callable[[bytes, IPAddress, int], Announcement | None]


async def hear(gateway: Gateway, tell: Callable[[Announcement], None]) -> None:
    """Call `tell` for what is announced in the name of `gateway`, of each kind at most once a second, until cancelled.

    For those who show it: it may be forged.
    """
    groups = (
        (_group(gateway.address), limits.ANNOUNCEMENT_PORT, partial(_announcement, gateway)),
        (_ssdp_group(gateway.address), limits.SSDP_PORT, partial(_notification, gateway)),
    )
    async with anyio.create_task_group() as tasks:
        for group, port, read in groups:
            tasks.start_soon(_hear, gateway, group, port, read, tell)


async def _hear(
    gateway: Gateway,
    group: IPAddress,
    port: int,
    read: Reader,
    tell: Callable[[Announcement], None],
) -> None:
    try:
        with GroupSocket(group, port, gateway) as listener:
            while True:
                await listener.wait()
                for announcement in {read(*heard): None for heard in _at_once(listener)}:
                    if announcement is not None:
                        tell(announcement)
                await anyio.sleep(limits.CHECK_GAP)
    except GatewayUnreachable as problem:
        _log.info("what is announced to %s cannot be heard: %s", group, problem)


def _announcement(gateway: Gateway, data: bytes, sender: IPAddress, port: int) -> Announcement | None:
    if not _is_announced(gateway, data, sender, port):
        return None
    if data[:1] == bytes([natpmp.VERSION]):
        return Announcement(Source.NAT_PMP, "address")
    update = isinstance(pcp.decode_response(data), pcp.MapResponse)
    return Announcement(Source.PCP, "update" if update else "announce")


def _notification(gateway: Gateway, data: bytes, sender: IPAddress, _port: int) -> Announcement | None:
    try:
        notification = decode_notification(data)
    except ProtocolError:
        return None
    if not (_is_at(gateway, sender) and is_gateway(notification.nt)):
        return None
    return Announcement(Source.SSDP, notification.kind.rpartition(":")[2])


async def _heard(listener: Listener, counts: Callable[[bytes, IPAddress, int], bool]) -> bytes:
    """Return the next datagram that counts.

    There is a pause after those that do not: a flood of them then fills the system's buffer instead of our time.
    """
    while True:
        await listener.wait()
        for heard in _at_once(listener):
            if counts(*heard):
                return heard[0]
        await anyio.sleep(limits.UNHEARD_GAP)


def _at_once(listener: Listener) -> Iterator[Datagram]:
    """Return what is waiting to be read, bounded."""
    for _ in range(limits.HEARD_AT_ONCE):
        heard = listener.poll()
        if heard is None:
            return
        yield heard


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
