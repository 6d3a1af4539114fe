"""Keep what is held: one task, one schedule, for all mappings of a mapper."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from math import inf

import anyio
from anyio.abc import TaskGroup

from portmapper import limits
from portmapper.asking import check_port
from portmapper.errors import (
    GatewayTimeout,
    GatewayUnreachable,
    MapperClosed,
    MappingGone,
    NoService,
    PortMapperError,
    PortUnavailable,
    RequestRefused,
    UnsupportedVersion,
)
from portmapper.holding import Grant, Holding
from portmapper.model import MappingRequest
from portmapper.net import clock
from portmapper.refusals import Refusals
from portmapper.schedule import Expire, Jitter, RenewalSchedule

Obtain = Callable[[MappingRequest, bool], Awaitable[Grant]]
"""Get a lease from whichever backend gives one; patiently if nobody waits for it."""


class RenewalEngine:
    """Renews leases when the schedule says so, and goes on trying for mappings that were lost."""

    def __init__(self, obtain: Obtain, refusals: Refusals, jitter: Jitter) -> None:
        self._obtain = obtain
        self._refusals = refusals
        self._schedule = RenewalSchedule(jitter)
        self._in_flight = anyio.CapacityLimiter(limits.IN_FLIGHT)
        self._search = anyio.Lock()  # one at a time: what was lost is lost for the same reason, mostly
        self._rescheduled = anyio.Event()
        self._jitter = jitter
        self._last_recovery = -inf
        self._last_wake = -inf
        self._moves = 0  # how often everything was abandoned
        self._held: dict[Holding, None] = {}  # in the order in which the gateway made them
        self._lost: dict[Holding, None] = {}

    def hold(self, holding: Holding, granted: float) -> None:
        """Renew `holding`'s lease from now on; it began at `granted`."""
        lease = holding.lease
        lifetime = inf if lease.permanent else lease.lifetime
        holding.ends = granted + lifetime
        self._lost.pop(holding, None)
        self._held.setdefault(holding)
        # A lease without end does not outlive a restart of the gateway: it is made again as often as one with an end.
        span = max(lease.request.lifetime, limits.PERMANENT_SPAN) if lease.permanent else inf
        self._schedule.add(holding, granted, lifetime, span=span)
        self._rescheduled.set()

    def forget(self, holding: Holding) -> None:
        """Renew it no more, and stop what is under way."""
        self._held.pop(holding, None)
        self._lost.pop(holding, None)
        self._schedule.discard(holding)
        holding.cut_short()

    def recover(self) -> None:
        """Renew everything soon: after a random wait, one after the other in the order in which it was made."""
        now = clock.now()
        if self._last_recovery > now:
            return  # a round is on its way
        begin = now + limits.RECOVERY_WAIT * self._jitter()
        self._last_recovery = begin = max(begin, self._last_recovery + limits.RECOVERY_GAP)
        for place, holding in enumerate((*self._held, *self._lost)):
            holding.doubted = True
            self._schedule.advance(holding, begin + place * limits.RECOVERY_PACE)
        self._rescheduled.set()

    def renew_soon(self, holding: Holding) -> None:
        """Renew `holding` as soon as may be, because something was heard about it."""
        self._schedule.advance(holding, max(clock.now(), holding.asked + limits.MIN_RENEWAL_GAP))
        self._rescheduled.set()

    def renew_all_soon(self) -> None:
        """Renew everything, because it may have been removed."""
        for holding in self._held:
            self._schedule.advance(holding, clock.now())
        self._rescheduled.set()

    def abandon(self, reason: PortMapperError) -> None:
        """Lose everything, and look for it anew at once."""
        self._moves += 1
        for holding in tuple(self._held):
            holding.cut_short()
            holding.problem = reason
            self._lose(holding)
        self.interrupt_searches(0.0)

    def wake_lost(self) -> None:
        """Try for what is lost again now, because the gateway answers; at most once in 10 s."""
        now = clock.now()
        if now < self._last_wake + limits.RECOVERY_GAP:
            return
        self._last_wake = now
        self.interrupt_searches(limits.RECOVERY_PACE)

    def interrupt_searches(self, pause: float) -> None:
        """Stop searching patiently for what is lost, and begin again after `pause` seconds."""
        for holding in self._lost:
            holding.cut_short()
            self._schedule.advance(holding, clock.now() + pause)
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
                elif any(one.turn.locked() or one.attempts for one in group):
                    self._look_again(holding)
                elif started.isdisjoint(group):
                    started.update(group)  # an attempt for one renews its twins too, and their order counts
                    scope = anyio.CancelScope()
                    holding.attempts.add(scope)
                    tasks.start_soon(self._attempt, holding, scope)

    async def change(self, holding: Holding, request: MappingRequest) -> None:
        """Renew now, as `request`. Raises PortMapperError; what is held then stands as it was."""
        self._refusals.check(holding.backend.name, request, clock.now(), renewal=True)
        async with self._in_flight, holding.turn:
            _check_wanted(holding)
            try:
                grant = await self._renewed(holding, request, patient=False)
            except RequestRefused as refusal:
                self._refusals.note(holding.backend.name, request, refusal, clock.now())
                raise
            holding.request = request
            self._establish(holding, grant)
        group = self._with_twins(holding)
        await self._heal(group[group.index(holding) + 1 :])

    async def refresh(self, holding: Holding, *, patient: bool = False) -> None:
        """Renew now. Raises PortMapperError; a lease that is held then stands."""
        if holding.lost and not patient:
            self.interrupt_searches(limits.RETRY_FIRST)
        failure: PortMapperError | None = None
        for one in self._with_twins(holding):
            try:
                await self._renew(one, patient=patient)
            except PortMapperError as problem:
                if one is holding:
                    failure = problem
        if failure is not None:
            raise failure

    async def replace(self, holding: Holding) -> None:
        """Take the lease back and get it again, now. Raises PortMapperError; the mapping may be lost then."""
        async with holding.turn:
            _check_wanted(holding)
            if not holding.lost:
                await _take_back(holding)
                self._lose(holding, retry=limits.RETRY_FIRST)
        await self.refresh(holding)

    async def heal_twins(self, holding: Holding) -> None:
        """Renew the twins of a mapping that was released."""
        await self._heal(self._with_twins(holding)[1:])

    async def _heal(self, twins: Sequence[Holding]) -> None:
        for twin in twins:
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

    def _lose(self, holding: Holding, *, retry: float = 0.0) -> None:
        holding.lose()
        self._held.pop(holding, None)
        self._lost.setdefault(holding)
        self._schedule.retry(holding, clock.now(), retry)

    async def _renew(self, holding: Holding, *, patient: bool = False) -> None:
        room = self._search if holding.lost and patient else self._in_flight
        async with room, holding.turn:
            _check_wanted(holding)
            if not holding.lost:
                self._refusals.check(holding.backend.name, holding.again(holding.request), clock.now(), renewal=True)
            try:
                grant = await self._renewed(holding, holding.request, patient=patient)
            except PortMapperError as problem:
                self._note_failure(holding, problem)
                raise
            self._establish(holding, grant)

    def _establish(self, holding: Holding, grant: Grant) -> None:
        if not holding.closed:
            holding.establish(grant)
            self.hold(holding, grant.time)

    async def _attempt(self, holding: Holding, scope: anyio.CancelScope) -> None:
        with scope:
            try:
                await self.refresh(holding, patient=True)
            except PortMapperError:
                return  # noted; the schedule has the next attempt
            finally:
                holding.attempts.discard(scope)

    async def _renewed(self, holding: Holding, request: MappingRequest, *, patient: bool) -> Grant:
        holding.asked = begin = clock.now()
        moves = self._moves
        if holding.lost:
            return await self._obtain(holding.again(request), patient)
        with anyio.move_on_after(limits.RENEWAL):
            try:
                lease = await holding.backend.map(request, renew=holding.lease)
            except UnsupportedVersion:
                # The gateway has been changed: whatever it speaks now knows nothing of this lease.
                return await self._obtain(holding.again(request), patient)
            await check_port(holding.backend, lease)
            if self._moves != moves:
                raise GatewayUnreachable("the network changed meanwhile")
            return Grant(holding.backend, lease, begin)
        raise GatewayTimeout(f"the gateway did not renew within {limits.RENEWAL:g} s", seconds=limits.RENEWAL)

    def _note_failure(self, holding: Holding, problem: PortMapperError) -> None:
        now = clock.now()
        holding.fail(problem)
        if holding.lost:
            self._schedule.retry(holding, now, _patience(problem, holding.failures))
        elif isinstance(problem, PortUnavailable | MappingGone):
            self._lose(holding)  # it was moved and has been released there, or somebody else has the port now
        elif holding.doubted and isinstance(problem, RequestRefused):
            self._lose(holding)  # it was forgotten and is not made again
        elif isinstance(problem, RequestRefused) and problem.retry_after is not None:
            self._refusals.note(holding.backend.name, holding.again(holding.request), problem, now)
            self._schedule.defer(holding, now + problem.retry_after)
        elif holding.doubted:
            self._schedule.advance(holding, now + limits.MIN_RENEWAL_GAP)
        self._rescheduled.set()

    def _look_again(self, holding: Holding) -> None:
        # An attempt is under way. What is held has more attempts scheduled; what is lost must not be forgotten.
        if holding.lost:
            self._schedule.advance(holding, clock.now() + limits.CHECK_GAP)

    async def _wait(self) -> None:
        # Not straight to the deadline: the loop's clock stands still while the machine sleeps, ours does not.
        deadline = self._schedule.deadline
        left = limits.WAKE if deadline is None else min(deadline - clock.now(), limits.WAKE)
        with anyio.move_on_after(max(left, 0.0)):
            await self._rescheduled.wait()
        self._rescheduled = anyio.Event()


async def _take_back(holding: Holding) -> None:
    with anyio.move_on_after(limits.RELEASE):
        await holding.backend.unmap(holding.lease)
        holding.problem = PortMapperError("it was taken back to be made anew")
        return
    raise GatewayTimeout(f"the gateway did not take it back within {limits.RELEASE:g} s", seconds=limits.RELEASE)


def _check_wanted(holding: Holding) -> None:
    if holding.closed:
        raise MapperClosed(f"the mapping of {holding.request} is closed")


def _patience(problem: PortMapperError, failures: int) -> float:
    """Return how long to wait before a lost mapping is tried again."""
    if isinstance(problem, NoService) and problem.lasting:
        return limits.RETRY_LAST  # somebody has to change something first
    return min(limits.RETRY_FIRST * 2.0 ** min(failures - 1, 10), limits.RETRY_LAST)
