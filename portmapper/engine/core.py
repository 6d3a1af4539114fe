"""What to do for each mapping, and when: events in, actions out. No I/O: the time and the dice are arguments.

Keys stand for mappings. `handle` is told what happened and when; what it returns is to be done at once. Only `Tick`,
due at `deadline`, makes attempts begin; `Ended` tells that one is over, and `Granted`, `Seen` or `Failed` before that
what became of each key in it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf

from portmapper import limits
from portmapper.engine.actions import Action, Attempt, Halt, Look, Lose, Probe
from portmapper.engine.events import (
    Answering,
    Began,
    Disturbed,
    Dropped,
    Ended,
    Event,
    Failed,
    Granted,
    MakeWay,
    Moved,
    Seen,
    StateLost,
    Suspected,
    TakenBack,
    Tick,
)
from portmapper.engine.patience import patience, told, was_refused
from portmapper.engine.places import Key, Place, Places, Rounds, Service
from portmapper.errors import (
    GatewayTimeout,
    GatewayUnreachable,
    MappingGone,
    NoGateway,
    PortMapperError,
    PortUnavailable,
    RequestRefused,
)
from portmapper.schedule import Expire, Jitter, Pace, RenewalSchedule


@dataclass(slots=True, eq=False)
class _Standing:
    """Where one mapping stands."""

    place: Place
    asked: float = -inf  # when it was last asked for
    granted: float = -inf  # when that was last asked for which was granted
    fresh_until: float = -inf  # until when a look is enough: then it has to be renewed
    lost: bool = False
    doubted: bool = False  # the gateway has lost its state: the lease may be gone before its time
    to_look: bool = False
    unanswered: bool = True  # the last search found nobody, for as long as it is lost
    busy: int = 0  # attempts under way
    due: bool = False  # it was to be tried for while one was
    cut_short: bool = False  # a search had to make way, and nobody has searched since
    woken: float = -inf  # when it was last to be searched for because the gateway answers
    failures: int = 0
    turn: float | None = None  # when it may be asked for: many that are due at once go one after the other


class Engine:
    """Keeps the books of all mappings of a mapper; `interval` is how often to look whether one is still there."""

    def __init__(self, jitter: Jitter, interval: float = inf) -> None:
        self._jitter = jitter
        self._schedule = RenewalSchedule(jitter)
        self._pace = Pace(limits.PACE)
        self._rounds = Rounds(interval)
        self._places = Places()
        self._standings: dict[Key, _Standing] = {}
        self._last_recovery = -inf
        self._last_wake = -inf

    @property
    def deadline(self) -> float:
        """When to hand in a Tick next; infinity for never."""
        due = self._schedule.deadline
        return min(inf if due is None else due, self._rounds.deadline)

    def turn(self, now: float) -> float:
        """Return when a new mapping may be asked for; that turn is taken."""
        return self._pace.turn(now)

    def group(self, key: Key) -> tuple[Key, ...]:
        """Return `key` and what has to be renewed together with it, in the order to do that."""
        standing = self._standings.get(key)
        return (key,) if standing is None else self._places.group(key, standing.place)

    def is_doubted(self, key: Key) -> bool:
        """Whether the gateway may have forgotten the lease of `key`."""
        standing = self._standings.get(key)
        return standing is not None and standing.doubted

    def next_attempt(self, key: Key) -> float:
        """Return when `key` is to be renewed, or tried for again; infinity for never."""
        return self._schedule.next_attempt(key)

    def handle(self, event: Event, now: float) -> list[Action]:  # noqa: PLR0911, PLR0912 - a table
        """Take note of what happened at `now`, and return what is to be done."""
        match event:
            case Tick():
                return self._tick(now)
            case Granted():
                return self._granted(event)
            case Seen():
                return self._seen(event.key, now)
            case Failed():
                return self._failed(event.key, event.problem, now)
            case Began():
                return self._count(event.keys, 1)
            case Ended():
                return self._ended(event.keys, now)
            case Dropped():
                return self._dropped(event.key)
            case TakenBack():
                return self._lose(event.key, now, event.pause)
            case Suspected():
                return self._suspected(event.key, now)
            case Disturbed():
                return self._disturbed(event.keys, now)
            case StateLost():
                return self._recover(now)
            case Moved():
                return self._abandon(now)
            case Answering():
                return self._wake_lost(now)
            case MakeWay():
                return self._make_way(now, event)

    # --- What time brings

    def _tick(self, now: float) -> list[Action]:
        actions = [action for service in self._rounds.due(now) for action in self._look_after(service, now)]
        for due in self._schedule.due(now):
            actions += self._expire(due.key, now) if isinstance(due, Expire) else self._begin(due.key, now)
        return actions

    def _look_after(self, service: Service, now: float) -> list[Action]:
        """Look at what is held, and ask about what is lost beside it: that must not keep the others from their turn."""
        probes: list[Action] = []
        for key in self._rounds.longest_ago(service):
            standing = self._standings[key]
            if not standing.lost:
                standing.to_look = True
                self._schedule.advance(key, max(now, standing.asked + limits.MIN_RENEWAL_GAP))
                break
            # A search that is under way asks by itself, and one that was refused has its own time.
            if not probes and standing.unanswered and not standing.busy:
                probes.append(Probe(key))
        return probes

    def _expire(self, key: Key, now: float) -> list[Action]:
        """Lose it, and look for it anew at once; but a lease of a second must not make that a request each second."""
        actions = self._lose(key, now, 0.0)
        self._schedule.defer(key, max(now, self._standings[key].granted + limits.MIN_RENEWAL_GAP))
        return actions

    def _begin(self, key: Key, now: float) -> list[Action]:
        group, standing = self.group(key), self._standings[key]
        if any(self._standings[one].busy for one in group):
            self._look_again(key, now)
            return []
        turn = self._pace.turn(now) if standing.turn is None else standing.turn
        if turn > now:
            standing.turn = turn
            self._schedule.advance(key, turn)
            return []
        standing.turn, standing.due, standing.cut_short = None, False, False
        self._count(group, 1)
        standing.asked = now
        look, standing.to_look = standing.to_look, False
        if look and not standing.lost and not standing.doubted and now < standing.fresh_until:
            return [Look(key, group)]
        return [Attempt(key, group)]

    def _look_again(self, key: Key, now: float) -> None:
        # An attempt is under way, or that of a twin. What is held has more scheduled; what is lost would be forgotten.
        standing = self._standings[key]
        if standing.lost:
            standing.due = True
            self._schedule.advance(key, now + limits.CHECK_GAP)

    # --- What became of an attempt

    def _granted(self, event: Granted) -> list[Action]:
        key, place = event.key, event.place
        standing = self._standings.get(key) or _Standing(place, lost=True)
        if standing.lost:  # the others keep their place in the order in which the gateway made them
            self._standings.pop(key, None)
            self._standings[key] = standing
        if standing.place.service != place.service:
            self._rounds.discard(key, standing.place.service)
        standing.place, standing.asked, standing.granted = place, event.asked, event.asked
        standing.lost = standing.doubted = standing.to_look = standing.due = standing.cut_short = False
        standing.failures = 0
        standing.fresh_until = event.asked + min(event.lifetime, event.span) / 2
        self._places.add(key, place)
        self._rounds.asked(key, place.service, event.asked)
        self._schedule.add(key, event.asked, event.lifetime, event.span)
        return []

    def _seen(self, key: Key, now: float) -> list[Action]:
        standing = self._standings.get(key)
        if standing is not None and not standing.lost:
            standing.failures = 0
            self._rounds.asked(key, standing.place.service, now)
        return []

    def _failed(self, key: Key, problem: PortMapperError, now: float) -> list[Action]:
        standing = self._standings.get(key)
        if standing is None:
            return []
        standing.failures += 1
        refused = isinstance(problem, RequestRefused)
        if standing.lost:
            # Where there is no gateway, whoever watches the network knows when there is one, and nobody is asked.
            standing.unanswered = not (was_refused(problem) or isinstance(problem, NoGateway))
            wait = patience(problem, standing.failures)
            # Until a refusal ends the answer would come from memory, and the next attempt half a minute later.
            self._schedule.retry(key, now, wait, 0.0 if told(problem) is None else wait)
        elif isinstance(problem, PortUnavailable | MappingGone) or (standing.doubted and refused):
            return self._lose(key, now, 0.0)  # it is somebody else's now, or was forgotten and is not made again
        elif isinstance(problem, RequestRefused) and problem.retry_after is not None:
            self._schedule.defer(key, now + problem.retry_after)
        elif standing.doubted:
            self._schedule.advance(key, now + limits.MIN_RENEWAL_GAP)
        if isinstance(problem, GatewayTimeout | GatewayUnreachable):
            self._rounds.hasten(standing.place.service, max(now, standing.asked + limits.CHECK_AGAIN))
        elif not standing.lost:
            self._rounds.asked(key, standing.place.service, now)  # that is an answer: another one is looked at next
        return []

    def _count(self, keys: Iterable[Key], change: int) -> list[Action]:
        for key in keys:
            if key in self._standings:
                self._standings[key].busy += change
        return []

    def _ended(self, keys: tuple[Key, ...], now: float) -> list[Action]:
        self._count(keys, -1)
        for key in keys:
            standing = self._standings.get(key)
            if standing is not None and standing.due and not standing.busy:
                self._schedule.advance(key, now)
        return []

    def _dropped(self, key: Key) -> list[Action]:
        standing = self._standings.pop(key, None)
        if standing is None:
            return []
        self._places.discard(key)
        self._rounds.discard(key, standing.place.service)
        self._schedule.discard(key)
        return [Halt(key)]

    def _lose(self, key: Key, now: float, pause: float) -> list[Action]:
        standing = self._standings.get(key)
        if standing is None or standing.lost:
            return []
        standing.lost, standing.unanswered, standing.failures = True, True, 0
        self._places.discard(key)
        self._schedule.retry(key, now, pause)
        return [Lose(key)]

    # --- What was heard

    def _suspected(self, key: Key | None, now: float) -> list[Action]:
        """Renew soon: what something was heard about, or everything."""
        for one in self._held() if key is None else [key]:
            gap = 0.0 if key is None else limits.MIN_RENEWAL_GAP
            self._schedule.advance(one, max(now, self._standings[one].asked + gap))
        return []

    def _disturbed(self, keys: tuple[Key, ...], now: float) -> list[Action]:
        for key in keys:
            self._schedule.advance(key, now)
        return []

    def _recover(self, now: float) -> list[Action]:
        """Renew everything after a random wait, one after the other in the order in which it was made."""
        if self._last_recovery > now:
            return []  # a round is on its way
        begin = max(now + limits.RECOVERY_WAIT * self._jitter(), self._last_recovery + limits.RECOVERY_GAP)
        self._last_recovery = begin
        for place, key in enumerate((*self._held(), *self._lost())):
            self._standings[key].doubted = True
            self._schedule.advance(key, begin + place * limits.RECOVERY_PACE)
        return []

    def _abandon(self, now: float) -> list[Action]:
        """Lose everything, and look for it anew at once."""
        actions: list[Action] = []
        for key in self._held():
            actions += [Halt(key), *self._lose(key, now, 0.0)]
        for key, standing in self._standings.items():
            self._rounds.discard(key, standing.place.service)  # what was left is asked nothing
        return actions + self._search_anew(self._lost(), now)

    def _wake_lost(self, now: float) -> list[Action]:
        """Try for what is lost again: once in 10 s, but at once if its search had to make way."""
        lost, again = self._lost(), self._last_wake + limits.RECOVERY_GAP
        if lost and now >= again:
            self._last_wake = now
            return self._wake(lost, now)
        for key in lost:  # the network may have gone again since, and nothing else may tell that it is back
            self._schedule.advance(key, again + limits.RECOVERY_PACE)
        return self._wake([key for key in lost if self._standings[key].cut_short], now)

    def _wake(self, keys: list[Key], now: float) -> list[Action]:
        for key in keys:
            self._standings[key].woken = now
        return self._search_anew(keys, now + limits.RECOVERY_PACE)

    def _make_way(self, now: float, event: MakeWay) -> list[Action]:
        """Stop searches; one that began because the gateway answers has 10 s before what is only heard can stop it."""
        lost = self._lost()
        if event.unasked:
            lost = [key for key in lost if now >= self._standings[key].woken + limits.RECOVERY_GAP]
        for key in lost:
            self._standings[key].cut_short |= self._standings[key].busy > 0
        return self._search_anew(lost, now + event.pause)

    def _search_anew(self, keys: list[Key], when: float) -> list[Action]:
        for key in keys:
            self._schedule.advance(key, when)
        return [Halt(key) for key in keys]

    def _held(self) -> list[Key]:
        return [key for key, standing in self._standings.items() if not standing.lost]

    def _lost(self) -> list[Key]:
        return [key for key, standing in self._standings.items() if standing.lost]
