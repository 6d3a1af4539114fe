"""When leases are renewed, and that the schedule stays small. Time and dice are arguments."""

from itertools import cycle, islice, pairwise, takewhile
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portmapper import limits
from portmapper.schedule import Due, Expire, Jitter, Renew, RenewalSchedule, renewal_times
from tests.fuzz import examples

DAY = 86400.0
ALMOST_ONE = 1 - 2**-20


def always(value: float) -> Jitter:
    """Return dice that always show `value`."""
    return lambda: value


EARLIEST, LATEST = always(0.0), always(ALMOST_ONE)


def first(count: int, lifetime: float, jitter: Jitter) -> list[float]:
    return list(islice(renewal_times(lifetime, jitter), count))


def before(end: float, lifetime: float, jitter: Jitter) -> list[float]:
    return list(takewhile(lambda time: time < end, renewal_times(lifetime, jitter)))


def drained(schedule: RenewalSchedule, until: float = inf) -> list[tuple[float, Due]]:
    """Do everything when it is due, and return what was due when."""
    done: list[tuple[float, Due]] = []
    while (deadline := schedule.deadline) is not None and deadline <= until:
        done += [(deadline, action) for action in schedule.due(deadline)]
    return done


# --- The windows


@pytest.mark.conforms("NP-36", "PC-87")
def test_an_hour_is_renewed_in_the_windows_of_the_rfc() -> None:
    """[1800, 2250], [2700, 2925], [3150, 3262.5]."""
    assert first(3, 3600, EARLIEST) == [1800, 2700, 3150]
    assert first(3, 3600, LATEST) == pytest.approx([2250, 2925, 3262.5], rel=1e-5)
    assert all(late < end for late, end in zip(first(3, 3600, LATEST), [2250, 2925, 3262.5], strict=True))


@pytest.mark.conforms("PC-87")
def test_each_attempt_throws_its_own_dice() -> None:
    dice = iter([0.0, 0.5, 0.25])
    assert first(3, 3600, lambda: next(dice)) == [1800, 2700 + 112.5, 3150 + 112.5 / 4]


@pytest.mark.conforms("PC-88")
@pytest.mark.parametrize(
    ("lifetime", "times"),
    [
        (1, []),
        (4, []),
        (5, [4]),
        (8, [4]),
        (15, [7.5, 11.5]),
        (16, [8, 12]),
        (120, [60, 90, 105, 112.5, 116.5]),
    ],
)
def test_short_leases_get_few_attempts(lifetime: float, times: list[float]) -> None:
    """Those that would follow within 4 s of the grant, or of one another, come after 4 s."""
    assert list(renewal_times(lifetime, EARLIEST)) == times


@pytest.mark.conforms("NP-36", "PC-85")
@pytest.mark.parametrize("jitter", [EARLIEST, LATEST], ids=["earliest", "latest"])
def test_up_to_a_day_all_attempts_lie_inside_the_lease(jitter: Jitter) -> None:
    for lifetime in (8, 30, 120, 3600, 7200, DAY):
        times = list(renewal_times(lifetime, jitter))
        assert lifetime / 2 <= times[0] < lifetime * 5 / 8
        assert times[-1] < lifetime


@pytest.mark.conforms("F16", "NP-35", "PC-47", "PC-90", "PC-159", "Q-73")
@pytest.mark.parametrize("lifetime", [DAY + 1, 604800, 2**32 - 1, inf])
def test_long_leases_are_treated_as_a_day(lifetime: float) -> None:
    """The first attempt comes after 12 to 15 h."""
    assert first(1, lifetime, EARLIEST) == [12 * 3600]
    assert first(1, lifetime, LATEST) == pytest.approx([15 * 3600], rel=1e-5)
    day = list(renewal_times(DAY, EARLIEST))
    assert first(len(day), lifetime, EARLIEST) == day


@pytest.mark.conforms("Q-73")
@pytest.mark.parametrize("lifetime", [604800, inf])
def test_long_leases_go_on_day_after_day(lifetime: float) -> None:
    day = before(DAY, lifetime, EARLIEST)
    week = before(7 * DAY, lifetime, EARLIEST)
    assert week == [number * DAY + time for number in range(7) for time in day]


def test_a_lease_of_a_week_has_an_end_and_one_without_end_has_none() -> None:
    assert max(renewal_times(604800, LATEST)) < 604800
    assert next(time for time in renewal_times(inf, LATEST) if time > 400 * DAY) < 401 * DAY


@pytest.mark.conforms("PC-88")
@given(st.integers(1, 3 * 86400), st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=20))
@examples(200)
def test_attempts_are_never_less_than_4_seconds_apart(lifetime: int, throws: list[float]) -> None:
    dice = cycle(throws)
    times = list(renewal_times(lifetime, lambda: next(dice)))
    assert all(later - earlier >= limits.MIN_RENEWAL_GAP - 1e-9 for earlier, later in pairwise((0, *times)))
    assert bool(times) is (lifetime > limits.MIN_RENEWAL_GAP)
    assert all(time < lifetime for time in times)


@pytest.mark.conforms("PC-87")
@given(st.floats(10, DAY), st.lists(st.floats(0, 1, exclude_max=True), min_size=20, max_size=20))
@examples(200)
def test_the_kth_attempt_lies_in_the_kth_window(lifetime: float, throws: list[float]) -> None:
    dice = iter(throws)
    last = -inf
    for k, time in enumerate(renewal_times(lifetime, lambda: next(dice)), 1):
        low = 1 - 2**-k
        in_window = lifetime * low <= time <= lifetime * (low + 2 ** -(k + 2))
        assert in_window or time == last + limits.MIN_RENEWAL_GAP
        last = time


# --- The schedule


def test_an_empty_schedule_has_no_deadline() -> None:
    schedule = RenewalSchedule(EARLIEST)
    assert schedule.deadline is None
    assert schedule.due(inf) == []


@pytest.mark.conforms("NP-82", "PC-85", "PC-161")
def test_a_lease_is_renewed_and_at_last_expires() -> None:
    """What fails is tried again until the end, and lost only then."""
    schedule = RenewalSchedule(EARLIEST)
    schedule.add("a", 1000.0, 120)
    attempts = [(1000.0 + time, Renew("a")) for time in (60, 90, 105, 112.5, 116.5)]
    assert drained(schedule) == [*attempts, (1120.0, Expire("a"))]
    assert schedule.deadline is None


def test_nothing_is_due_before_its_time() -> None:
    schedule = RenewalSchedule(EARLIEST)
    schedule.add("a", 1000.0, 120)
    assert schedule.deadline == 1060.0
    assert schedule.due(1059.999) == []
    assert schedule.due(1060.0) == [Renew("a")]
    assert schedule.deadline == 1090.0
    assert schedule.due(1060.0) == []


@pytest.mark.parametrize(("lifetime", "renewals"), [(1.0, []), (6.0, [(4.0, Renew("a"))])])
def test_a_lease_too_short_to_renew_twice_still_expires(lifetime: float, renewals: list[tuple[float, Due]]) -> None:
    schedule = RenewalSchedule(EARLIEST)
    schedule.add("a", 0.0, lifetime)
    assert drained(schedule) == [*renewals, (lifetime, Expire("a"))]


def test_a_lease_without_end_never_expires() -> None:
    schedule = RenewalSchedule(EARLIEST)
    schedule.add("a", 0.0, inf)
    done = drained(schedule, until=30 * DAY)
    assert len(done) >= 30
    assert {action for _, action in done} == {Renew("a")}
    assert schedule.deadline is not None


@pytest.mark.parametrize("lifetime", [DAY + 1, 100_000.0, 604800.0])
def test_nothing_comes_after_the_end_of_a_long_lease(lifetime: float) -> None:
    schedule = RenewalSchedule(EARLIEST)
    schedule.add("a", 0.0, lifetime)
    assert drained(schedule)[-1] == (lifetime, Expire("a"))


def test_adding_again_replaces_what_was_planned() -> None:
    """A renewed lease neither expires nor is renewed when the old one would have been."""
    schedule = RenewalSchedule(EARLIEST)
    schedule.add("a", 0.0, 120)
    assert schedule.due(60.0) == [Renew("a")]
    schedule.add("a", 60.0, 120)
    assert schedule.deadline == 120.0
    assert schedule.due(119.9) == []
    assert drained(schedule)[-1] == (180.0, Expire("a"))


def test_the_plan_a_later_lease_replaces_may_have_been_earlier_or_later() -> None:
    schedule = RenewalSchedule(EARLIEST)
    schedule.add("a", 0.0, 10)
    schedule.add("a", 0.0, 1000)
    assert schedule.deadline == 500.0
    schedule.add("a", 0.0, 10)
    assert schedule.deadline == 5.0


def test_discarded_keys_are_forgotten() -> None:
    schedule = RenewalSchedule(EARLIEST)
    schedule.add("a", 0.0, 120)
    schedule.add("b", 0.0, 200)
    schedule.discard("a")
    assert {action.key for _, action in drained(schedule)} == {"b"}


def test_discarding_what_is_not_there_is_no_error() -> None:
    schedule = RenewalSchedule(EARLIEST)
    schedule.discard("a")
    schedule.add("a", 0.0, 1)
    schedule.discard("a")
    schedule.discard("a")
    assert schedule.deadline is None


@pytest.mark.parametrize(("dice", "when"), [(0.0, 75.0), (0.5, 100.0), (ALMOST_ONE, 125.0)])
def test_a_retry_is_one_attempt_give_or_take_a_quarter(dice: float, when: float) -> None:
    schedule = RenewalSchedule(always(dice))
    schedule.retry("a", 1000.0, 100.0)
    [(time, action)] = drained(schedule)
    assert time == pytest.approx(1000.0 + when)
    assert action == Renew("a")


def test_a_retry_at_once_is_due_at_once() -> None:
    schedule = RenewalSchedule(LATEST)
    schedule.retry("a", 1000.0, 0.0)
    assert schedule.due(1000.0) == [Renew("a")]


def test_a_retry_replaces_a_lease_and_a_lease_a_retry() -> None:
    schedule = RenewalSchedule(always(0.5))
    schedule.add("a", 0.0, 120)
    schedule.retry("a", 0.0, 500.0)
    assert schedule.deadline == 500.0
    schedule.add("a", 0.0, 1)
    assert drained(schedule)[-1] == (1.0, Expire("a"))


def test_what_is_due_comes_earliest_first() -> None:
    schedule = RenewalSchedule(always(0.5))
    for key, delay in (("late", 30.0), ("early", 10.0), ("between", 20.0)):
        schedule.retry(key, 0.0, delay)
    assert schedule.due(100.0) == [Renew("early"), Renew("between"), Renew("late")]


def test_equal_times_come_in_the_order_of_adding_and_compare_nothing_else() -> None:
    """The keys here cannot be ordered."""
    schedule = RenewalSchedule(always(0.5))
    keys = [complex(number, 1) for number in (3, 1, 2)]
    for key in keys:
        schedule.add(key, 0.0, 16)
    assert [action.key for action in schedule.due(16.0 * 0.5625)] == keys
    assert [action for action in schedule.due(16.0) if isinstance(action, Expire)] == [Expire(key) for key in keys]


@pytest.mark.parametrize("keys", [1, 3, 100])
def test_refreshing_all_the_time_does_not_grow_the_heap(keys: int) -> None:
    schedule = RenewalSchedule(EARLIEST)
    largest = 0
    for number in range(10_000):
        schedule.add(number % keys, float(number), 7200)
        largest = max(largest, len(schedule._heap))
    assert largest <= 4 * keys + 64 + 2
    assert {action.key for _, action in drained(schedule)} == set(range(keys))


def test_coming_and_going_does_not_grow_the_heap() -> None:
    schedule = RenewalSchedule(EARLIEST)
    for number in range(10_000):
        schedule.add(number, float(number), 7200)
        schedule.discard(number)
    assert len(schedule._heap) <= 4 + 64 + 2
    assert len(schedule._plans) == 0


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["add", "retry", "discard", "work"]),
        st.integers(0, 3),
        st.sampled_from([1, 16, 120, 7200, inf]),
    ),
    max_size=40,
)


@given(STEPS)
@examples(150)
def test_only_what_was_planned_last_for_a_key_is_ever_due(steps: list[tuple[str, int, float]]) -> None:
    schedule, now = RenewalSchedule(always(0.5)), 0.0
    planned: dict[int, float] = {}  # the end of each key's lease, infinity for a retry and a lease without end
    for what, key, lifetime in steps:
        if what == "add":
            schedule.add(key, now, lifetime)
            planned[key] = now + lifetime
        elif what == "retry":
            schedule.retry(key, now, min(lifetime, 900.0))
            planned[key] = inf
        elif what == "discard":
            schedule.discard(key)
            planned.pop(key, None)
        elif schedule.deadline is not None:
            assert schedule.deadline >= now
            now = schedule.deadline
            actions = schedule.due(now)
            assert actions
            for action in actions:
                assert isinstance(action.key, int)
                assert action.key in planned
                assert isinstance(action, Expire) == (planned[action.key] == now)
                if isinstance(action, Expire):
                    del planned[action.key]


def test_called_late_it_leaves_out_the_attempts_that_were_missed() -> None:
    """F10: after a sleep of the machine one attempt is due, not one for each hour slept."""
    schedule = RenewalSchedule(lambda: 0.0)
    schedule.add("without end", 0, float("inf"))
    schedule.add("an hour", 0, 3600)
    assert schedule.due(3300) == [Renew("an hour")]
    assert sorted(map(repr, schedule.due(7 * 86400))) == ["Expire(key='an hour')", "Renew(key='without end')"]
    assert schedule.deadline is not None
    assert schedule.deadline > 7 * 86400


def test_an_attempt_asked_for_comes_beside_the_series() -> None:
    schedule = RenewalSchedule(EARLIEST)
    schedule.add("a", 0.0, 120)
    schedule.advance("a", 10.0)
    assert [when for when, _ in drained(schedule)] == [10, 60, 90, 105, 112.5, 116.5, 120]


def test_of_several_attempts_asked_for_the_first_counts() -> None:
    """What is asked for again while it waits is one attempt, and the first may not be put off."""
    schedule = RenewalSchedule(EARLIEST)
    schedule.add("a", 0.0, 120)
    for when in (20.0, 10.0, 30.0):
        schedule.advance("a", when)
    assert [when for when, _ in drained(schedule)] == [10, 60, 90, 105, 112.5, 116.5, 120]


@pytest.mark.conforms("PC-88")
def test_an_attempt_of_the_series_keeps_its_distance_from_one_asked_for() -> None:
    schedule = RenewalSchedule(EARLIEST)
    schedule.add("a", 0.0, 120)
    schedule.advance("a", 59.0)
    assert [when for when, _ in drained(schedule)][:3] == [59, 63, 90]


def test_deferring_leaves_out_what_comes_before() -> None:
    schedule = RenewalSchedule(EARLIEST)
    schedule.add("a", 0.0, 120)
    schedule.advance("a", 10.0)
    schedule.defer("a", 100.0)
    assert [when for when, _ in drained(schedule)] == [100, 105, 112.5, 116.5, 120]


def test_a_lease_may_end_before_the_attempt_it_was_deferred_to() -> None:
    schedule = RenewalSchedule(EARLIEST)
    schedule.add("a", 0.0, 120)
    schedule.defer("a", 1000.0)
    assert drained(schedule) == [(120, Expire("a"))]


@pytest.mark.parametrize("times", [[5.0], [5.0, 6.0], [7.0, 6.0, 5.0]])
def test_asking_and_deferring_all_the_time_does_not_grow_the_heap(times: list[float]) -> None:
    schedule = RenewalSchedule(EARLIEST)
    schedule.add("a", 0.0, 7200)
    for _ in range(3000):
        for when in times:
            schedule.advance("a", when)
        schedule.defer("a", 3000.0)
    assert len(schedule._heap) <= 4 + 64 + 2
    assert [when for when, _ in drained(schedule)][:2] == [3000.0, 3600.0]
