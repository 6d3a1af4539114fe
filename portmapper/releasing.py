"""Give leases back: side by side, in little time, and noting what could not be."""

import logging
from collections import defaultdict
from collections.abc import Iterable

import anyio

from portmapper import limits
from portmapper.backend import Backend
from portmapper.errors import GatewayTimeout, GatewayUnreachable, InUseLocally, PortMapperError, RequestRefused
from portmapper.holding import Holding
from portmapper.net import clock
from portmapper.net.datagram import send_unanswered
from portmapper.net.tasks import shielded
from portmapper.recording import Record
from portmapper.refusals import Refusals

_log = logging.getLogger(__name__)


class Releaser:
    """Takes back what a mapper holds."""

    def __init__(self, record: Record, refusals: Refusals) -> None:
        self._record = record
        self._refusals = refusals
        self._leaving: dict[Holding, None] = {}
        self._room = anyio.CapacityLimiter(limits.RELEASES)  # each has a socket, of which a process has not so many

    async def release(self, holdings: Iterable[Holding]) -> None:
        """Give leases back within 2 s, whoever cancels; of one backend, what has no end first."""
        held: defaultdict[int, list[Holding]] = defaultdict(list)
        for holding in holdings:
            held[id(holding.backend)].append(holding)
            self._leaving[holding] = None
        deadline = clock.now() + limits.RELEASE
        with anyio.CancelScope(shield=True):
            shared = await self._record.leaving([one for of_one in held.values() for one in of_one])
            async with anyio.create_task_group() as hurry:
                hurry.start_soon(_hurry, [of_one[0].backend for of_one in held.values()])
                async with anyio.create_task_group() as releases:
                    for of_one in held.values():
                        releases.start_soon(self._give_all_back, of_one, shared, deadline)
                hurry.cancel_scope.cancel()

    def say_farewell(self, holdings: Iterable[Holding]) -> tuple[Holding, ...]:
        """Give leases back, and those that are being released, by a datagram each: without a loop or an answer.

        Returns all of them. Those that need more than a datagram, or that other programs of this host hold too, stay.
        """
        left = (*self._leaving, *holdings)
        self._leaving.clear()
        standing = [holding for holding in left if holding.may_stand(clock.now())]
        for holding in self._record.unshared(standing):
            _say_farewell(holding)
        return left

    def disown(self) -> None:
        """Forget what is being released: the parent of this process does that."""
        self._leaving.clear()

    async def _give_all_back(
        self, holdings: Iterable[Holding], shared: dict[Holding, InUseLocally], deadline: float
    ) -> None:
        for permanent in (True, False):
            async with anyio.create_task_group() as releases:
                for holding in holdings:
                    if holding.lease.permanent is permanent:
                        releases.start_soon(self._give_back, holding, shared.get(holding), deadline)

    async def _give_back(self, holding: Holding, shared: InUseLocally | None, deadline: float) -> None:
        """Release a lease, unless others of this host hold it too, and note when that could not be done in time."""
        now = clock.now()
        if not holding.may_stand(now):
            holding.end(None, now)
        elif shared is not None:
            holding.end(shared, now)
        elif holding.request.peer is not None:
            holding.detach(now)  # RFC 6887 section 12.1: PEER cannot take back
        else:
            await self._take_back(holding, deadline)
        self._leaving.pop(holding, None)
        self._record.gone(holding)

    async def _take_back(self, holding: Holding, deadline: float) -> None:
        problem: PortMapperError | None = GatewayTimeout("the gateway did not answer in time", seconds=limits.RELEASE)
        with shielded(deadline - clock.now()):
            problem = await self._unmap(holding)
        holding.end(problem, clock.now())
        if problem is not None:
            _log.warning("%s was not released: %s", holding.request, problem)
        if isinstance(problem, RequestRefused) and problem.general:
            self._refusals.note(holding.backend.name, None, problem, clock.now())

    async def _unmap(self, holding: Holding) -> PortMapperError | None:
        problem: PortMapperError | None = None
        async with self._room, holding.turn:
            for pause in limits.RELEASE_PAUSES[: None if holding.lease.permanent else 2]:
                await anyio.sleep(pause)
                try:
                    await holding.backend.unmap(holding.lease)
                except PortMapperError as failure:
                    problem = failure
                else:
                    return None
                if not (holding.lease.permanent or isinstance(problem, GatewayUnreachable)):
                    break  # it has been asked, and nothing that this host lacked for a moment was the reason
        return problem


def _say_farewell(holding: Holding) -> None:
    try:
        datagram = holding.backend.farewell(holding.lease)
        if datagram is not None:
            send_unanswered(datagram, holding.lease.gateway)
    except Exception:  # noqa: BLE001 - a plug-in may raise anything, and nobody is there to catch it
        _log.exception("%s was not released", holding.request)


async def _hurry(backends: Iterable[Backend]) -> None:
    await anyio.sleep(limits.HURRY)
    for backend in backends:
        backend.hurry()
