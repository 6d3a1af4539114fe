"""Tell from the Seconds Since Start of Epoch whether a NAT-PMP server lost its state (RFC 6886 section 3.6). No I/O."""


class EpochWatch:
    """Remembers the last value of one server and when it came."""

    def __init__(self) -> None:
        self._last: tuple[int, float] | None = None

    @property
    def last(self) -> int | None:
        """The last value, in seconds; None before the first."""
        return self._last[0] if self._last else None

    def observe(self, epoch: int, now: float) -> bool:
        """Take a value from any packet of the server, received `now`; return whether it lost its state before.

        Only a value that is too small counts: more than 2 s below the last one plus 7/8 of the time since.
        """
        last, self._last = self._last, (epoch, now)
        if last is None:
            return False
        return 8 * epoch < 8 * last[0] + 7 * (now - last[1]) - 16
