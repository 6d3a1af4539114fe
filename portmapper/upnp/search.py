"""Find the device of a gateway: SSDP, then its description (UDA 2.0 clauses 1.3 and 2)."""

import logging
import math
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address

import anyio

from portmapper import limits
from portmapper.errors import GatewayTimeout, GatewayUnreachable, PortMapperError, ProtocolError
from portmapper.model import Gateway, IPAddress
from portmapper.net import clock, http
from portmapper.net.multicast import MulticastSocket
from portmapper.upnp import ssdp
from portmapper.upnp.answers import AnswerTable, Candidate, on_link
from portmapper.upnp.description import Description, decode_description
from portmapper.upnp.location import Place, checked_url

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Device:
    """A device that was found: how to reach it, who it says it is, and what it offers."""

    route: http.Route
    server: str
    description: Description

    @property
    def make(self) -> tuple[str, str]:
        """What tells devices of one make and model from others."""
        return (self.server, self.description.model)


async def find_device(
    gateway: Gateway, *, timeout: float, turn: AbstractAsyncContextManager[object] | None = None
) -> Device:
    """Return the first device that answers a search and has a usable description.

    The gateway's own answer wins at once. That of another host on the link, which may be the gateway under another
    address, is looked at when the gateway has had time to answer. It is looked at in `turn`, and the wait for that does
    not count; its description may come a little later than an answer to the search. Raises GatewayTimeout when nothing
    usable came within `timeout` seconds, else the reason why what came was of no use.
    """
    turn = turn or anyio.Lock()
    problem: PortMapperError | None = None
    with MulticastSocket(gateway, ttl=limits.SSDP_TTL) as socket, anyio.move_on_after(timeout) as scope:
        search = _Search(socket, gateway, clock.now())
        for _ in range(limits.DESCRIPTION_FETCHES):
            candidate = await search.next_candidate()
            left, scope.deadline = scope.deadline - anyio.current_time(), math.inf
            async with turn:
                search_ends = anyio.current_time() + left
                scope.deadline = search_ends + limits.DESCRIBED
                try:
                    problem = _undescribed(candidate)
                    return await _look_at(candidate, gateway)
                except GatewayTimeout:
                    pass  # that is what was noted
                except PortMapperError as error:
                    problem = error
            scope.deadline = search_ends
    raise problem or GatewayTimeout(f"no UPnP gateway answered the search at {gateway} within {timeout:.1f} s")


def _undescribed(candidate: Candidate) -> GatewayTimeout:
    return GatewayTimeout(f"the UPnP device at {candidate.address} did not describe itself in time", sent=1)


async def _look_at(candidate: Candidate, gateway: Gateway) -> Device:
    link = on_link(gateway)
    place = Place(candidate.address, link if isinstance(link, IPv4Network) else None)
    route = http.Route(candidate.address, gateway.source)
    location = checked_url(candidate.answer.location, place)
    reply = await http.get(location, route, limit=limits.DESCRIPTION_BODY)
    if reply.status != 200:  # noqa: PLR2004
        raise ProtocolError(f"the device description was answered with status {reply.status}")
    description = decode_description(reply.body, location, place)
    if candidate.address.packed != gateway.address.packed:
        _log.info("the UPnP device at %s is not the default gateway %s", candidate.address, gateway)
    return Device(route, candidate.answer.server or reply.server, description)


class _Search:
    """Sends the searches when they are due and picks devices out of the answers."""

    def __init__(self, socket: MulticastSocket, gateway: Gateway, begin: float) -> None:
        self._socket = socket
        self._gateway = gateway
        self._due = [begin + offset for offset in limits.SEARCH_OFFSETS]
        self._sent = 0
        self._others_from = begin + limits.OTHER_DEVICES
        self._answers = AnswerTable(gateway)

    async def next_candidate(self) -> Candidate:
        """Wait for the next device; the caller's deadline ends the wait."""
        while True:
            if self._due and self._due[0] <= clock.now():
                self._due.pop(0)
                self._send(last=not self._due)
            others = self._others_from <= clock.now()
            if (candidate := self._answers.next(others=others)) is not None:
                return candidate
            with anyio.move_on_after(self._patience(others=others)):
                self._answers.add(*await self._socket.receive())

    def _patience(self, *, others: bool) -> float | None:
        """Return in how many seconds there is something to do even if nothing comes; None for never."""
        times = [*self._due[:1], *([] if others else [self._others_from])]
        return max(min(times) - clock.now(), 0.0) if times else None

    def _send(self, *, last: bool) -> None:
        targets = ssdp.TARGETS if isinstance(self._gateway.address, IPv4Address) else ssdp.TARGETS_6
        # Each time another one first: some devices hear only the first of several searches.
        wanted = targets[self._sent :] + targets[: self._sent]
        wanted += ssdp.LAST_RESORT if last else ()
        self._sent += 1
        # A local firewall lets the answer to unicast in; some devices answer only to the group.
        unicast = self._try_send(self._gateway.address, self._gateway.ssdp_port, None, wanted)
        multicast = self._try_send(self._group(), limits.SSDP_PORT, limits.SEARCH_MX, wanted)
        if unicast and multicast:
            raise unicast

    def _group(self) -> IPAddress:
        if isinstance(self._gateway.address, IPv4Address):
            return IPv4Address(limits.SSDP_GROUP)
        return IPv6Address(limits.SSDP_GROUP_6)

    def _try_send(
        self, address: IPAddress, port: int, max_wait: int | None, targets: tuple[str, ...]
    ) -> GatewayUnreachable | None:
        # A host without a multicast route still reaches its gateway, and the other way round.
        host = f"{address}:{port}" if isinstance(address, IPv4Address) else f"[{str(address).partition('%')[0]}]:{port}"
        try:
            for target in targets:
                self._socket.send(ssdp.encode_search(target, host=host, max_wait=max_wait), address, port)
        except GatewayUnreachable as error:
            return error
        return None
