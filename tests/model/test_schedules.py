"""B26: whatever happens to the network, what a mapping claims is true, nothing is there twice, and all ends well.

`make soak` lives through 100,000 schedules of 20 faults: `python -m tests.model 100000`.
"""

import anyio
import pytest

from tests.model.hearing import HearingWorld
from tests.model.loops import options
from tests.model.world import live

SCHEDULES = 40


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_random_faults_end_well(loop: str) -> None:
    """Seeds 0 to 39; the seed is in the failure."""
    for seed in range(SCHEDULES):
        assert anyio.run(live, seed, backend=loop, backend_options=options(loop)) > 0


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_random_faults_end_well_where_announcements_are_heard_true_and_forged_ones(loop: str) -> None:
    for seed in range(SCHEDULES // 2):
        assert anyio.run(live, seed, HearingWorld, backend=loop, backend_options=options(loop)) > 0


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_a_seed_says_all(loop: str) -> None:
    """What went wrong once goes wrong again."""
    asked = {anyio.run(live, SCHEDULES, backend=loop, backend_options=options(loop)) for _ in range(3)}
    assert len(asked) == 1


def test_what_is_granted_to_a_mapping_that_is_being_closed_comes_to_nothing() -> None:
    """It was taken for held again, never to be given up, and kept others of its port from being asked for."""
    assert anyio.run(live, 131673, backend="asyncio", backend_options=options("asyncio")) > 0


def test_a_sleep_just_after_a_change_of_the_network_is_noticed_too() -> None:
    """It fell into the quiet that is waited for after a change, and a lease was claimed that had ended."""
    assert anyio.run(live, 238288, backend="asyncio", backend_options=options("asyncio")) > 0


def test_a_lasting_refusal_that_only_memory_told_is_asked_about_when_it_ends() -> None:
    """It was waited for as for a new one, 15 minutes, though the gateway was not asked and had changed its mind."""
    assert anyio.run(live, 565440, backend="trio", backend_options=options("trio")) > 0
