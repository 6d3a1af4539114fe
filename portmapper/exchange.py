"""One request and its retransmissions. No I/O: bytes and the time are arguments."""

from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Exchange(Generic[T]):
    """Says what to send when, and which datagram is the answer.

    `match` gets every datagram and returns the answer or None ("not ours, keep waiting"); it must not raise for
    anything a peer can send. `waits` are the seconds to wait after the first send, the second send, and so on.
    """

    def __init__(self, request: bytes, match: Callable[[bytes], T | None], waits: Iterable[float]) -> None:
        self._request = request
        self._match = match
        self._waits = iter(waits)
        self.sent = 0
        self.spent = False
        self.deadline = float("-inf")

    def poll(self, now: float) -> bytes | None:
        """Return the datagram due at `now`, if one is; afterwards `deadline` or `spent` has moved on."""
        if self.spent or now < self.deadline:
            return None
        wait = next(self._waits, None)
        if wait is None:
            self.spent = True
            return None
        self.deadline = now + wait
        self.sent += 1
        return self._request

    def receive(self, data: bytes) -> T | None:
        """Return the answer that `data` is, or None. An invalid datagram changes nothing."""
        return self._match(data)


def within(waits: Iterable[float], seconds: float) -> Iterator[float]:
    """Yield `waits` until they add up to `seconds`; the last one is cut to fit."""
    left = seconds
    for wait in waits:
        if left <= 0:
            return
        yield min(wait, left)
        left -= wait
