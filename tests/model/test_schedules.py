"""B26: whatever happens to the network, what a mapping claims is true, nothing is there twice, and all ends well.

What a schedule found once has a test of its own, for a seed says something else as soon as the library asks for other
moments: `tests/mapper/test_leaving.py`, `tests/gateway/test_watch.py`, `tests/engine/test_patience.py`.
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
