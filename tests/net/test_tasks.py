"""Several attempts at one thing: the first that ends counts, and the others leave nothing behind."""

from collections.abc import Awaitable, Callable

import anyio
import pytest

from portmapper.net.tasks import first_of

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("virtual_time")]

NEVER = 1e6


def lasting(*seconds: float) -> tuple[Callable[[int], Awaitable[int]], list[int]]:
    """Return attempts that take so long each, and who has begun."""
    begun: list[int] = []

    async def attempt(number: int) -> int:
        begun.append(number)
        await anyio.sleep(seconds[number])
        return number

    return attempt, begun


async def test_an_attempt_that_ends_in_time_is_the_only_one() -> None:
    attempt, begun = lasting(0.9)
    assert await first_of(attempt, (1.0, 1.0)) == 0
    assert begun == [0]


async def test_the_first_to_end_counts_whenever_it_began() -> None:
    attempt, begun = lasting(NEVER, 5.0, 0.5)
    begin = anyio.current_time()
    assert await first_of(attempt, (1.0, 1.0, 1.0)) == 2
    assert begun == [0, 1, 2]
    assert anyio.current_time() - begin == pytest.approx(2.5)


async def test_the_first_attempt_may_still_end_when_no_other_is_to_begin() -> None:
    attempt, _ = lasting(60, NEVER)
    assert await first_of(attempt, (1.0,)) == 0


async def test_an_error_is_an_outcome_too_and_comes_as_it_is() -> None:
    async def refused(number: int) -> int:
        if number:
            raise ConnectionRefusedError("no")
        await anyio.sleep(NEVER)
        return 0

    with pytest.raises(ConnectionRefusedError, match="no"):
        await first_of(refused, (1.0, 1.0))


async def test_an_attempt_that_gives_up_does_not_count() -> None:
    async def attempt(number: int) -> int | None:
        await anyio.sleep(0.1 if number == 1 else 3.0)
        return None if number == 1 else number

    assert await first_of(attempt, (1.0,)) == 0


async def test_what_comes_beside_the_first_is_discarded() -> None:
    discarded: list[int] = []
    together = anyio.Event()

    async def attempt(number: int) -> int:
        if number == 1:
            together.set()
        with anyio.CancelScope(shield=True):
            await together.wait()
        return number

    kept = await first_of(attempt, (1.0,), discarded.append)
    assert sorted([kept, *discarded]) == [0, 1]


async def test_a_result_that_nobody_waits_for_any_more_is_discarded() -> None:
    discarded: list[int] = []

    async def attempt(_: int) -> int:
        scope.cancel()
        return 7

    with anyio.CancelScope() as scope:
        await first_of(attempt, (1.0,), discarded.append)
    assert scope.cancel_called
    assert discarded in ([7], [])  # the loops differ in whether the result still comes through


async def test_a_cancellation_ends_all_attempts() -> None:
    attempt, begun = lasting(NEVER, NEVER, NEVER)
    with anyio.move_on_after(1.5) as scope:
        await first_of(attempt, (1.0, 1.0))
    assert scope.cancelled_caught
    assert begun == [0, 1]
