"""Run the engine alone, in virtual time, against a gateway that is a few lines long."""

import heapq
import random
from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from itertools import count
from math import inf

from portmapper.engine import events
from portmapper.engine.actions import Attempt, Look, Lose
from portmapper.engine.core import Engine
from portmapper.engine.places import Place, Service
from portmapper.errors import GatewayTimeout
from portmapper.model import Gateway, Protocol
from portmapper.schedule import Pace

SERVICE = Service(Gateway(address=IPv4Address("192.0.2.1"), source=IPv4Address("192.0.2.9")), "pcp")
_ANSWER = 0.003  # seconds


@dataclass
class Tally:
    """What happened."""

    renewals: int = 0
    expiries: int = 0
    per_second: Counter[int] = field(default_factory=Counter[int])
    latest: float = 0.0  # part of its lease after which a mapping was renewed


class MeasuredPace(Pace):
    """That of an engine; notes how long each has to wait for its turn."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self.waits: list[float] = []

    def turn(self, now: float) -> float:
        turn = self._pace.turn(now)
        self.waits.append(turn - now)
        return turn


class Driver:
    """An engine, and what it asks for is granted, unless it or the answer is lost on the way (`loss` each way)."""

    def __init__(self, lifetime: float, *, seed: int, interval: float = inf, loss: float = 0.0) -> None:
        self._dice = random.Random(seed)
        self._lifetime = lifetime
        self._loss = loss
        self._answers: list[tuple[float, int, Attempt | Look]] = []
        self._order = count()
        self._asked: dict[Hashable, float] = {}
        self.engine = Engine(self._dice.random, interval)
        self.engine._pace = self.pace = MeasuredPace(self.engine._pace)
        self.now = 0.0
        self.tally = Tally()

    def hold(self, mappings: int, over: float) -> None:
        """Hold so many mappings, made one after the other in so many seconds."""
        for number in range(mappings):
            self._grant(number, over * number / mappings)
        self.now = over

    def suspect_all(self) -> None:
        """Have everything renewed soon."""
        self.engine.handle(events.Suspected(), self.now)

    def lose_state(self) -> None:
        """Have the gateway forget everything."""
        self.engine.handle(events.StateLost(), self.now)

    def forget_tally(self) -> None:
        """Count from now on."""
        self.tally, self.pace.waits = Tally(), []

    def run(self, until: float) -> None:
        """Let time pass."""
        while (following := min(self.engine.deadline, self._answers[0][0] if self._answers else inf)) <= until:
            self.now = max(self.now, following)
            if self._answers and self._answers[0][0] <= self.now:
                self._answer(heapq.heappop(self._answers)[2])
            else:
                self._tick()
        self.now = until

    def _tick(self) -> None:
        for action in self.engine.handle(events.Tick(), self.now):
            if isinstance(action, Attempt | Look):
                self._ask(action)
            elif isinstance(action, Lose):
                self.tally.expiries += 1

    def _ask(self, action: Attempt | Look) -> None:
        key, tally = action.key, self.tally
        tally.per_second[int(self.now)] += len(action.group)
        tally.latest = max(tally.latest, (self.now - self._asked[key]) / self._lifetime)
        heapq.heappush(self._answers, (self.now + _ANSWER, next(self._order), action))

    def _answer(self, action: Attempt | Look) -> None:
        asked = self.now - _ANSWER
        for key in action.group:
            if self._dice.random() < 1 - (1 - self._loss) ** 2:
                self.engine.handle(events.Failed(key, GatewayTimeout("lost")), self.now)
            else:
                self._grant(key, asked)
                self.tally.renewals += 1
        self.engine.handle(events.Ended(action.group), self.now)

    def _grant(self, key: Hashable, asked: float) -> None:
        port = key if isinstance(key, int) else 0
        place = Place(SERVICE, 1024 + port, Protocol.TCP)
        self._asked[key] = asked
        self.engine.handle(events.Granted(key, place, asked, self._lifetime), asked)
