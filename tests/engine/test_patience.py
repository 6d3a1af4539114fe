"""S22, F25: when a lost mapping is tried for again."""

import pytest

from portmapper import GatewayTimeout, NoService, RequestRefused
from portmapper.engine.patience import patience
from portmapper.errors import PortMapperError


def refused(retry_after: float | None, *, lasting: bool = False, remembered: bool = False) -> RequestRefused:
    return RequestRefused("no", code=8, name="NO", retry_after=retry_after, lasting=lasting, remembered=remembered)


def none_of(*reasons: PortMapperError) -> NoService:
    return NoService("none", reasons={str(number): reason for number, reason in enumerate(reasons)})


@pytest.mark.parametrize(
    ("problem", "waits"),
    [
        (none_of(GatewayTimeout("silence")), [30, 60, 120, 240, 480, 900, 900]),
        (none_of(refused(None)), [30, 60, 120, 240, 480, 900, 900]),
        (none_of(refused(0.5)), [30] * 7),
        (none_of(refused(100), GatewayTimeout("silence")), [30, 60, 100, 100, 100, 100, 100]),
        (none_of(refused(700), refused(200)), [30, 60, 120, 200, 200, 200, 200]),
        (none_of(refused(30, lasting=True)), [900] * 7),
        (none_of(refused(60, lasting=True, remembered=True)), [60] * 7),
        (none_of(refused(3, lasting=True, remembered=True)), [30] * 7),
        (none_of(refused(86400, lasting=True, remembered=True)), [900] * 7),
        (none_of(refused(600, lasting=True), refused(60, remembered=True)), [60] * 7),
    ],
)
def test_the_wait_doubles_but_ends_with_the_refusal(problem: NoService, waits: list[float]) -> None:
    """Before it ends the memory answers; whatever the gateway says, it is not asked more than twice a minute."""
    assert [patience(problem, failures) for failures in range(1, 8)] == waits


def test_many_failures_do_not_overflow() -> None:
    assert patience(none_of(), 10**6) == 900
