"""A gateway beside each test."""

from collections.abc import Iterator

import pytest

from tests.aside import Besides, aside


@pytest.fixture
def simulated() -> Iterator[Besides]:
    """Return one that runs in another thread."""
    with aside(Besides()) as gateway:
        yield gateway
