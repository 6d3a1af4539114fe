"""A port is mapped though packets between this host and the router are lost (B1, B3); `make loss` prints figures."""

import os

import pytest

from tests.faults.loss_rate import AT_ONCE, measure
from tests.router.conftest import MakeLab

LONG = "PORTMAPPER_SOAK" in os.environ
# In so few attempts none may fail where one in some hundred would.
FEW_LOST = [("pcp", 60), ("natpmp", 60), ("upnp", 24)] if LONG else [("upnp", 12)]
HALF_LOST = [("pcp", 95, 24), ("natpmp", 95, 24), ("upnp", 60, 12)] if LONG else [("pcp", 90, 20)]


@pytest.mark.conforms("F37")
@pytest.mark.parametrize(("backend", "count"), FEW_LOST)
def test_a_port_is_mapped_every_time_when_a_third_is_lost_each_way(make_lab: MakeLab, backend: str, count: int) -> None:
    found = measure(make_lab(), backend, 30, count, at_once=AT_ONCE[backend])
    assert not found.problems
    assert len(found.seconds) == count


@pytest.mark.conforms("F37")
@pytest.mark.parametrize(("backend", "rate", "count"), HALF_LOST)
def test_a_port_is_mapped_mostly_when_half_is_lost_each_way(
    make_lab: MakeLab, backend: str, rate: int, count: int
) -> None:
    """Without the measures of ARCHITECTURE.md: 66 % by PCP, none by UPnP."""
    found = measure(make_lab(), backend, 50, count, at_once=AT_ONCE[backend])
    assert found.rate >= rate, found.problems
