"""When to renew which lease. No I/O: the time and the dice are arguments."""

import heapq
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from itertools import count
from math import inf, nextafter

from portmapper import limits

Jitter = Callable[[], float]
"""Uniform in [0, 1)."""


@dataclass(frozen=True, slots=True)
class Renew:
    """Time to renew (or, for a lost mapping, to try again)."""

    key: Hashable


@dataclass(frozen=True, slots=True)
class Expire:
    """The lease has ended without a renewal."""

    key: Hashable


Due = Renew | Expire


class Pace:
    """Hands out turns that are at least `gap` seconds apart."""

    def __init__(self, gap: float) -> None:
        self._gap = gap
        self._next = -inf

    def turn(self, now: float) -> float:
        """Return the next turn that nobody has yet: `now`, or later."""
        turn = max(now, self._next)
        self._next = turn + self._gap
        return turn


def renewal_times(lifetime: float, jitter: Jitter, span: float = inf) -> Iterator[float]:
    """Yield the seconds after the grant at which to try to renew (RFC 6887 section 11.2.1).

    The k-th attempt falls into 1 - 2**-k .. 1 - 2**-k + 2**-(k+2) of the lifetime; RFC 6886's "halfway" is the first.
    Where that would be less than 4 s after the one before, or after the grant, it goes on every 4 s to the end: a lease
    of 4 s or less ends without an attempt. A lease of more than 24 h (section 15), and one without end, is treated as
    one of 24 h, or of `span` seconds, after the other.
    """
    start = last = 0.0
    while start < lifetime:
        length = min(lifetime - start, span, limits.SCHEDULED_LIFETIME)
        for offset in _one_series(length, jitter, last - start):
            last = start + offset
            yield last
        start += length


def _one_series(lifetime: float, jitter: Jitter, last: float) -> Iterator[float]:
    for k in count(1):
        offset = lifetime * (1 - 2**-k + jitter() * 2 ** -(k + 2))
        offset = max(offset, last + limits.MIN_RENEWAL_GAP)
        if offset >= lifetime:
            return
        yield offset
        last = offset


@dataclass(slots=True, eq=False)
class _Plan:
    """What is scheduled for one key: the next attempt of its series, and one asked for beside them."""

    start: float
    times: Iterator[float]
    series: float = -inf
    extra: float = inf
    ticket: int = -1  # of the heap entry that counts for the next attempt; older ones are stale

    @property
    def next(self) -> float:
        """When to try next; infinity for never."""
        return min(self.series, self.extra)

    def leave_out(self, until: float) -> None:
        """Go on with the first attempt of the series that is not before `until`."""
        while self.series < until:
            self.series = self.start + next(self.times, inf)


class RenewalSchedule:
    """The common schedule of all mappings: one heap; entries that no longer count are skipped when they surface."""

    def __init__(self, jitter: Jitter) -> None:
        self._jitter = jitter
        self._heap: list[tuple[float, int, Due, _Plan]] = []
        self._order = count()
        self._plans: dict[Hashable, _Plan] = {}

    @property
    def deadline(self) -> float | None:
        """When to call `due` next; None while nothing is scheduled."""
        while self._heap and self._stale(self._heap[0]):
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def add(self, key: Hashable, now: float, lifetime: float, span: float = inf) -> None:
        """Schedule renewals and the end of a lease of `lifetime` seconds that began `now`; replaces an older one.

        A lifetime of infinity is a lease without end, renewed as if each had `span` seconds.
        """
        plan = self._begin(key, now, renewal_times(lifetime, self._jitter, span))
        if lifetime != inf:
            self._push(now + lifetime, Expire(key), plan)

    def retry(self, key: Hashable, now: float, delay: float, least: float = 0.0) -> None:
        """Schedule one attempt for a mapping that has no lease, `delay` seconds from `now`, give or take a quarter.

        It does not come before `least` seconds.
        """
        spread = 1 + limits.RETRY_JITTER * (2 * self._jitter() - 1)
        self._begin(key, now, iter((max(delay * spread, least),)))

    def advance(self, key: Hashable, when: float) -> None:
        """Schedule an attempt at `when` beside the series of `key`, unless one is asked for before that."""
        plan = self._plans.get(key)
        if plan is not None:
            plan.extra = min(plan.extra, when)
            self._push_next(key, plan)

    def defer(self, key: Hashable, until: float) -> None:
        """Leave out the attempts before `until`, and make one then."""
        plan = self._plans.get(key)
        if plan is not None:
            plan.leave_out(until)
            plan.extra = until
            self._push_next(key, plan)

    def next_attempt(self, key: Hashable) -> float:
        """Return when the next attempt for `key` is due; infinity if none is scheduled."""
        plan = self._plans.get(key)
        return inf if plan is None else plan.next

    def discard(self, key: Hashable) -> None:
        """Forget everything scheduled for `key`."""
        self._plans.pop(key, None)

    def due(self, now: float) -> list[Due]:
        """Return what is to be done at `now`, one action for a key, and schedule the attempts after those.

        Called late, as after a sleep of the machine, it leaves out the attempts that were missed.
        """
        actions: dict[Hashable, Due] = {}
        while (deadline := self.deadline) is not None and deadline <= now:
            _, _, action, plan = heapq.heappop(self._heap)
            actions[action.key] = action
            if isinstance(action, Expire):
                self.discard(action.key)
            else:
                self._go_on(action, plan, now)
        return list(actions.values())

    def _begin(self, key: Hashable, now: float, times: Iterator[float]) -> _Plan:
        plan = self._plans[key] = _Plan(now, times)
        plan.leave_out(now)
        self._push_next(key, plan)
        return plan

    def _go_on(self, action: Renew, plan: _Plan, now: float) -> None:
        # An attempt that was asked for may lie close before one of the series, which then has to wait.
        plan.extra = inf
        plan.leave_out(nextafter(now, inf))
        plan.series = max(plan.series, now + limits.MIN_RENEWAL_GAP)
        self._push_next(action.key, plan)

    def _push_next(self, key: Hashable, plan: _Plan) -> None:
        plan.ticket = -1 if plan.next == inf else self._push(plan.next, Renew(key), plan)

    def _push(self, when: float, action: Due, plan: _Plan) -> int:
        # Each plan has two entries that count; a caller that refreshes all the time must not grow the heap.
        if len(self._heap) > 4 * len(self._plans) + 64:
            self._heap = [entry for entry in self._heap if not self._stale(entry)]
            heapq.heapify(self._heap)
        ticket = next(self._order)
        heapq.heappush(self._heap, (when, ticket, action, plan))
        return ticket

    def _stale(self, entry: tuple[float, int, Due, _Plan]) -> bool:
        _, ticket, action, plan = entry
        return self._plans.get(action.key) is not plan or (isinstance(action, Renew) and ticket != plan.ticket)
