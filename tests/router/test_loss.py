"""A port is mapped though packets between this host and the router are lost (B1, B3); `make loss` prints figures."""

import pytest

from tests.faults.loss_rate import measure
from tests.router.conftest import MakeLab

# In so few attempts none may fail where one in some hundred would: 50 % is left to `make loss`.
CASES = [("pcp", 30, 60), ("natpmp", 30, 60), ("upnp", 30, 24)]


@pytest.mark.conforms("F37")
@pytest.mark.parametrize(("backend", "percent", "count"), CASES)
def test_a_port_is_mapped_through_loss(make_lab: MakeLab, backend: str, percent: int, count: int) -> None:
    found = measure(make_lab(), backend, percent, count, at_once=count // 3)
    assert not found.problems
    assert len(found.seconds) == count


@pytest.mark.conforms("F37")
@pytest.mark.parametrize("backend", ["pcp", "upnp"])
def test_most_are_mapped_when_half_of_all_packets_are_lost_each_way(make_lab: MakeLab, backend: str) -> None:
    """Without the measures of ARCHITECTURE.md: 66 % by PCP, none by UPnP."""
    found = measure(make_lab(), backend, 50, 12, at_once=6)
    assert found.rate >= (95 if backend == "pcp" else 60), found.problems
