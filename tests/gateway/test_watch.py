"""The watch: what rings, what is one change, and what was a sleep of the machine or the program."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest

from portmapper import limits
from portmapper.gateway.watch import Bell, PollingBell, SleepWatch, Watch
from portmapper.net import clock
from tests.moving import Ringing

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("virtual_time")]


@asynccontextmanager
async def watching(bell: Bell) -> AsyncIterator[list[bool]]:
    reactions: list[bool] = []

    async def react(slept: bool) -> None:
        reactions.append(slept)

    async with anyio.create_task_group() as tasks:
        with Watch(bell) as watched:
            tasks.start_soon(watched.run, react)
            await anyio.sleep(0.01)
            yield reactions
            tasks.cancel_scope.cancel()


async def test_a_burst_is_one_change() -> None:
    bell = Ringing()
    async with watching(bell) as reactions:
        for _ in range(9):
            bell.ring()
            await anyio.sleep(limits.QUIET / 2)
        assert reactions == []
        await anyio.sleep(1)
        assert reactions == [False]
    assert bell.closed


async def test_a_link_that_flaps_for_ever_is_looked_at_every_second() -> None:
    bell = Ringing()
    async with watching(bell) as reactions:
        for _ in range(200):
            bell.ring()
            await anyio.sleep(limits.QUIET / 2)
        assert 5 <= len(reactions) <= 12


async def test_where_the_system_tells_nothing_the_routes_are_looked_at_every_5_seconds() -> None:
    looks = 0
    state = "a"

    def snapshot() -> str:
        nonlocal looks
        looks += 1
        return state

    async with watching(PollingBell(snapshot)) as reactions:
        await anyio.sleep(60)
        assert looks <= 14
        assert reactions == []
        state = "b"
        await anyio.sleep(limits.POLL + 1)
        assert reactions == [False]
        await anyio.sleep(60)
        assert reactions == [False]


async def test_a_sleep_just_after_a_change_is_noticed_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine often sleeps when its network has just gone: that falls into the quiet that is waited for."""
    bell = Ringing()
    async with watching(bell) as reactions:
        bell.ring()
        await anyio.sleep(limits.QUIET / 2)
        real = clock.now
        monkeypatch.setattr(clock, "now", lambda: real() + 7200)
        await anyio.sleep(5)
        assert reactions == [True]


def test_a_busy_machine_is_not_asleep_and_a_stopped_one_is() -> None:
    sleep = SleepWatch(100.0)
    assert not sleep.observe(100.0 + limits.WATCH_TICK + limits.ASLEEP)
    assert not sleep.observe(105.0 + limits.WATCH_TICK + limits.ASLEEP)
    assert sleep.observe(105.1 + 2 * (limits.WATCH_TICK + limits.ASLEEP))
    assert not sleep.observe(106.0 + 2 * (limits.WATCH_TICK + limits.ASLEEP))
