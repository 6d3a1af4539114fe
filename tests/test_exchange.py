"""What one exchange sends when, and which datagram it takes for its answer. Time is a plain number."""

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portmapper import limits
from portmapper.exchange import Exchange, within
from tests.fuzz import examples

REQUEST = b"request"


def only(answer: bytes, data: bytes) -> str | None:
    """Match `answer` and nothing else."""
    return "answer" if data == answer else None


def exchange(*waits: float) -> Exchange[str]:
    return Exchange(REQUEST, lambda data: only(b"answer", data), waits)


def send_times(one: Exchange[str], begin: float) -> tuple[list[float], float]:
    """Poll whenever the exchange asks for it; return the times of the sends and the end."""
    now, times = begin, []
    while not one.spent:
        if one.poll(now) is not None:
            times.append(now)
            now = one.deadline
    return times, now


def test_the_first_poll_sends_at_once() -> None:
    one = exchange(0.25, 0.5)
    assert one.poll(100.0) == REQUEST
    assert (one.sent, one.deadline, one.spent) == (1, 100.25, False)


def test_nothing_is_sent_before_the_deadline() -> None:
    one = exchange(0.25, 0.5)
    one.poll(100.0)
    assert one.poll(100.0) is None
    assert one.poll(100.249) is None
    assert (one.sent, one.deadline, one.spent) == (1, 100.25, False)


@pytest.mark.conforms("NP-23", "PC-21")
def test_at_the_deadline_the_same_bytes_go_out_again() -> None:
    one = exchange(0.25, 0.5)
    assert [one.poll(100.0), one.poll(100.25)] == [REQUEST, REQUEST]
    assert (one.sent, one.deadline) == (2, 100.75)


def test_the_next_wait_counts_from_a_late_send() -> None:
    """A process that slept does not send the missed ones in a burst."""
    one = exchange(0.25, 0.5, 1.0)
    one.poll(100.0)
    assert one.poll(107.0) == REQUEST
    assert one.deadline == 107.5
    assert one.poll(107.0) is None


@pytest.mark.conforms("PC-67")
def test_after_the_last_wait_it_is_spent_for_good() -> None:
    one = exchange(0.25)
    one.poll(100.0)
    assert not one.spent
    assert one.poll(100.25) is None
    assert one.spent
    assert one.poll(200.0) is None
    assert one.sent == 1


def test_without_waits_nothing_is_ever_sent() -> None:
    one = exchange()
    assert one.poll(0.0) is None
    assert one.spent
    assert one.sent == 0


def test_a_clock_below_zero_is_no_reason_not_to_send() -> None:
    assert exchange(1.0).poll(-1e9) == REQUEST


@pytest.mark.conforms("PC-45")
def test_only_the_answer_is_received() -> None:
    """Anything else changes nothing."""
    one = exchange(0.25, 0.5)
    one.poll(100.0)
    for datagram in (b"", b"answer!", b"\xff" * 2000):
        assert one.receive(datagram) is None
    assert (one.sent, one.deadline, one.spent) == (1, 100.25, False)
    assert one.receive(b"answer") == "answer"


@pytest.mark.conforms("F21")
def test_a_late_answer_is_still_an_answer() -> None:
    one = exchange(0.25)
    one.poll(0.0)
    one.poll(0.25)
    assert one.spent
    assert one.receive(b"answer") == "answer"


def test_a_match_that_is_falsy_is_returned_as_it_is() -> None:
    assert Exchange(REQUEST, lambda _: 0, ()).receive(b"") == 0


@pytest.mark.conforms("NP-20")
def test_send_times_of_the_fast_waits() -> None:
    """NAT-PMP's first wait of 250 ms, kept for 4 s, and half a second in the end."""
    times, end = send_times(exchange(*limits.FAST_WAITS), 1000.0)
    assert [time - 1000.0 for time in times[:4]] == [0.0, 0.25, 0.5, 0.75]
    assert [time - 1000.0 for time in times[-4:]] == [6.0, 6.5, 7.0, 7.5]
    assert (len(times), end) == (24, 1008.0)


def test_a_gateway_is_looked_for_so_often_that_heavy_loss_does_not_hide_it() -> None:
    """With half of all packets lost each way an exchange comes through once in four times, so all fail in 0.2 %."""
    times, end = send_times(exchange(*limits.PROBE_WAITS), 0.0)
    assert 0.75 ** len(times) < 0.002
    assert end == pytest.approx(limits.DISCOVERY)


@pytest.mark.conforms("NP-27")
def test_a_delete_is_sent_three_times() -> None:
    """It may stop after one or two retries."""
    times, end = send_times(exchange(*limits.RELEASE_WAITS), 0.0)
    assert times == [0.0, 0.25, 0.75]
    assert end <= limits.RELEASE


@pytest.mark.parametrize(
    ("seconds", "waits"),
    [
        (0.0, []),
        (-1.0, []),
        (0.1, [0.1]),
        (0.25, [0.25]),
        (0.3, [0.25, pytest.approx(0.05)]),
        (1.0, [0.25] * 4),
        (4.6, [0.25] * 16 + [0.5, pytest.approx(0.1)]),
        (8.0, list(limits.FAST_WAITS)),
        (99.0, list(limits.FAST_WAITS)),
    ],
)
def test_within_cuts_the_last_wait(seconds: float, waits: list[float]) -> None:
    assert list(within(limits.FAST_WAITS, seconds)) == waits


def test_within_takes_no_more_than_it_needs() -> None:
    """An endless series may be cut: nothing behind the cut is asked for."""
    endless = iter([1.0, 1.0, 1.0])
    assert list(within(endless, 1.5)) == [1.0, 0.5]
    assert len(list(endless)) <= 1


WAITS = st.lists(st.sampled_from([0.125, 0.25, 0.5, 1.0, 2.0]), max_size=8)


@pytest.mark.conforms("PC-67")
@given(WAITS, st.integers(0, 160).map(lambda eighths: eighths / 8))
@examples(100)
def test_an_exchange_ends_within_its_budget(waits: list[float], seconds: float) -> None:
    times, end = send_times(exchange(*within(waits, seconds)), 0.0)
    assert end == min(seconds, sum(waits))
    assert times == [start for start in [0.0, *accumulate(waits)][: len(waits)] if start < seconds]
