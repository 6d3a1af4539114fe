"""A simulated gateway on which one call is disturbed, and what has to hold afterwards."""

import gc
import os
import sys
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
from anyio import get_running_tasks

from portmapper import limits
from portmapper.testing import SimulatedGateway

KEY = bytes(range(32))
CASES: Counter[str] = Counter()
"""How many cases were run, by kind; printed at the end."""

LATEST = limits.RELEASE + 2 * limits.GRACE
"""Seconds after which nothing is under way any more, whatever was cancelled."""


def left_on(gateway: SimulatedGateway) -> list[Any]:
    """Return the mappings and pinholes that the gateway has."""
    return [*gateway.table, *gateway.pinholes.values()]


@asynccontextmanager
async def nothing_left() -> AsyncGenerator[None]:
    """Fail if tasks or descriptors survive the block."""
    tasks, descriptors = _tasks(), _descriptors()
    yield
    for _ in range(5):
        await anyio.sleep(0)  # transports close in the next turn
    assert _tasks() <= tasks
    if _descriptors() != descriptors:
        gc.collect()  # to be told of what by its warning
    left = _descriptors() - descriptors
    assert not left, left


def _tasks() -> set[int]:
    return {task.id for task in get_running_tasks()}


def _descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd")) if sys.platform == "linux" else set()
