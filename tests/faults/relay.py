"""Between a mapper and the port mapping server of a simulated gateway: answers are late, or the port refuses."""

import socket
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace

import anyio
from anyio.abc import TaskGroup, TaskStatus

from portmapper.model import Gateway
from portmapper.testing import SimulatedGateway
from tests.faults.refusing import asks_to_map

Peer = tuple[str, int]


class Relay:
    """Hands on requests at once. Each request for a mapping is answered after the next of `delays`, if there is one.

    So is the same request again, which comes from the same port.
    """

    def __init__(self, simulated: SimulatedGateway, tasks: TaskGroup) -> None:
        self._simulated = simulated
        self._tasks = tasks
        self._socket = _bound(0)
        self._port: int = self._socket.getsockname()[1]
        self.delays: deque[float] = deque()
        self._delay_of: dict[Peer, float] = {}
        self._begin()

    @property
    def gateway(self) -> Gateway:
        """The gateway to ask."""
        return replace(self._simulated.gateway, port=self._port)

    async def refuse(self, seconds: float, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Have nothing listen for so long: whoever asks is told by ICMP. Started when that is so."""
        self._serving.cancel()
        await self._ended.wait()
        self._socket.close()
        task_status.started()
        await anyio.sleep(seconds)
        self._socket = _bound(self._port)
        self._begin()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _begin(self) -> None:
        self._serving, self._ended = anyio.CancelScope(), anyio.Event()
        self._tasks.start_soon(self._serve, self._serving, self._ended)

    async def _serve(self, scope: anyio.CancelScope, ended: anyio.Event) -> None:
        with scope:
            await self._hand_on()
        ended.set()

    async def _hand_on(self) -> None:
        while True:
            await anyio.wait_readable(self._socket)
            data, peer = self._socket.recvfrom(2000)
            if self.delays and asks_to_map(data) and peer not in self._delay_of:
                self._delay_of[peer] = self.delays.popleft()
            answers = self._simulated.answer_datagram(data, self._simulated.gateway.source)
            self._tasks.start_soon(self._answer, answers, peer, self._delay_of.get(peer, 0.0))

    async def _answer(self, answers: list[bytes], peer: Peer, delay: float) -> None:
        await anyio.sleep(delay)
        for answer in answers:
            self._socket.sendto(answer, peer)


def _bound(port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.bind(("127.0.0.1", port))
    return sock


@asynccontextmanager
async def relayed(simulated: SimulatedGateway) -> AsyncGenerator[Relay]:
    """Run a relay."""
    async with anyio.create_task_group() as tasks:
        relay = Relay(simulated, tasks)
        try:
            yield relay
        finally:
            tasks.cancel_scope.cancel()
            relay.close()
