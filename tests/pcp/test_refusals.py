"""What was refused is not asked again for as long as the gateway said, and not a moment longer (section 8.3)."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portmapper import RequestRefused, limits
from portmapper.model import MappingRequest, Protocol
from portmapper.refusals import Refusals
from tests.fuzz import examples


def request_of(port: int) -> MappingRequest:
    return MappingRequest(protocol=Protocol.TCP, internal_port=port)


def refusal(retry_after: float | None, *, general: bool = False) -> RequestRefused:
    return RequestRefused("no", code=8, name="NO_RESOURCES", retry_after=retry_after, general=general)


def refused(refusals: Refusals, port: int, now: float, backend: str = "pcp") -> float:
    """Return for how long a request is refused still; 0 is not at all."""
    try:
        refusals.check(backend, request_of(port), now)
    except RequestRefused as error:
        return error.retry_after or 0.0
    return 0.0


BEGIN = st.floats(0, 1e6)
SECONDS = st.floats(0.001, limits.SCHEDULED_LIFETIME)


@pytest.mark.conforms("PC-46", "PC-48")
@given(BEGIN, SECONDS, st.floats(0, 0.999), st.floats(0, 1e6))
@examples(100)
def test_a_refusal_holds_until_its_end_and_not_after(begin: float, seconds: float, part: float, later: float) -> None:
    refusals = Refusals()
    refusals.note("pcp", request_of(1), refusal(seconds), begin)
    assert refused(refusals, 1, begin + part * seconds) == pytest.approx((1 - part) * seconds, abs=1e-6)
    assert refused(refusals, 1, begin + seconds + later) == 0


@pytest.mark.conforms("PC-48", "PC-55")
@given(st.lists(st.tuples(st.integers(1, 3), SECONDS, st.booleans(), st.floats(0, 1000)), max_size=20))
@examples(100)
def test_only_the_last_word_about_a_request_or_about_all_counts(words: list[tuple[int, float, bool, float]]) -> None:
    """Of one backend: another is not bound by it."""
    refusals, now = Refusals(), 0.0
    until: dict[int, float] = {}
    for port, seconds, general, pause in words:
        refusals.note("pcp", request_of(port), refusal(seconds, general=general), now)
        until[0 if general else port] = now + seconds
        now += pause
        for asked in (1, 2, 3):
            expected = max(until.get(asked, 0) - now, until.get(0, 0) - now) > 0
            assert (refused(refusals, asked, now) > 0) is expected
            assert refused(refusals, asked, now, "natpmp") == 0


@given(st.integers(0, 3 * limits.REFUSALS))
@examples(20)
def test_no_more_are_remembered_than_the_limit_and_the_oldest_go_first(count: int) -> None:
    refusals = Refusals()
    for port in range(1, count + 1):
        refusals.note("pcp", request_of(port), refusal(30), 0)
    held = [port for port in range(1, count + 1) if refused(refusals, port, 1)]
    assert held == list(range(1, count + 1))[-limits.REFUSALS :]
    assert len(refusals._refusals) <= limits.REFUSALS


def test_an_answer_from_memory_says_so_and_is_else_the_refusal_that_was_heard() -> None:
    refusals = Refusals()
    heard = RequestRefused("no", code=2, name="NOT_AUTHORIZED", retry_after=30, lasting=True, general=True)
    refusals.note("pcp", request_of(1), heard, 0)
    with pytest.raises(RequestRefused, match="no; it is not asked again for 20 s") as told:
        refusals.check("pcp", request_of(2), 10)
    assert vars(told.value) == vars(heard) | {"retry_after": 20, "remembered": True}


def test_without_an_end_nothing_is_remembered_and_what_is_can_be_forgotten() -> None:
    refusals = Refusals()
    refusals.note("pcp", request_of(1), refusal(None), 0)
    assert refused(refusals, 1, 0) == 0
    refusals.note("pcp", request_of(1), refusal(30), 0)
    refusals.clear()
    assert refused(refusals, 1, 0) == 0


def test_what_has_ended_takes_no_room() -> None:
    refusals = Refusals()
    refusals.note("pcp", request_of(1), refusal(30), 0)
    with suppress(RequestRefused):
        refusals.check("pcp", request_of(1), 30)
    assert not refusals._refusals
