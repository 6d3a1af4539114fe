"""F52, F53: whatever callbacks and readers of events do, mappings are renewed in their time and closed at the end."""

import asyncio
import logging
import random
import threading
import time
from functools import partial

import anyio
import pytest

from portmapper import Closed, Event, Mapped, MapperClosed, Mapping, PortMapper, Renewed, limits
from portmapper.holding import EventStream
from portmapper.testing import SimulatedGateway

pytestmark = pytest.mark.anyio
virtual = pytest.mark.usefixtures("virtual_time", "steady")


@pytest.fixture
def steady(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases of 20 s are renewed after 10 s."""
    monkeypatch.setattr(random, "random", lambda: 0.0)


def open_mapper(simulated: SimulatedGateway) -> PortMapper:
    return PortMapper(gateway=simulated.gateway, backends=["pcp"])


async def renewed_times(mapping: Mapping, seconds: float) -> int:
    """Return how often `mapping` is renewed in so many seconds."""
    events = mapping.events()
    await anext(events)
    count = 0
    with anyio.move_on_after(seconds):
        async for event in events:
            assert isinstance(event, Renewed)
            count += 1
    return count


@virtual
async def test_a_coroutine_function_is_told_everything_in_order_and_the_end_last() -> None:
    told: list[Event] = []

    async def callback(event: Event) -> None:
        await anyio.sleep(0.01)
        told.append(event)

    async with SimulatedGateway() as simulated, open_mapper(simulated) as mapper:
        mapping = await mapper.map(4001, lifetime=20)
        mapping.on_event(callback)
        await anyio.sleep(38)
    assert [type(event) for event in told] == [Mapped, Renewed, Renewed, Renewed, Closed]


@pytest.mark.conforms("F52")
@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_another_function_is_called_in_a_thread_where_it_may_block(loop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run of its own: at its end it takes the threads that wait for more work with it."""
    monkeypatch.setattr(limits, "MIN_RENEWAL_GAP", 0.1)  # a lease of a second is renewed here
    told: list[str] = []
    threads: set[int] = set()

    def callback(event: Event) -> None:
        time.sleep(0.4)
        threads.add(threading.get_ident())
        told.append(type(event).__name__)

    async def main() -> None:
        async with SimulatedGateway() as simulated, open_mapper(simulated) as mapper:
            mapping = await mapper.map(4001, lifetime=1)
            mapping.on_event(callback)
            assert await renewed_times(mapping, 1.8) >= 2
            await mapping.close()
            await anyio.sleep(1)

    anyio.run(main, backend=loop)
    assert threading.get_ident() not in threads
    assert (told[0], told[-1]) == ("Mapped", "Closed")


@pytest.mark.conforms("F52")
@virtual
async def test_one_that_raises_is_logged_and_told_the_rest(caplog: pytest.LogCaptureFixture) -> None:
    told: list[Event] = []

    async def callback(event: Event) -> None:
        told.append(event)
        raise RuntimeError("of no account")

    async with SimulatedGateway() as simulated, open_mapper(simulated) as mapper:
        mapping = await mapper.map(4001, lifetime=20)
        mapping.on_event(callback)
        assert await renewed_times(mapping, 38) == 3
        assert list(simulated.table)
    assert len(told) == 5
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 5
    assert "of no account" in caplog.text


@pytest.mark.parametrize("failure", [SystemExit, asyncio.CancelledError])
async def test_one_in_a_thread_that_raises_what_ends_loops_harms_nobody(
    caplog: pytest.LogCaptureFixture, failure: type[BaseException]
) -> None:
    told: list[Event] = []

    def callback(event: Event) -> None:
        told.append(event)
        raise failure("of no account")

    async with SimulatedGateway() as simulated, open_mapper(simulated) as mapper:
        mapping = await mapper.map(4001)
        mapping.on_event(callback)
        await mapping.refresh()
        assert list(simulated.table)
    assert [type(event) for event in told] == [Mapped, Renewed, Closed]
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 3


@pytest.mark.conforms("F52")
@virtual
async def test_one_that_never_comes_back_delays_nobody_and_the_end_by_half_a_second() -> None:
    others: list[Event] = []

    async def stuck(_: Event) -> None:
        await anyio.sleep_forever()

    async def callback(event: Event) -> None:
        others.append(event)

    async with SimulatedGateway() as simulated:
        async with open_mapper(simulated) as mapper:
            mapping = await mapper.map(4001, lifetime=20)
            mapping.on_event(stuck)
            mapping.on_event(callback)
            assert await renewed_times(mapping, 38) == 3
            begin = anyio.current_time()
        assert anyio.current_time() - begin == pytest.approx(limits.LAST_WORDS, abs=0.1)
        assert isinstance(others[-1], Closed)
        assert list(simulated.table) == []


@pytest.mark.conforms("F52")
@virtual
async def test_one_may_call_back_in_and_close_what_it_is_told_of() -> None:
    async with SimulatedGateway() as simulated, open_mapper(simulated) as mapper:

        async def callback(event: Event) -> None:
            if isinstance(event, Mapped):
                await mapping.refresh()
                await mapper.map(4002)
            if isinstance(event, Renewed):
                await mapping.close()

        mapping = await mapper.map(4001)
        mapping.on_event(callback)
        await anyio.sleep(1)
        assert [entry.internal.port for entry in simulated.table] == [4002]


@virtual
async def test_it_can_be_ended_and_is_refused_afterwards() -> None:
    told: list[Event] = []

    async def note(event: Event) -> None:
        told.append(event)

    async with SimulatedGateway() as simulated, open_mapper(simulated) as mapper:
        mapping = await mapper.map(4001)
        end = mapping.on_event(partial(note))
        await anyio.sleep(1)
        end()
        await mapping.refresh()
        await anyio.sleep(1)
    assert [type(event) for event in told] == [Mapped]
    with pytest.raises(MapperClosed):
        mapping.on_event(note)


@pytest.mark.conforms("F53")
@virtual
async def test_a_reader_that_never_reads_has_the_latest_state_and_little_more() -> None:
    async with SimulatedGateway() as simulated, open_mapper(simulated) as mapper:
        mapping = await mapper.map(4001)
        (mapped,) = [await anext(mapping.events())]
        stream = EventStream()
        for _ in range(1_000_000):
            stream.push(Renewed(mapped.lease))
        for _ in range(1000):
            stream.push(mapped)
        stream.push(Closed(mapped.lease))
        events = [event async for event in stream]
    assert len(events) == limits.EVENT_QUEUE
    assert isinstance(events[-1], Closed)
