"""Leases that are renewed more often than they have to be: each `span` seconds as if they ended."""

from itertools import islice, pairwise
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portmapper import limits
from portmapper.schedule import Due, Expire, Jitter, Renew, RenewalSchedule, renewal_times
from tests.fuzz import examples

DAY = 86400.0


def always(value: float) -> Jitter:
    """Return dice that always show `value`."""
    return lambda: value


EARLIEST, LATEST = always(0.0), always(1 - 2**-20)


def drained(schedule: RenewalSchedule, until: float = inf) -> list[tuple[float, Due]]:
    """Do everything when it is due, and return what was due when."""
    done: list[tuple[float, Due]] = []
    while (deadline := schedule.deadline) is not None and deadline <= until:
        done += [(deadline, action) for action in schedule.due(deadline)]
    return done


@pytest.mark.conforms("UP-93", "UP-94", "UP-96", "Q-73")
@pytest.mark.parametrize("span", [120.0, 3600.0, DAY])
@pytest.mark.parametrize("lifetime", [DAY, 604800, inf])
@pytest.mark.parametrize("jitter", [EARLIEST, LATEST], ids=["earliest", "latest"])
def test_a_lease_is_renewed_as_if_it_ended_after_each_span(lifetime: float, span: float, jitter: Jitter) -> None:
    """One without end too: the gateway forgets it when it restarts."""
    one = list(renewal_times(span, jitter))
    two = list(islice(renewal_times(lifetime, jitter, span), 2 * len(one)))
    spans = [0.0, span] if 2 * span <= lifetime else [0.0]
    assert two == [begin + time for begin in spans for time in one]


@pytest.mark.parametrize("lifetime", [1, 120, 3600, DAY, 604800])
@pytest.mark.parametrize("span", [604800, inf])
def test_a_span_that_is_longer_than_a_lease_changes_nothing(lifetime: float, span: float) -> None:
    assert list(renewal_times(lifetime, EARLIEST, span)) == list(renewal_times(lifetime, EARLIEST))


def test_a_lease_that_is_no_multiple_of_the_span_is_renewed_to_its_end() -> None:
    assert [time for time in renewal_times(250, EARLIEST, 120) if time >= 240] == [245, 249]


@pytest.mark.parametrize(
    ("lifetime", "times"), [(5, [4.375]), (9, [4, 8]), (10, [4, 8.75]), (13, [4.875, 8.875, 12.875]), (4, [])]
)
def test_a_short_lease_is_tried_for_to_its_end_and_not_to_that_of_a_shorter_span(
    lifetime: int, times: list[float]
) -> None:
    """The 4 s count from the last attempt, whichever span that was in."""
    assert list(renewal_times(lifetime, EARLIEST, lifetime * limits.UPNP_SHORT_SPAN)) == times


@pytest.mark.conforms("Q-73")
def test_no_span_keeps_a_lease_without_end_to_a_day() -> None:
    assert list(islice(renewal_times(inf, EARLIEST, 10 * DAY), 1)) == [12 * 3600]


@pytest.mark.conforms("Q-73", "UP-96")
def test_a_lease_without_end_is_added_with_the_span_of_its_renewals() -> None:
    schedule = RenewalSchedule(EARLIEST)
    schedule.add("a", 1000.0, inf, 120)
    assert [when - 1000 for when, _ in drained(schedule, until=1300)] == [60, 90, 105, 112.5, 116.5, 180, 210, 225,
                                                                          232.5, 236.5, 300]  # fmt: skip
    assert schedule.deadline is not None


def test_a_span_brings_the_end_of_a_lease_no_nearer() -> None:
    schedule = RenewalSchedule(EARLIEST)
    schedule.add("a", 0.0, 300, 120)
    done = drained(schedule)
    assert done[-1] == (300.0, Expire("a"))
    assert all(action == Renew("a") for _, action in done[:-1])


@pytest.mark.conforms("PC-88")
@given(st.integers(20, 10_000) | st.just(inf), st.floats(10, 5000), st.floats(0, 1, exclude_max=True))
@examples(150)
def test_renewals_are_never_more_than_a_span_apart_and_never_less_than_4_seconds(
    lifetime: float, span: float, throw: float
) -> None:
    schedule = RenewalSchedule(always(throw))
    schedule.add("a", 0.0, lifetime, span)
    times = [when for when, action in drained(schedule, until=10 * span) if isinstance(action, Renew)]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert times[0] < span
    assert all(limits.MIN_RENEWAL_GAP - 1e-6 <= gap <= span + 1e-6 for gap in gaps)
