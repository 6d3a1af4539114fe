"""What a mapper holds, from the first grant to the release: the owner of its mappings."""

import logging
import random
from contextlib import suppress

import anyio
from anyio.abc import TaskGroup

from portmapper import limits
from portmapper.backend import Backend
from portmapper.errors import GatewayTimeout, PortMapperError
from portmapper.holding import Grant, Holding
from portmapper.mapping import Mapping
from portmapper.model import MappingRequest
from portmapper.net import clock
from portmapper.renewal import Obtain, RenewalEngine

_log = logging.getLogger(__name__)


class Keeper:
    """Keeps mappings and takes them back."""

    def __init__(self, obtain: Obtain) -> None:
        self._engine = RenewalEngine(obtain, random.random)
        self._mappings: dict[Holding, Mapping] = {}

    @property
    def mappings(self) -> tuple[Mapping, ...]:
        """The mappings that are wanted, lost ones included."""
        return tuple(self._mappings.values())

    def start(self, tasks: TaskGroup) -> None:
        """Renew what is held from now on, in `tasks`."""
        tasks.start_soon(self._engine.run, tasks)

    def recover(self) -> None:
        """Make everything again soon, at its old port: the gateway has lost its state."""
        self._engine.recover()

    async def check(self) -> None:
        """Ask the gateway whether it still has its state, by each backend that has a lease."""
        for backend in {id(holding.backend): holding.backend for holding in self._mappings}.values():
            with suppress(PortMapperError):  # silence or a refusal tells nothing: leases are renewed in their time
                await backend.check()

    def adopt(self, request: MappingRequest, grant: Grant) -> Mapping:
        """Hold what was granted."""
        holding = Holding(request, grant)
        self._engine.hold(holding, grant.time)
        self._mappings[holding] = mapping = Mapping(self, holding)
        return mapping

    def uses(self, backend: Backend) -> bool:
        """Whether a lease that is held came from `backend`."""
        return any(holding.backend is backend for holding in self._mappings)

    async def refresh(self, holding: Holding) -> None:
        """Renew the lease now. Raises PortMapperError; a lease that is held then stands."""
        await self._engine.refresh(holding)

    async def release(self, holding: Holding) -> None:
        """Give the lease back and forget it."""
        self._forget(holding)
        with anyio.CancelScope(shield=True):
            await _give_back(holding)
        await self._engine.heal_twins(holding)

    def detach(self, holding: Holding) -> None:
        """Forget it without giving the lease back."""
        self._forget(holding)
        holding.detach(clock.now())

    async def release_all(self) -> None:
        """Give everything back, side by side."""
        async with anyio.create_task_group() as tasks:
            for holding in tuple(self._mappings):
                self._forget(holding)
                tasks.start_soon(_give_back, holding)

    def _forget(self, holding: Holding) -> None:
        self._mappings.pop(holding, None)
        self._engine.forget(holding)


async def _give_back(holding: Holding) -> None:
    """Release a lease, and note when that could not be done in time."""
    problem: PortMapperError | None = None
    if not holding.lost:
        problem = GatewayTimeout("the gateway did not answer in time", seconds=limits.RELEASE)
        with anyio.move_on_after(limits.RELEASE):
            problem = await _unmap(holding)
    holding.end(problem, clock.now())
    if problem is not None:
        _log.warning("%s was not released: %s", holding.request, problem)


async def _unmap(holding: Holding) -> PortMapperError | None:
    async with holding.turn:
        try:
            await holding.backend.unmap(holding.lease)
        except PortMapperError as problem:
            return problem
    return None
