"""Keep what is held: one task, one schedule, for all mappings of a mapper."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from math import inf

import anyio
from anyio.abc import TaskGroup

from portmapper import limits
from portmapper.errors import GatewayTimeout, MapperClosed, NoService, PortMapperError, RequestRefused
from portmapper.holding import Grant, Holding
from portmapper.net import clock
from portmapper.schedule import Expire, Jitter, RenewalSchedule

Obtain = Callable[[Holding, bool], Awaitable[Grant]]
"""Get a lease for a mapping that lost its own, from whichever backend gives one; patiently if nobody waits for it."""


class RenewalEngine:
    """Renews leases when the schedule says so, and goes on trying for mappings that were lost."""

    def __init__(self, obtain: Obtain, jitter: Jitter) -> None:
        self._obtain = obtain
        self._schedule = RenewalSchedule(jitter)
        self._in_flight = anyio.CapacityLimiter(limits.IN_FLIGHT)
        self._search = anyio.Lock()  # one at a time: what was lost is lost for the same reason, mostly
        self._rescheduled = anyio.Event()
        self._jitter = jitter
        self._last_recovery = -inf
        self._held: dict[Holding, None] = {}  # in the order in which the gateway made them

    def hold(self, holding: Holding, granted: float) -> None:
        """Renew `holding`'s lease from now on; it began at `granted`."""
        lifetime = inf if holding.lease.permanent else holding.lease.lifetime
        holding.ends = granted + lifetime
        self._held.setdefault(holding)
        self._schedule.add(holding, granted, lifetime)
        self._rescheduled.set()

    def forget(self, holding: Holding) -> None:
        """Renew it no more, and stop what is under way."""
        self._held.pop(holding, None)
        self._schedule.discard(holding)
        holding.cut_short()

    def recover(self) -> None:
        """Renew everything soon: after a random wait, one after the other in the order in which it was made."""
        now = clock.now()
        if self._last_recovery > now:
            return  # a round is on its way
        begin = now + limits.RECOVERY_WAIT * self._jitter()
        self._last_recovery = begin = max(begin, self._last_recovery + limits.RECOVERY_GAP)
        for place, holding in enumerate(self._held):
            holding.doubted, holding.refused_until = True, -inf
            self._schedule.advance(holding, begin + place * limits.RECOVERY_PACE)
        self._rescheduled.set()

    def renew_soon(self, holding: Holding) -> None:
        """Renew `holding` as soon as may be, because something was heard about it."""
        self._schedule.advance(holding, clock.now())
        self._rescheduled.set()

    async def run(self, tasks: TaskGroup) -> None:
        """Work until cancelled; the attempts run in `tasks`, so that a slow one delays no other."""
        while True:
            await self._wait()
            started: set[Holding] = set()
            for action in self._schedule.due(clock.now()):
                holding = action.key
                if not isinstance(holding, Holding):
                    raise TypeError(f"{holding!r} is scheduled")
                group = self._with_twins(holding)
                if isinstance(action, Expire):
                    self._lose(holding)
                elif started.isdisjoint(group) and not any(one.turn.locked() for one in group):
                    started.update(group)  # an attempt for one renews its twins too, and their order counts
                    tasks.start_soon(self._attempt, holding)

    async def refresh(self, holding: Holding, *, patient: bool = False) -> None:
        """Renew now. Raises PortMapperError; a lease that is held then stands."""
        failure: PortMapperError | None = None
        for one in self._with_twins(holding):
            try:
                await self._renew(one, patient=patient)
            except PortMapperError as problem:
                if one is holding:
                    failure = problem
        if failure is not None:
            raise failure

    async def heal_twins(self, holding: Holding) -> None:
        """Renew the twins of a mapping that was released."""
        for twin in self._with_twins(holding)[1:]:
            with suppress(PortMapperError):  # noted; its own schedule goes on
                await self._renew(twin)

    def _with_twins(self, holding: Holding) -> list[Holding]:
        """Return `holding` and the mappings of its external port by other protocols, in the order they were made.

        miniupnpd 2.3.1 on nftables finds filter rules by their port alone: renewing the TCP mapping replaces the
        newest rule, be it that of UDP, and the other way round. Renewed one after the other in the order they were
        made, each has its rule again. That costs nothing: it counts as the others' own renewal.
        """
        if holding not in self._held:
            return [holding, *(one for one in self._held if holding.is_twin_of(one))]
        return [one for one in self._held if one is holding or holding.is_twin_of(one)]

    def _lose(self, holding: Holding) -> None:
        holding.lose()
        self._held.pop(holding, None)
        self._schedule.retry(holding, clock.now(), 0.0)

    async def _renew(self, holding: Holding, *, patient: bool = False) -> None:
        room = self._search if holding.lost and patient else self._in_flight
        async with room, holding.turn:
            if holding.closed:
                raise MapperClosed(f"the mapping of {holding.request} is closed")
            if holding.problem is not None and clock.now() < holding.refused_until:
                raise holding.problem
            try:
                grant = await self._renewed(holding, patient=patient)
            except PortMapperError as problem:
                self._note_failure(holding, problem)
                raise
            if not holding.closed:
                holding.establish(grant)
                self.hold(holding, grant.time)

    async def _attempt(self, holding: Holding) -> None:
        with anyio.CancelScope() as scope:
            holding.attempts.add(scope)
            try:
                await self.refresh(holding, patient=True)
            except PortMapperError:
                return  # noted; the schedule has the next attempt
            finally:
                holding.attempts.discard(scope)

    async def _renewed(self, holding: Holding, *, patient: bool) -> Grant:
        if holding.lost:
            return await self._obtain(holding, patient)
        begin = clock.now()
        with anyio.move_on_after(limits.RENEWAL):
            lease = await holding.backend.map(holding.request, renew=holding.lease)
            return Grant(holding.backend, lease, begin)
        raise GatewayTimeout(f"the gateway did not renew within {limits.RENEWAL:g} s", seconds=limits.RENEWAL)

    def _note_failure(self, holding: Holding, problem: PortMapperError) -> None:
        now = clock.now()
        holding.fail(problem)
        if holding.lost:
            self._schedule.retry(holding, now, _patience(problem, holding.failures))
        elif isinstance(problem, RequestRefused) and problem.retry_after is not None:
            holding.refused_until = now + problem.retry_after
            self._schedule.defer(holding, holding.refused_until)
        elif holding.doubted:
            self._schedule.advance(holding, now + limits.MIN_RENEWAL_GAP)
        self._rescheduled.set()

    async def _wait(self) -> None:
        # Not straight to the deadline: the loop's clock stands still while the machine sleeps, ours does not.
        deadline = self._schedule.deadline
        left = limits.WAKE if deadline is None else min(deadline - clock.now(), limits.WAKE)
        with anyio.move_on_after(max(left, 0.0)):
            await self._rescheduled.wait()
        self._rescheduled = anyio.Event()


def _patience(problem: PortMapperError, failures: int) -> float:
    """Return how long to wait before a lost mapping is tried again."""
    if isinstance(problem, NoService) and problem.lasting:
        return limits.RETRY_LAST  # somebody has to change something first
    return min(limits.RETRY_FIRST * 2.0 ** min(failures - 1, 10), limits.RETRY_LAST)
