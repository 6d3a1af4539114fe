"""RFC 6886 section 3.6."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portmapper.natpmp.epoch import EpochWatch


def watch(epoch: int = 86405, now: float = 0.0) -> EpochWatch:
    watch = EpochWatch()
    watch.observe(epoch, now)
    return watch


@pytest.mark.conforms("NP-55")
def test_the_first_value_is_no_loss() -> None:
    assert not EpochWatch().observe(0, 1e9)


@pytest.mark.conforms("NP-54")
def test_the_boundary_of_the_vector() -> None:
    """TV-08: 600 s later 86930 is expected, two below are tolerated."""
    assert not watch().observe(86928, 600)
    assert watch().observe(86927, 600)
    assert watch().observe(3, 600)


@pytest.mark.conforms("NP-56")
@given(st.integers(0, 2**32 - 1), st.floats(0, 1e9))
def test_a_value_that_is_larger_than_expected_is_never_a_loss(ahead: int, elapsed: float) -> None:
    assert not watch(0).observe(int(elapsed) + 1 + ahead, elapsed)


@pytest.mark.conforms("NP-57", "NP-63")
def test_each_value_becomes_the_baseline() -> None:
    """One reboot is told once, though its announcement is repeated."""
    watched = watch(1000)
    assert [watched.observe(epoch, now) for epoch, now in ((0, 10.0), (0, 10.25), (0, 10.75), (2, 12.0))] == [
        True, False, False, False
    ]  # fmt: skip


@pytest.mark.conforms("F59", "NP-54")
@given(st.floats(0.94, 1.06), st.lists(st.floats(0, 1e5), max_size=20))
def test_a_server_clock_that_runs_6_percent_off_is_no_loss(speed: float, gaps: list[float]) -> None:
    """F59."""
    watched, now = EpochWatch(), 0.0
    for gap in gaps:
        now += gap
        assert not watched.observe(int(now * speed), now)
