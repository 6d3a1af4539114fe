"""A gateway beside each test, and nobody who is on the way out when the next one begins."""

import threading
from collections.abc import Iterator

import pytest

from tests.aside import simulated

__all__ = ["simulated"]


@pytest.fixture(autouse=True)
def all_is_over() -> Iterator[None]:
    """Wait for the threads: a callback is called before the loop has ended that it is about."""
    yield
    for thread in threading.enumerate():
        if thread.name.startswith("portmapper"):
            thread.join(2)
