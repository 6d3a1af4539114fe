"""What a mapper holds, from the first grant to the release: the owner of its mappings."""

import random
import warnings
from collections.abc import Callable, Generator
from contextlib import AbstractAsyncContextManager, contextmanager, suppress
from dataclasses import replace

import anyio
from anyio.abc import TaskGroup

from portmapper.backend import Backend, check_offered
from portmapper.errors import InvalidRequest, PortMapperError
from portmapper.holding import Grant, Holding
from portmapper.home import Home
from portmapper.mapping import Mapping
from portmapper.model import Gateway, MappingRequest, RemoteFilter
from portmapper.net import clock
from portmapper.notifying import Callback, Notifier
from portmapper.recording import Record
from portmapper.refusals import Refusals
from portmapper.releasing import Releaser
from portmapper.renewal import Obtain, Renewer
from portmapper.request import check_families


class Keeper:
    """Keeps mappings and takes them back."""

    def __init__(self, obtain: Obtain, refusals: Refusals, record: Record, *, interval: float) -> None:
        self._renewer = Renewer(obtain, refusals, random.random, interval=interval)
        self._refusals = refusals
        self._record = record
        self._releaser = Releaser(record, refusals)
        self._notifier = Notifier()
        self._mappings: dict[Holding, Mapping] = {}
        self._claims: list[MappingRequest] = []
        self._home: Home | None = None

    @property
    def mappings(self) -> tuple[Mapping, ...]:
        """The mappings that are wanted, lost ones included."""
        return tuple(self._mappings.values())

    async def open(self) -> None:
        """Call callbacks from now on, until `close`."""
        await self._notifier.start()

    async def close(self) -> None:
        """Let the callbacks be told the rest, and end."""
        await self._notifier.end()

    def start(self, tasks: TaskGroup) -> None:
        """Renew what is held from now on, in `tasks`."""
        self._home = Home()
        tasks.start_soon(self._renewer.run, tasks)

    def check_here(self) -> None:
        """Raise NotHere outside the event loop and process where it was started."""
        if self._home is not None:
            self._home.check()

    def check_exit(self) -> bool:
        """Return whether there is something to leave: not in a process that was forked. Raises NotHere elsewhere."""
        return self._home is not None and self._home.check_exit()

    def notify(self, holding: Holding, callback: Callback) -> Callable[[], None]:
        """Call `callback` for the events of `holding`. Raises MapperClosed."""
        return self._notifier.add(holding.events(), callback)

    def wake(self) -> None:
        """Look at the clock: leases may have ended while the machine slept."""
        self._renewer.wake()

    def recover(self) -> None:
        """Make everything again soon, at its old port: the gateway has lost its state."""
        self._refusals.clear()
        self._renewer.recover()

    def renew_all_soon(self) -> None:
        """Renew everything, because it may have been removed."""
        self._renewer.renew_all_soon()

    def abandon(self, reason: PortMapperError) -> None:
        """Lose everything and look for it anew at once: what gave it is out of reach, and is not told."""
        self._renewer.abandon(self._mappings, reason)

    def wake_lost(self) -> None:
        """Try for what is lost again: the gateway answers."""
        self._renewer.wake_lost()

    def make_way(self) -> None:
        """Let a request that somebody waits for go first: patient searches begin again later."""
        self._renewer.interrupt_searches()

    async def check(self, gateway: Gateway) -> None:
        """Ask `gateway` whether it still has its state, by each backend that gave a lease there, side by side.

        Where all were lost with another gateway, there is nobody to ask but by a search.
        """
        here = {id(one.backend): one.backend for one in self._mappings if one.lease.gateway == gateway}
        if not here:
            self._renewer.wake_lost()
            return
        self._renewer.interrupt_searches(unasked=True)  # a patient one may have NAT-PMP's turn
        async with anyio.create_task_group() as tasks:
            for backend in here.values():
                tasks.start_soon(self._check, backend)

    async def _check(self, backend: Backend) -> None:
        with suppress(PortMapperError):  # silence or a refusal tells nothing: leases are renewed in their time
            await backend.check()
            self._renewer.wake_lost()

    def take_notice(self, data: bytes) -> None:
        """Renew what a datagram that the gateway sent unasked says to have changed; the answer decides."""
        for holding in self._mappings:
            if not holding.lost and holding.backend.is_update(holding.lease, data):
                self._renewer.renew_soon(holding)

    def turn(self) -> AbstractAsyncContextManager[None]:
        """Wait for a turn to ask the gateway for something new: one mapper asks for so many at once, and a second."""
        return self._renewer.turn()

    def adopt(self, request: MappingRequest, grant: Grant) -> Mapping:
        """Hold what was granted. Raises NotHere."""
        self.check_here()
        holding = Holding(request, grant)
        self._renewer.hold(holding, grant.time)
        self._mappings[holding] = mapping = Mapping(self, holding)
        self._record.hold(holding)
        return mapping

    @contextmanager
    def claim(self, request: MappingRequest) -> Generator[None]:
        """Keep others from asking for the same ports meanwhile (RFC 7753 section 6.3). Raises InvalidRequest."""
        for other in (*self._claims, *(holding.request for holding in self._mappings)):
            if other.overlaps(request) and max(other.count, request.count) > 1:
                raise InvalidRequest(f"{request} overlaps {other}, which is held already")
        self._claims.append(request)
        try:
            yield
        finally:
            self._claims.remove(request)

    def uses(self, backend: Backend) -> bool:
        """Whether a lease that is held came from `backend`."""
        return any(holding.backend is backend for holding in self._mappings)

    async def refresh(self, holding: Holding, *, hard: bool = False) -> None:
        """Renew the lease now, or make it anew. Raises PortMapperError; a lease that is held then mostly stands."""
        self.check_here()
        await (self._renewer.replace(holding) if hard else self._renewer.refresh(holding))

    async def restrict(self, holding: Holding, remote: tuple[RemoteFilter, ...]) -> None:
        """Renew with other filters. Raises PortMapperError; what the gateway had then stands."""
        self.check_here()
        wanted = replace(holding.request, remote=remote)
        check_families(wanted, holding.lease.gateway.source)
        check_offered(holding.backend, wanted)
        await self._renewer.change(holding, wanted)

    async def release(self, holding: Holding) -> None:
        """Give the lease back and forget it. Raises NotHere."""
        self.check_here()
        twins = self._forget(holding)
        await self._releaser.release([holding])
        self._renewer.heal(twins)

    def next_attempt(self, holding: Holding) -> float:
        """Return when `holding` is to be renewed, or tried for again, on the clock of leases."""
        return self._renewer.next_attempt(holding)

    def detach(self, holding: Holding) -> None:
        """Forget it without giving the lease back. Raises NotHere."""
        self.check_here()
        self._forget(holding)
        self._record.detached(holding)
        holding.detach(clock.now())

    async def release_all(self) -> None:
        """Give everything back and forget it."""
        held = tuple(self._mappings)
        for holding in held:
            self._forget(holding)
        await self._releaser.release(held)

    def say_farewell(self, _warn: Callable[..., None] = warnings.warn) -> None:
        """Give back what one datagram each can, without an event loop and without an answer: nobody left the mapper."""
        holdings = self._releaser.say_farewell(self._mappings)
        self._mappings.clear()
        if holdings:
            held = ", ".join(str(holding.request) for holding in holdings)
            _warn(f"unclosed PortMapper with {held}", ResourceWarning, source=self)

    def disown(self) -> None:
        """Forget everything: it is the parent's, and this process a copy of it."""
        holdings = tuple(self._mappings)
        self._releaser.disown()
        self._mappings.clear()
        if self._home is not None and self._home.is_here:  # else the loop runs no more
            for holding in holdings:
                self._renewer.forget(holding)
        if self._home is not None:
            self._home.lose()

    def _forget(self, holding: Holding) -> tuple[Holding, ...]:
        self._mappings.pop(holding, None)
        return self._renewer.forget(holding)
