"""RFC 6887 section 8.1.1: when a request is sent again, and for how long."""

import random
from itertools import islice, pairwise

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portmapper.errors import GatewayTimeout
from portmapper.exchange import Exchange
from portmapper.model import IPAddress
from portmapper.pcp.client import PcpClient
from portmapper.pcp.retransmission import retransmission_waits
from portmapper.testing import SimulatedGateway
from tests.fuzz import examples

HOUR = 3600
WAITS = {
    -0.1: [2.700, 4.860, 8.748, 15.746, 28.344, 51.018, 91.833, 165.299, 297.539, 535.570, 921.600],
    0: [3, 6, 12, 24, 48, 96, 192, 384, 768, 1024, 1024],
    0.1: [3.300, 7.260, 15.972, 35.138, 77.304, 170.070, 374.154, 823.138, 1126.400, 1126.400, 1126.400],
}
"""By RAND, when it is the same each time; to the millisecond."""


def steady() -> float:
    """Roll RAND 0."""
    return 0.5


class Deaf(SimulatedGateway):
    """Answers nothing, and notes when it was asked."""

    def __init__(self) -> None:
        super().__init__(natpmp=False, upnp=False)
        self.times: list[float] = []

    def answer_datagram(self, data: bytes, sender: IPAddress) -> list[bytes]:
        self.times.append(anyio.current_time())
        return []


@pytest.mark.conforms("PC-65")
@pytest.mark.parametrize("rand", WAITS)
def test_the_waits_when_rand_is_always_the_same(rand: float) -> None:
    waits = retransmission_waits(lambda: 0.5 + 5 * rand)
    assert list(islice(waits, 11)) == pytest.approx(WAITS[rand], abs=0.0005)


@pytest.mark.conforms("PC-65")
def test_rand_is_new_for_each_wait_and_the_next_doubles_what_it_made() -> None:
    dice = iter([0.0, 1.0, 0.0, 1.0])
    assert list(islice(retransmission_waits(lambda: next(dice)), 4)) == pytest.approx([2.7, 5.94, 10.692, 23.5224])
    assert list(dice) == []


@pytest.mark.conforms("PC-65")
@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
@examples(100)
def test_each_wait_is_within_a_tenth_of_double_the_one_before_or_of_1024_s(rolls: list[float]) -> None:
    dice = iter(rolls)
    waits = list(islice(retransmission_waits(lambda: next(dice)), len(rolls)))
    assert 2.7 <= min(waits) <= max(waits) <= 1126.4 + 1e-9
    for before, wait in pairwise([1.5, *waits]):
        assert wait / min(2 * before, 1024) == pytest.approx(1, abs=0.1 + 1e-9)


@pytest.mark.conforms("PC-66")
def test_by_default_there_is_no_end() -> None:
    assert next(islice(retransmission_waits(steady), 10_000, None)) == 1024


@pytest.mark.conforms("PC-67")
@pytest.mark.parametrize(
    ("count", "duration", "sends", "end"),
    [(1, 0, [0], 3), (4, 0, [0, 3, 9, 21], 45), (0, 2, [0], 2), (0, 20, [0, 3, 9], 20), (0, 21, [0, 3, 9], 21),
     (2, 20, [0, 3], 9), (10, 5, [0, 3], 5), (3, 21, [0, 3, 9], 21)],
)  # fmt: skip
def test_count_or_duration_end_it_whichever_is_first(count: int, duration: float, sends: list[int], end: int) -> None:
    exchange: Exchange[bytes] = Exchange(
        b"request", lambda _: None, retransmission_waits(steady, count=count, duration=duration)
    )
    now, times = 0.0, []
    while exchange.poll(now) is not None:
        times.append(now)
        now = exchange.deadline
    assert (times, now, exchange.spent) == (sends, end, True)


@pytest.mark.conforms("PC-67")
@given(st.randoms(use_true_random=False), st.integers(0, 20), st.floats(0.1, 5000) | st.just(0.0))
@examples(100)
def test_count_and_duration_are_never_exceeded_and_one_is_used_up(
    dice: random.Random, count: int, duration: float
) -> None:
    if not (count or duration):
        return
    waits = list(retransmission_waits(dice.random, count=count, duration=duration))
    assert len(waits) <= (count or 100)
    assert sum(waits) <= (duration or 1e6) + 1e-6
    assert len(waits) == count or sum(waits) == pytest.approx(duration)


@pytest.mark.anyio
@pytest.mark.conforms("PC-66")
async def test_a_client_asks_for_as_long_as_it_is_wanted(monkeypatch: pytest.MonkeyPatch, virtual_time: None) -> None:
    """Twelve requests in the first hour, more in the next, none after a cancellation."""
    monkeypatch.setattr(random, "random", steady)
    async with Deaf() as simulated:
        begin = anyio.current_time()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(PcpClient(simulated.gateway, lambda _: None).announce)
            await anyio.sleep(HOUR)
            sends = [time - begin for time in simulated.times]
            assert sends == pytest.approx([0, 3, 9, 21, 45, 93, 189, 381, 765, 1533, 2557, 3581])
            await anyio.sleep(HOUR)
            assert len(simulated.times) > len(sends)
            tasks.cancel_scope.cancel()
        sent = len(simulated.times)
        await anyio.sleep(HOUR)
        assert len(simulated.times) == sent


@pytest.mark.anyio
@pytest.mark.conforms("PC-67")
async def test_a_client_fails_when_its_waits_are_over(virtual_time: None) -> None:
    async with Deaf() as simulated:
        client = PcpClient(simulated.gateway, lambda _: None, lambda: retransmission_waits(steady, count=4))
        begin = anyio.current_time()
        with pytest.raises(GatewayTimeout) as caught, anyio.fail_after(HOUR):
            await client.announce()
        assert anyio.current_time() - begin == pytest.approx(45)
        assert (caught.value.sent, len(simulated.times)) == (4, 4)
