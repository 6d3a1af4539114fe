"""Keep what is held: one task that does what the engine decides, for all mappings of a mapper."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterable
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from functools import partial
from math import inf

import anyio
from anyio.abc import TaskGroup

from portmapper import limits
from portmapper.asking import ask, check_port
from portmapper.engine import events
from portmapper.engine.actions import Action, Attempt, Halt, Look, Lose, Probe
from portmapper.engine.core import Engine
from portmapper.engine.places import Key, Place, Service
from portmapper.errors import (
    GatewayTimeout,
    GatewayUnreachable,
    MapperClosed,
    MappingGone,
    PortMapperError,
    RequestRefused,
    UnsupportedVersion,
)
from portmapper.holding import Grant, Holding
from portmapper.model import MappingRequest
from portmapper.net import clock
from portmapper.net.tasks import shielded
from portmapper.refusals import Refusals
from portmapper.schedule import Jitter

Obtain = Callable[[MappingRequest, bool], Awaitable[Grant]]
"""Get a lease from whichever backend gives one; patiently if nobody waits for it."""


class Renewer:
    """Renews leases when the engine says so, and goes on trying for mappings that were lost."""

    def __init__(self, obtain: Obtain, refusals: Refusals, jitter: Jitter, *, interval: float) -> None:
        self._obtain = obtain
        self._refusals = refusals
        self._engine = Engine(jitter, interval)
        self._in_flight = anyio.CapacityLimiter(limits.IN_FLIGHT)
        self._search = anyio.Lock()  # one at a time: what was lost is lost for the same reason, mostly
        self._told = anyio.Event()
        self._moves = 0  # how often everything was abandoned

    # --- What the engine is told

    def hold(self, holding: Holding, granted: float) -> None:
        """Renew `holding`'s lease from now on; it began at `granted`."""
        lease = holding.lease
        lifetime = inf if lease.permanent else lease.lifetime
        holding.ends, holding.ends_at_last = granted + lifetime, clock.now() + lifetime
        if lease.permanent:  # it does not outlive a restart of the gateway: made again as often as one with an end
            span = max(lease.request.lifetime, limits.PERMANENT_SPAN)
        else:
            span = holding.backend.renewal_span(lease)
        place = Place(Service(lease.gateway, lease.backend), lease.external.port, lease.request.protocol)
        self._tell(events.Granted(holding, place, granted, lifetime, span))

    def forget(self, holding: Holding) -> tuple[Holding, ...]:
        """Renew it no more, and stop what is under way. Returns its twins, which may need healing."""
        holding.wanted = False
        twins = tuple(one for one in self._group(holding) if one is not holding)
        self._tell(events.Dropped(holding))
        return twins

    def next_attempt(self, holding: Holding) -> float:
        """Return when `holding` is to be renewed, or tried for again, on the clock of leases."""
        return self._engine.next_attempt(holding)

    def recover(self) -> None:
        """Renew everything soon: after a random wait, one after the other in the order in which it was made."""
        self._tell(events.StateLost())

    def renew_soon(self, holding: Holding) -> None:
        """Renew `holding` as soon as may be, because something was heard about it."""
        self._tell(events.Suspected(holding))

    def renew_all_soon(self) -> None:
        """Renew everything, because it may have been removed."""
        self._tell(events.Suspected())

    def abandon(self, holdings: Iterable[Holding], reason: PortMapperError) -> None:
        """Lose everything for that reason, and look for it anew at once."""
        self._moves += 1
        for holding in holdings:
            holding.write_off()
        self._tell(events.Moved(), reason)

    def wake_lost(self) -> None:
        """Try for what is lost again now, because the gateway answers; at most once in 10 s."""
        self._tell(events.Answering())

    def interrupt_searches(self, *, unasked: bool = False) -> None:
        """Stop searching patiently for what is lost, and begin again later; `unasked` if nobody waits for that."""
        self._tell(events.MakeWay(limits.RETRY_FIRST, unasked))

    # --- What the engine decides

    async def run(self, tasks: TaskGroup) -> None:
        """Work until cancelled; the attempts run in `tasks`, so that a slow one delays no other."""
        while True:
            await self._wait()
            for action in self._engine.handle(events.Tick(), clock.now()):
                if isinstance(action, Attempt | Look):
                    self._begin(action, tasks)
                elif isinstance(action, Probe):
                    tasks.start_soon(self._probe, _holding(action.key))
                else:
                    _settle(action, None)

    def wake(self) -> None:
        """Have the engine look at the clock now."""
        self._told.set()

    async def _wait(self) -> None:
        # Not straight to the deadline: the loop's clock stands still while the machine sleeps, ours does not.
        left = min(self._engine.deadline - clock.now(), limits.WAKE)
        with anyio.move_on_after(max(left, 0.0)):
            await self._told.wait()
        self._told = anyio.Event()

    def _tell(self, event: events.Event, reason: PortMapperError | None = None) -> None:
        for action in self._engine.handle(event, clock.now()):
            _settle(action, reason)
        self._told.set()

    def _begin(self, action: Attempt | Look, tasks: TaskGroup) -> None:
        holding = _holding(action.key)
        work = self._look if isinstance(action, Look) else partial(self._refresh, patient=True)
        scope = anyio.CancelScope()
        holding.attempts.add(scope)
        tasks.start_soon(self._attempt, holding, work, action.group, scope)

    async def _attempt(
        self,
        holding: Holding,
        work: Callable[[Holding], Awaitable[None]],
        group: tuple[Key, ...],
        scope: anyio.CancelScope,
    ) -> None:
        try:
            with scope, suppress(PortMapperError):  # noted; the engine has the next attempt
                await work(holding)
        finally:
            holding.attempts.discard(scope)
            self._tell(events.Ended(group))

    # --- What somebody waits for

    @asynccontextmanager
    async def turn(self) -> AsyncGenerator[None]:
        """Wait for a turn among all that is asked for."""
        now = clock.now()
        await anyio.sleep(self._engine.turn(now) - now)
        async with self._in_flight:
            yield

    async def change(self, holding: Holding, request: MappingRequest) -> None:
        """Renew now, as `request`. Raises PortMapperError; what is held then stands as it was."""
        self._refusals.check(holding.backend.name, request, clock.now(), renewal=True)
        with self._busy(holding) as group:
            async with self._in_flight, holding.turn:
                _check_wanted(holding)
                try:
                    grant = await self._renewed(holding, request)
                except RequestRefused as refusal:
                    self._refusals.note(holding.backend.name, request, refusal, clock.now())
                    raise
                holding.request = request
                await self._establish(holding, grant)
            for twin in group[group.index(holding) + 1 :]:
                with suppress(PortMapperError):  # noted; the engine goes on
                    await self._renew(twin)

    async def refresh(self, holding: Holding) -> None:
        """Renew now. Raises PortMapperError; a lease that is held then stands."""
        if holding.lost:
            self.interrupt_searches()
        with self._busy(holding):
            await self._refresh(holding)

    async def replace(self, holding: Holding) -> None:
        """Take the lease back and get it again, now. Raises PortMapperError; the mapping may be lost then."""
        async with holding.turn:
            _check_wanted(holding)
            if not holding.lost:
                await self._take_back(holding)
        await self.refresh(holding)

    async def _take_back(self, holding: Holding) -> None:
        # A cancellation has to wait: a delete that was sent may be carried out, and then the mapping is lost.
        with shielded(limits.RELEASE):
            await holding.backend.unmap(holding.lease)
            holding.write_off()
            holding.problem = PortMapperError("it was taken back to be made anew")
            self._tell(events.TakenBack(holding, limits.CHECK_GAP))
            return
        self._tell(events.Disturbed((holding,)))  # it may be gone or not
        text = f"the gateway did not take it back within {limits.RELEASE:g} s"
        raise GatewayTimeout(text, seconds=limits.RELEASE)

    def heal(self, twins: tuple[Holding, ...]) -> None:
        """Renew the twins of a mapping that was released, at once, but let nobody wait for it."""
        self._tell(events.Disturbed(twins))

    @contextmanager
    def _busy(self, holding: Holding) -> Generator[tuple[Holding, ...]]:
        group = self._group(holding)
        self._tell(events.Began(group))
        try:
            yield group
        finally:
            self._tell(events.Ended(group))

    # --- One attempt

    async def _refresh(self, holding: Holding, *, patient: bool = False) -> None:
        failure: PortMapperError | None = None
        for one in self._group(holding):
            try:
                await self._renew(one, patient=patient)
            except PortMapperError as problem:
                if one is holding:
                    failure = problem
        if failure is not None:
            raise failure

    async def _renew(self, holding: Holding, *, patient: bool = False) -> None:
        room = self._search if holding.lost and patient else self._in_flight
        async with room, holding.turn:
            _check_wanted(holding)
            with self._noting(holding):
                again, lost = holding.again(holding.request), holding.lost
                if not lost:
                    self._refusals.check(holding.backend.name, again, clock.now(), renewal=True)
                grant = await (self._obtain(again, patient) if lost else self._renewed(holding, holding.request))
            await self._establish(holding, grant)

    async def _look(self, holding: Holding) -> None:
        """Have the gateway show the lease, and make it anew where that is gone; renew it where nothing is shown."""
        async with self._in_flight, holding.turn:
            _check_wanted(holding)
            moves = self._moves
            with self._noting(holding), _bounded("show"):
                try:
                    shown = await holding.backend.verify(holding.lease)
                except MappingGone as gone:
                    await self._establish(holding, await self._anew(holding, holding.request, gone, moves))
                    return
                self._check_unmoved(moves)
            if shown is not None:
                holding.see(shown)
                self._tell(events.Seen(holding))
                return
        await self._refresh(holding)

    async def _probe(self, holding: Holding) -> None:
        """Ask whether what gave a lost lease answers again; then it is worth a search."""
        with suppress(PortMapperError):  # it does not
            await holding.backend.check()
            self.wake_lost()

    async def _renewed(self, holding: Holding, request: MappingRequest) -> Grant:
        begin, moves = clock.now(), self._moves
        with _bounded("renew"):
            try:
                lease = await holding.backend.map(request, renew=holding.lease)
            except UnsupportedVersion:
                # The gateway has been changed: whatever it speaks now knows nothing of this lease.
                return await self._obtain(holding.again(request), False)
            except MappingGone as gone:
                return await self._anew(holding, request, gone, moves)
            await check_port(holding.backend, lease)
            self._check_unmoved(moves)
        return Grant(holding.backend, lease, begin)

    async def _anew(self, holding: Holding, request: MappingRequest, gone: MappingGone, moves: int) -> Grant:
        """Make a mapping again that the gateway has no more. Raises `gone` when that fails."""
        try:
            grant = await ask(holding.backend, holding.again(request), self._refusals)
        except PortMapperError as problem:
            raise gone from problem
        self._check_unmoved(moves)
        return replace(grant, restored=True)

    def _check_unmoved(self, moves: int) -> None:
        if self._moves != moves:
            raise GatewayUnreachable("the network changed meanwhile")

    async def _establish(self, holding: Holding, grant: Grant) -> None:
        if holding.wanted:
            holding.establish(grant, restored=grant.restored or self._engine.is_doubted(holding))
            self.hold(holding, grant.time)
        elif not holding.detached:
            with shielded(limits.GRACE), suppress(PortMapperError):
                await grant.backend.unmap(grant.lease)

    @contextmanager
    def _noting(self, holding: Holding) -> Generator[None]:
        try:
            yield
        except PortMapperError as problem:
            holding.problem = problem
            if isinstance(problem, RequestRefused) and not holding.lost and not self._engine.is_doubted(holding):
                self._refusals.note(holding.backend.name, holding.again(holding.request), problem, clock.now())
            self._tell(events.Failed(holding, problem))
            raise

    def _group(self, holding: Holding) -> tuple[Holding, ...]:
        return tuple(map(_holding, self._engine.group(holding)))


def _settle(action: Action, reason: PortMapperError | None) -> None:
    holding = _holding(action.key)
    if isinstance(action, Lose):
        holding.lose(reason)
    elif isinstance(action, Halt):
        holding.cut_short()
    else:
        raise TypeError(f"{action!r} has to begin in the task of the engine")


def _holding(key: Key) -> Holding:
    if not isinstance(key, Holding):
        raise TypeError(f"{key!r} is no mapping")
    return key


@contextmanager
def _bounded(what: str) -> Generator[None]:
    """Raise GatewayTimeout when the block takes longer than an attempt may."""
    try:
        with anyio.fail_after(limits.RENEWAL):
            yield
    except TimeoutError as error:
        if isinstance(error, PortMapperError):
            raise
        text = f"the gateway did not {what} it within {limits.RENEWAL:g} s"
        raise GatewayTimeout(text, seconds=limits.RENEWAL) from None


def _check_wanted(holding: Holding) -> None:
    if not holding.wanted:
        raise MapperClosed(f"the mapping of {holding.request} is closed")
