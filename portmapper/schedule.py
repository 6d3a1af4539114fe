"""When to renew which lease. No I/O: the time and the dice are arguments."""

import heapq
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from itertools import count

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


def renewal_times(lifetime: float, jitter: Jitter) -> Iterator[float]:
    """Yield the seconds after the grant at which to try to renew (RFC 6887 section 11.2.1).

    The k-th attempt falls into 1 - 2**-k .. 1 - 2**-k + 2**-(k+2) of the lifetime; RFC 6886's "halfway" is the first.
    Where that would be less than 4 s after the one before, it goes on every 4 s to the end. A lease of more than 24 h
    (section 15), and one without end, is treated as one of 24 h after the other.
    """
    start = 0.0
    while start < lifetime:
        span = min(lifetime - start, limits.SCHEDULED_LIFETIME)
        for offset in _one_series(span, jitter):
            yield start + offset
        start += span


def _one_series(lifetime: float, jitter: Jitter) -> Iterator[float]:
    last = float("-inf")
    for k in count(1):
        offset = lifetime * (1 - 2**-k + jitter() * 2 ** -(k + 2))
        offset = max(offset, last + limits.MIN_RENEWAL_GAP)
        if offset >= lifetime:
            return
        yield offset
        last = offset


@dataclass(slots=True, eq=False)
class _Plan:
    """What is scheduled for one key. A newer plan makes the older one's heap entries stale."""

    start: float
    times: Iterator[float]
    not_before: float = float("-inf")


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

    def add(self, key: Hashable, now: float, lifetime: float) -> None:
        """Schedule renewals and the end of a lease of `lifetime` seconds that began `now`; replaces an older one.

        A lifetime of infinity is a lease without end.
        """
        plan = self._begin(key, now, renewal_times(lifetime, self._jitter))
        if lifetime != float("inf"):
            self._push(now + lifetime, Expire(key), plan)

    def retry(self, key: Hashable, now: float, delay: float) -> None:
        """Schedule one attempt for a mapping that has no lease, `delay` seconds from `now`, give or take a quarter."""
        spread = 1 + limits.RETRY_JITTER * (2 * self._jitter() - 1)
        self._begin(key, now, iter((delay * spread,)))

    def advance(self, key: Hashable, when: float) -> None:
        """Schedule an attempt at `when` beside those that are scheduled for `key`."""
        plan = self._plans.get(key)
        if plan is not None:
            plan.not_before = min(plan.not_before, when)
            self._push(when, Renew(key), plan)

    def defer(self, key: Hashable, until: float) -> None:
        """Leave out the attempts before `until`, and make one then."""
        plan = self._plans.get(key)
        if plan is not None:
            plan.not_before = until
            self._push(until, Renew(key), plan)

    def discard(self, key: Hashable) -> None:
        """Forget everything scheduled for `key`."""
        self._plans.pop(key, None)

    def due(self, now: float) -> list[Due]:
        """Return what is to be done at `now`, one action for a key, and schedule the attempts after those.

        Called late, as after a sleep of the machine, it leaves out the attempts that were missed.
        """
        actions: dict[Hashable, Due] = {}
        while (deadline := self.deadline) is not None and deadline <= now:
            when, _, action, plan = heapq.heappop(self._heap)
            if isinstance(action, Expire):
                actions[action.key] = action
                self.discard(action.key)
            elif when >= plan.not_before:
                actions[action.key] = action
                self._push_next(action.key, plan, now)
        return list(actions.values())

    def _begin(self, key: Hashable, now: float, times: Iterator[float]) -> _Plan:
        plan = self._plans[key] = _Plan(now, times)
        self._compact()
        self._push_next(key, plan, now)
        return plan

    def _push_next(self, key: Hashable, plan: _Plan, now: float) -> None:
        for offset in plan.times:
            if plan.start + offset >= max(now, plan.not_before):
                self._push(plan.start + offset, Renew(key), plan)
                return

    def _push(self, when: float, action: Due, plan: _Plan) -> None:
        heapq.heappush(self._heap, (when, next(self._order), action, plan))

    def _stale(self, entry: tuple[float, int, Due, _Plan]) -> bool:
        return self._plans.get(entry[2].key) is not entry[3]

    def _compact(self) -> None:
        # Each plan has at most two entries; a caller that refreshes all the time must not grow the heap.
        if len(self._heap) > 4 * len(self._plans) + 64:
            self._heap = [entry for entry in self._heap if not self._stale(entry)]
            heapq.heapify(self._heap)
