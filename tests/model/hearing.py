"""The same world with ears: routers announce their restarts, and somebody forges announcements."""

import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from unittest.mock import patch

import anyio

from portmapper import limits
from portmapper.model import Gateway
from tests.model.world import World

_ANNOUNCED = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)  # seconds: RFC 6886 3.2.1, without the last ones
_FORGED = 0.01  # how probable it is in a second that somebody begins


class HearingWorld(World):
    """Dice of its own tell what is forged, so that the faults are drawn as in the deaf world."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self._forger = random.Random(seed)

    @contextmanager
    def entered(self) -> Iterator[None]:
        with super().entered(), patch("portmapper.attending.listen", self._listen):
            yield

    async def _listen(self, gateway: Gateway, ask: Callable[[], Awaitable[None]]) -> None:
        """Hear what comes in the name of `gateway`, as `announcements.listen` does."""
        (router,) = (one for one in self.routers if one.gateway == gateway)
        started, true, forged_until = router.started, list[float](), 0.0
        while True:
            await anyio.sleep(limits.CHECK_GAP)
            now = anyio.current_time()
            if router.started != started:
                started, true = router.started, [now + later for later in _ANNOUNCED]
            if self._forger.random() < _FORGED:
                forged_until = now + self._forger.choice([1.0, 30.0, 120.0])
            heard = [when for when in true if when <= now]
            true = true[len(heard) :]
            if now < forged_until or (heard and self.plugged is router):
                await ask()
