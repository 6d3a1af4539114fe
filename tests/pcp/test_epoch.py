"""RFC 6887 section 8.5."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portmapper.pcp.epoch import EpochWatch


def lost(server_delta: int, client_delta: int, base: int = 100_000) -> bool:
    watch = EpochWatch()
    assert not watch.observe(base, 5000)
    return watch.observe(base + server_delta, 5000 + client_delta)


@pytest.mark.conforms("PC-70")
def test_the_first_value_is_no_loss() -> None:
    assert not EpochWatch().observe(5, 1e9)


@pytest.mark.conforms("F60", "PC-71")
def test_going_back_by_more_than_a_second_is_a_loss() -> None:
    """F60."""
    assert lost(-2, 0)
    assert not lost(-1, 0)
    assert not lost(-1, 1)
    assert lost(-1, 2)


@pytest.mark.conforms("PC-72", "PC-73")
@pytest.mark.parametrize(
    ("client_delta", "low", "high"),
    [(0, 0, 2), (1, 0, 3), (3, 1, 5), (10, 8, 12), (16, 13, 19), (32, 28, 36), (60, 55, 66), (120, 111, 130),
     (600, 561, 642), (1800, 1686, 1922), (3600, 3373, 3842), (86400, 80998, 92162)],
)  # fmt: skip
def test_the_range_of_plausible_values(client_delta: int, low: int, high: int) -> None:
    """Both ends of the table, and one beyond."""
    assert not lost(low, client_delta)
    assert not lost(high, client_delta)
    assert lost(high + 1, client_delta)
    assert low == 0 or lost(low - 1, client_delta)


@pytest.mark.conforms("F59", "PC-71", "PC-72", "PC-73")
@given(st.integers(-5, 10**6), st.integers(0, 10**6))
def test_it_equals_the_formula_of_the_rfc(server_delta: int, client_delta: int) -> None:
    """B25: against the text, with division that truncates."""
    reference = server_delta < -1 or (
        client_delta + 2 < server_delta - int(server_delta / 16) or server_delta + 2 < client_delta - client_delta // 16
    )
    assert lost(server_delta, client_delta) is reference


@pytest.mark.conforms("PC-74", "PC-152")
def test_the_current_value_is_the_baseline_even_after_a_loss() -> None:
    """The repetitions of one restart announcement are silent."""
    watch = EpochWatch()
    assert [watch.observe(epoch, now) for epoch, now in ((500, 0.0), (0, 10.0), (0, 10.3), (5, 15.0))] == [
        False, True, False, False
    ]  # fmt: skip
