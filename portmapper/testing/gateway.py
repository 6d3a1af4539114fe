"""A gateway on the loopback interface that speaks all three protocols and really forwards."""

import socket
from collections.abc import Callable
from ipaddress import IPv4Address, ip_address
from types import TracebackType
from typing import Self

import anyio
from anyio.abc import TaskGroup

from portmapper import limits
from portmapper.model import Gateway, IPAddress
from portmapper.net import clock
from portmapper.net.tasks import end_tasks
from portmapper.testing.http_server import HttpServer
from portmapper.testing.igd import DESCRIPTION_PATH, Igd
from portmapper.testing.pcp_server import PcpServer, PcpSwitches, mapping_update
from portmapper.testing.port_control import PortControl
from portmapper.testing.table import Entry, MappingTable

_LOOPBACK = IPv4Address("127.0.0.1")
_TICK = 0.1
_DATAGRAM = 4096


class SimulatedGateway:
    """A router in user space: an async context manager; give its `gateway` to PortMapper.

    The switches say which protocols it speaks; a port that nothing listens on refuses, as a real one does. Override
    `answer_datagram`, `answer_search` or `answer_http` for a gateway that lies, repeats itself or says nothing.
    External ports are on `external_address`, so a port that a server of this host has bound cannot be granted.
    """

    def __init__(
        self,
        *,
        pcp: bool = True,
        natpmp: bool = True,
        upnp: bool = True,
        igd_version: int = 2,
        permanent_only: bool = False,
        pcp_switches: PcpSwitches = PcpSwitches(),  # noqa: B008 - frozen
        min_lifetime: int = 1,
        max_lifetime: int = 86400,
        external_address: IPv4Address = _LOOPBACK,
    ) -> None:
        self._switches = (pcp, natpmp, upnp)
        self._igd_version = igd_version
        self._permanent_only = permanent_only
        self._pcp_switches = pcp_switches
        self._lifetimes = (min_lifetime, max_lifetime)
        self._external_address = external_address
        self._begin = clock.now()
        self._sockets: list[socket.socket] = []
        self._tasks: TaskGroup
        self._control: PortControl
        self._igd: Igd
        self.table: MappingTable
        self.gateway: Gateway
        self.control_socket: socket.socket
        self.datagrams: list[bytes] = []
        """The requests that came to the PCP and NAT-PMP port, in order."""

    async def __aenter__(self) -> Self:
        self._tasks = await anyio.create_task_group().__aenter__()
        self.table = MappingTable(self._external_address, self._tasks)
        self._make_servers()
        ports = self._listen()
        self.gateway = Gateway(address=_LOOPBACK, source=_LOOPBACK, interface="lo", port=ports[0], ssdp_port=ports[1])
        self._tasks.start_soon(self._expire)
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

    def reboot(self) -> None:
        """Forget all mappings and start the epoch afresh."""
        self.table.clear()
        self._begin = clock.now()

    def send_update(self, entry: Entry, *, result: int = 0) -> None:
        """Tell the host unasked what a mapping is now: PCP's Mapping Update, to its port 5350."""
        lifetime = max(int(entry.ends - clock.now()), 0)
        update = mapping_update(entry, self._external_address, lifetime=lifetime, epoch=self.epoch, result=result)
        self.control_socket.sendto(update.encode(), (str(entry.internal.address), limits.ANNOUNCEMENT_PORT))

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
            version=self._igd_version,
            permanent_only=self._permanent_only,
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
            control.close()
        if speaks_upnp:
            http = HttpServer(_LOOPBACK, self.answer_http)
            self._igd.location = f"http://{_LOOPBACK}:{http.port}{DESCRIPTION_PATH}"
            http.start(self._tasks)
            self._tasks.start_soon(self._serve, search, self._answer_search)
        else:
            search.close()
        return ports

    def _answer_and_note(self, data: bytes, sender: IPAddress) -> list[bytes]:
        self.datagrams.append(data)
        return self.answer_datagram(data, sender)

    def _answer_search(self, data: bytes, _sender: IPAddress) -> list[bytes]:
        return self.answer_search(data)

    def _bind(self) -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sockets.append(sock)
        sock.setblocking(False)
        sock.bind((str(_LOOPBACK), 0))
        return sock

    async def _serve(self, sock: socket.socket, answer: Callable[[bytes, IPAddress], list[bytes]]) -> None:
        while True:
            await anyio.wait_readable(sock)
            try:
                data, sender = sock.recvfrom(_DATAGRAM)
                for reply in answer(data, ip_address(sender[0])):
                    sock.sendto(reply, sender)
            except (BlockingIOError, ConnectionRefusedError):
                continue  # an asker that has gone away

    async def _expire(self) -> None:
        while True:
            await anyio.sleep(_TICK)
            self.table.expire(clock.now())
