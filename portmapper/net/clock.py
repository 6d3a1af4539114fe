"""The time that leases are counted in."""

import time
from collections.abc import Callable
from functools import partial


def _suspend_aware_clock() -> Callable[[], float]:
    # Linux: CLOCK_MONOTONIC stops in suspend, CLOCK_BOOTTIME does not. Elsewhere time.monotonic has to do.
    clock: int | None = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic if clock is None else partial(time.clock_gettime, clock)


now = _suspend_aware_clock()
"""Seconds that never go back and do not stop while the machine sleeps, where the system has such a clock."""


def wall() -> float:
    """Seconds since 1970, which other processes understand; somebody may set them back or forth."""
    return time.time()
