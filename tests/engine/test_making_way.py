"""A search for what is lost makes way for a question about an announcement, and goes on as soon as that is answered."""

import pytest

from portmapper import GatewayTimeout, NoGateway, limits
from portmapper.engine import events
from portmapper.engine.actions import Action, Attempt, Halt, Lose
from portmapper.engine.core import Engine
from portmapper.engine.places import Place
from portmapper.model import Protocol
from tests.engine.driver import SERVICE

LEASE = 60.0
ATTEMPT, HALT = Attempt(1, (1,)), Halt(1)


@pytest.fixture
def engine() -> Engine:
    """With one mapping, whose lease has just ended: a search for it is due."""
    engine = Engine(lambda: 0.5)
    engine.handle(granted(0.0), 0.0)
    assert engine.handle(events.Tick(), LEASE) == [Lose(1)]
    return engine


def granted(asked: float) -> events.Granted:
    return events.Granted(1, Place(SERVICE, 4001, Protocol.TCP), asked, LEASE)


def tick(engine: Engine, until: float) -> list[tuple[float, Action]]:
    """Let time pass, and return what was to be done, and when."""
    done: list[tuple[float, Action]] = []
    while (now := engine.deadline) <= until:
        done += [(now, action) for action in engine.handle(events.Tick(), now)]
    return done


def test_a_search_that_was_cut_short_goes_on_as_soon_as_it_has_ended(engine: Engine) -> None:
    """A program that was stopped hears all announcements of that time when it goes on, beside its own search."""
    assert tick(engine, LEASE) == [(LEASE, ATTEMPT)]
    assert engine.handle(events.MakeWay(limits.RETRY_FIRST), LEASE + 0.01) == [HALT]
    assert engine.handle(events.Answering(), LEASE + 0.02) == [HALT]
    assert tick(engine, LEASE + 0.3) == []  # what it asked for is being taken back
    engine.handle(events.Ended((1,)), LEASE + 0.3)
    assert tick(engine, LEASE + 1) == [(LEASE + 0.3, ATTEMPT)]


def test_it_goes_on_after_each_announcement_that_the_gateway_confirms(engine: Engine) -> None:
    """Other lost mappings are woken once in 10 s only."""
    now = LEASE
    for _ in range(5):
        assert [action for _, action in tick(engine, now + 0.1)] == [ATTEMPT]
        engine.handle(events.MakeWay(limits.RETRY_FIRST), now + 0.2)
        engine.handle(events.Ended((1,)), now + 0.3)
        engine.handle(events.Answering(), now + 0.4)
        now += 0.5


def test_one_that_the_gateways_answer_began_has_10_s_before_another_announcement_stops_it(engine: Engine) -> None:
    """Announcements can be forged without end. Whoever waits for an answer goes first all the same."""
    tick(engine, LEASE)
    engine.handle(events.MakeWay(limits.RETRY_FIRST, unasked=True), LEASE + 1)
    engine.handle(events.Ended((1,)), LEASE + 1)
    engine.handle(events.Answering(), LEASE + 1)
    assert [action for _, action in tick(engine, LEASE + 2)] == [ATTEMPT]
    for now in range(2, 10):
        assert engine.handle(events.MakeWay(limits.RETRY_FIRST, unasked=True), LEASE + now) == []
        assert engine.handle(events.Answering(), LEASE + now) == []
    assert engine.handle(events.MakeWay(limits.RETRY_FIRST), LEASE + 10) == [HALT]
    assert engine.handle(events.MakeWay(limits.RETRY_FIRST, unasked=True), LEASE + 11) == [HALT]


def test_one_that_was_not_under_way_is_woken_once_in_10_s(engine: Engine) -> None:
    tick(engine, LEASE)
    engine.handle(events.Failed(1, GatewayTimeout("silence")), LEASE + 1)
    engine.handle(events.Ended((1,)), LEASE + 1)
    engine.handle(events.Answering(), LEASE + 2)
    ((when, action),) = tick(engine, LEASE + 3)
    assert when == pytest.approx(LEASE + 2 + limits.RECOVERY_PACE)
    assert action == ATTEMPT
    engine.handle(events.Failed(1, GatewayTimeout("silence")), LEASE + 4)
    engine.handle(events.Ended((1,)), LEASE + 4)
    for now in range(5, 11):
        engine.handle(events.MakeWay(limits.RETRY_FIRST), LEASE + now)
        engine.handle(events.Answering(), LEASE + now)
    assert tick(engine, LEASE + 12) == []


def test_a_gateway_that_answers_within_those_10_s_is_asked_at_their_end(engine: Engine) -> None:
    """The network may have gone in between, and nothing else tells that it is back: the next search may be far off."""
    tick(engine, LEASE)
    for failures in range(1, 11):
        engine.handle(events.Failed(1, NoGateway("unplugged")), LEASE + failures)
    engine.handle(events.Ended((1,)), LEASE + 10)
    assert engine.next_attempt(1) > LEASE + limits.RETRY_LAST / 2
    engine.handle(events.Answering(), LEASE + 20)
    assert [action for _, action in tick(engine, LEASE + 21)] == [ATTEMPT]
    engine.handle(events.Failed(1, NoGateway("unplugged again")), LEASE + 21)
    engine.handle(events.Ended((1,)), LEASE + 21)
    for now in range(22, 26):
        engine.handle(events.Answering(), LEASE + now)
    assert tick(engine, LEASE + 100) == [(LEASE + 20 + limits.RECOVERY_GAP + limits.RECOVERY_PACE, ATTEMPT)]


def test_an_answer_while_nothing_was_lost_puts_off_none() -> None:
    held = Engine(lambda: 0.5)
    held.handle(granted(0.0), 0.0)
    assert held.handle(events.Answering(), LEASE - 1) == []
    assert held.handle(events.Tick(), LEASE) == [Lose(1)]
    assert tick(held, LEASE) == [(LEASE, ATTEMPT)]
    held.handle(events.Failed(1, GatewayTimeout("silence")), LEASE)
    held.handle(events.Ended((1,)), LEASE)
    held.handle(events.Answering(), LEASE + 1)
    assert held.next_attempt(1) == LEASE + 1 + limits.RECOVERY_PACE


def test_what_was_granted_meanwhile_is_not_asked_for_again(engine: Engine) -> None:
    tick(engine, LEASE)
    engine.handle(events.Answering(), LEASE + 0.01)
    assert tick(engine, LEASE + 0.1) == []
    engine.handle(granted(LEASE), LEASE + 0.2)
    engine.handle(events.Ended((1,)), LEASE + 0.2)
    assert tick(engine, LEASE + LEASE / 2 - 1) == []
