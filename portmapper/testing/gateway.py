"""A gateway on the loopback interface that speaks all three protocols and really forwards."""

import math
import socket
from collections.abc import Callable
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address
from types import TracebackType
from typing import Self

import anyio
from anyio.abc import TaskGroup

from portmapper import limits
from portmapper.model import Gateway, IPAddress
from portmapper.net import clock
from portmapper.net.datagram import family_of, parse_address
from portmapper.net.tasks import end_tasks
from portmapper.testing import group
from portmapper.testing.http_server import HttpRequest, HttpServer
from portmapper.testing.igd import Igd
from portmapper.testing.igd_description import Site
from portmapper.testing.igd_front import Front
from portmapper.testing.igd_pinholes import Pinhole
from portmapper.testing.igd_switches import IgdSwitches
from portmapper.testing.pcp_server import PcpServer, PcpSwitches, mapping_update
from portmapper.testing.port_control import PortControl
from portmapper.testing.table import Entry, MappingTable
from portmapper.upnp import soap, ssdp

_LOOPBACK, _LOOPBACK_6 = IPv4Address("127.0.0.1"), IPv6Address("::1")
_TICK = 0.1
_DATAGRAM = 4096


class SimulatedGateway:
    """A router in user space: an async context manager; give its `gateway` to PortMapper.

    The switches say which protocols it speaks; a port that nothing listens on refuses, as a real one does. Override
    `answer_datagram`, `answer_search` or `answer_http` for a gateway that lies, repeats itself or says nothing.
    External ports are on `external_address`, so a port that a server of this host has bound cannot be granted. Leases
    by PCP and NAT-PMP are of `min_lifetime` to `max_lifetime` seconds.

    It has `address`, to which this host is 127.0.0.1. With `ipv6` both are ::1; it speaks UPnP alone there and opens
    pinholes. With `hears_group` searches to the group 239.255.255.250 come to it too, of whatever program of this host.
    """

    def __init__(
        self,
        *,
        pcp: bool = True,
        natpmp: bool = True,
        upnp: bool = True,
        igd: IgdSwitches = IgdSwitches(),  # noqa: B008 - frozen
        pcp_switches: PcpSwitches = PcpSwitches(),  # noqa: B008 - frozen
        min_lifetime: int = 1,
        max_lifetime: int = 86400,
        external_address: IPv4Address = _LOOPBACK,
        address: IPv4Address = _LOOPBACK,
        ipv6: bool = False,
        hears_group: bool = False,
    ) -> None:
        if ipv6 and (pcp or natpmp or hears_group):
            raise ValueError("by IPv6 the simulated gateway speaks unicast UPnP only: pcp=False, natpmp=False")
        self._switches = (pcp, natpmp, upnp)
        self._igd_switches = igd
        self._pcp_switches = pcp_switches
        self._lifetimes = (min_lifetime, max_lifetime)
        self._external_address = external_address
        self._own_address: IPAddress = _LOOPBACK_6 if ipv6 else address
        self._hears_group = hears_group
        self._begin = clock.now()
        self._last_search = -math.inf
        self._sockets: list[socket.socket] = []
        self._http: list[HttpServer] = []
        self._front = Front(igd, self._carry_out)
        self._tasks: TaskGroup
        self._control: PortControl
        self._igd: Igd
        self.table: MappingTable
        self.gateway: Gateway
        self.control_socket: socket.socket
        self.datagrams: list[bytes] = []
        """The requests that came to the PCP and NAT-PMP port, in order."""
        self.searches: list[bytes] = []
        """The datagrams that came to the SSDP port, in order."""
        self.requests: list[HttpRequest] = self._front.requests
        """The HTTP requests that came, in order, also those that were refused or dropped."""
        self.calls: list[soap.Action] = self._front.calls
        """The SOAP requests among them, in order."""

    async def __aenter__(self) -> Self:
        self._tasks = await anyio.create_task_group().__aenter__()
        try:
            self._start()
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        try:
            await end_tasks(self._tasks)
        finally:
            for sock in self._sockets:
                sock.close()

    def answer_datagram(self, data: bytes, sender: IPAddress) -> list[bytes]:
        """Return what the PCP and NAT-PMP port answers to `data`: none, one or several datagrams."""
        now = clock.now()
        return self._control.answer(data, sender, now, self.epoch)

    def answer_search(self, data: bytes) -> list[bytes]:
        """Return what the SSDP port answers to `data`."""
        return self._igd.answer_search(data)

    def answer_http(self, method: str, path: str, body: bytes, sender: IPAddress) -> tuple[int, bytes]:
        """Return status and body of the answer to an HTTP request."""
        return self._igd.answer_http(method, path, body, sender, clock.now())

    @property
    def epoch(self) -> int:
        """Seconds since the gateway lost its state."""
        return int(clock.now() - self._begin)

    @property
    def pinholes(self) -> dict[int, Pinhole]:
        """The pinholes in the IPv6 firewall, by UniqueID."""
        return self._igd.pinholes.entries

    @property
    def most_at_once(self) -> int:
        """How many HTTP requests were in progress at the same time, at most."""
        return max((server.most_open for server in self._http), default=0)

    def reboot(self) -> None:
        """Forget all mappings and pinholes, start the epoch afresh and take the next boot id."""
        self.table.clear()
        self._begin = clock.now()
        self._igd.reboot(self._begin)

    async def move_http(self) -> None:
        """Serve HTTP at another port from now on, as a router may after a restart; the old one refuses."""
        old = self._http[-1]
        self._serve_http()
        await old.stop()

    def notify(
        self,
        kind: ssdp.Kind,
        *,
        boot_id: int | None = None,
        next_boot_id: int | None = None,
        nt: str = "",
        address: IPv4Address | None = None,
    ) -> None:
        """Send an SSDP notification to the IPv4 group, which does not leave this host.

        It comes from `address`, by default the gateway's, and is about `nt`, by default the gateway device; `boot_id`
        is by default the current one.
        """
        data = self._igd.notification(kind, nt, boot_id=boot_id, next_boot_id=next_boot_id)
        own = self._own_address if isinstance(self._own_address, IPv4Address) else _LOOPBACK
        group.send(data, address or own)

    def send_update(self, entry: Entry, *, result: int = 0) -> None:
        """Tell the host unasked what a mapping is now: PCP's Mapping Update, to its port 5350."""
        lifetime = max(int(entry.ends - clock.now()), 0)
        update = mapping_update(entry, self._external_address, lifetime=lifetime, epoch=self.epoch, result=result)
        self.control_socket.sendto(update.encode(), (str(entry.internal.address), limits.ANNOUNCEMENT_PORT))

    def _start(self) -> None:
        self.table = MappingTable(self._external_address, self._tasks)
        self._make_servers()
        port, ssdp_port = self._listen()
        own, host = self._own_address, _LOOPBACK if isinstance(self._own_address, IPv4Address) else _LOOPBACK_6
        self.gateway = Gateway(address=own, source=host, interface="lo", port=port, ssdp_port=ssdp_port)
        self._tasks.start_soon(self._expire)

    def _make_servers(self) -> None:
        speaks_pcp, speaks_natpmp, _ = self._switches
        self._control = PortControl(
            table=self.table,
            external_address=self._external_address,
            speaks_pcp=speaks_pcp,
            speaks_natpmp=speaks_natpmp,
            min_lifetime=self._lifetimes[0],
            max_lifetime=self._lifetimes[1],
            pcp=PcpServer(
                table=self.table,
                external_address=self._external_address,
                min_lifetime=self._lifetimes[0],
                max_lifetime=self._lifetimes[1],
                switches=self._pcp_switches,
            ),
        )
        self._igd = Igd(
            table=self.table,
            external_address=self._external_address,
            switches=self._igd_switches,
            site=Site(self._own_address, 0),
            begin=self._begin,
        )

    def _listen(self) -> tuple[int, int]:
        """Start the servers that are switched on; return the ports of UDP 5351 and 1900 in this simulation."""
        speaks_pcp, speaks_natpmp, speaks_upnp = self._switches
        self.control_socket = control = self._bind()
        search = self._bind()
        ports = (control.getsockname()[1], search.getsockname()[1])
        if speaks_pcp or speaks_natpmp:
            self._tasks.start_soon(self._serve, control, self._answer_and_note)
        else:
            _refuse(control)
        if speaks_upnp:
            self._serve_http()
            self._serve_ssdp(search)
        else:
            _refuse(search)
        return ports

    def _serve_http(self) -> None:
        server = HttpServer(self._own_address, self._front.answer)
        self._http.append(server)
        self._igd.site = Site(self._own_address, server.port)
        server.start(self._tasks)

    def _serve_ssdp(self, asked: socket.socket) -> None:
        answering = self._bind() if self._igd_switches.other_source_port else asked
        self._tasks.start_soon(self._serve_searches, asked, answering)
        if self._hears_group and isinstance(self._own_address, IPv4Address):
            member = group.listen(self._own_address)
            self._sockets.append(member)
            self._tasks.start_soon(self._serve_searches, member, answering)

    def _answer_and_note(self, data: bytes, sender: IPAddress) -> list[bytes]:
        self.datagrams.append(data)
        return self.answer_datagram(data, sender)

    async def _serve_searches(self, asked: socket.socket, answering: socket.socket) -> None:
        while True:
            data, peer = await _received(asked)
            self.searches.append(data)
            if self._hears_search(peer):
                self._reply(answering, self.answer_search(data), peer)

    def _hears_search(self, peer: tuple[str, int]) -> bool:
        rules, now = self._igd_switches, clock.now()
        if now - self._last_search < rules.search_gap or rules.asker_port not in {None, peer[1]}:
            return False
        self._last_search = now
        return True

    def _reply(self, sock: socket.socket, answers: list[bytes], peer: tuple[str, int]) -> None:
        delay = self._igd_switches.search_delay
        if delay:
            self._tasks.start_soon(_send_later, delay, sock, answers, peer)
        else:
            _send(sock, answers, peer)

    def _carry_out(self, method: str, path: str, body: bytes, sender: IPAddress) -> tuple[int, bytes]:
        return self.answer_http(method, path, body, sender)  # which may have been replaced after the start

    def _bind(self) -> socket.socket:
        sock = socket.socket(family_of(self._own_address), socket.SOCK_DGRAM)
        self._sockets.append(sock)
        sock.setblocking(False)
        sock.bind((str(self._own_address), 0))
        return sock

    async def _serve(self, sock: socket.socket, answer: Callable[[bytes, IPAddress], list[bytes]]) -> None:
        while True:
            data, peer = await _received(sock)
            _send(sock, answer(data, parse_address(peer)), peer)

    async def _expire(self) -> None:
        while True:
            await anyio.sleep(_TICK)
            self.table.expire(clock.now())
            self._igd.pinholes.expire(clock.now())


def _refuse(sock: socket.socket) -> None:
    """Have the port of `sock` refuse whoever asks, and keep it: a closed one may be given to any program meanwhile."""
    sock.connect(sock.getsockname())  # it hears itself alone


async def _received(sock: socket.socket) -> tuple[bytes, tuple[str, int]]:
    while True:
        await anyio.wait_readable(sock)
        with suppress(BlockingIOError, ConnectionRefusedError):
            data, peer = sock.recvfrom(_DATAGRAM)
            return data, peer


def _send(sock: socket.socket, datagrams: list[bytes], peer: tuple[str, int]) -> None:
    with suppress(BlockingIOError, ConnectionRefusedError):  # an asker that has gone away
        for datagram in datagrams:
            sock.sendto(datagram, peer)


async def _send_later(delay: float, sock: socket.socket, datagrams: list[bytes], peer: tuple[str, int]) -> None:
    await anyio.sleep(delay)
    _send(sock, datagrams, peer)
