"""What all tests against hostile gateways share."""

import socket
from collections.abc import Iterator

import pytest

from portmapper import limits
from tests.hostile.rude import Trap


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch: pytest.MonkeyPatch, virtual_time: None) -> None:
    """The same schedule, faster, and no multicast."""
    for name, value in {
        "FAST_WAITS": (0.2, 0.2, 0.2),
        "RELEASE_WAITS": (0.1, 0.1),
        "SEARCH_OFFSETS": (0.0, 0.05, 0.1),
        "DISCOVERY": 0.5,
        "HEAD_START": 0.05,
        "FOUND_AGAIN": 5.0,  # many gateways at once keep this process busy
        "SSDP_GROUP": "127.0.0.77",
    }.items():
        monkeypatch.setattr(limits, name, value)


@pytest.fixture
def trap() -> Iterator[Trap]:
    """Listens on the same port of two addresses."""
    one, other = (socket.socket(socket.AF_INET, socket.SOCK_STREAM) for _ in range(2))
    with one, other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.2", one.getsockname()[1]))
        for sock in (one, other):
            sock.setblocking(False)
            sock.listen()
        yield Trap(one.getsockname()[1], [one, other])
