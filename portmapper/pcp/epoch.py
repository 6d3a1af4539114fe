"""Tell from the Epoch Time whether a PCP server lost its state (RFC 6887 section 8.5). No I/O."""


class EpochWatch:
    """Remembers the last value of one server address and when it came."""

    def __init__(self) -> None:
        self._last: tuple[int, int] | None = None

    @property
    def last(self) -> int | None:
        """The last value, in seconds; None before the first."""
        return self._last[0] if self._last else None

    def observe(self, epoch: int, now: float) -> bool:
        """Take a value from any response of the server, received `now`; return whether it lost its state before."""
        last, self._last = self._last, (epoch, int(now))
        return last is not None and not _is_plausible(epoch - last[0], int(now) - last[1])


def _is_plausible(server_delta: int, client_delta: int) -> bool:
    # Whole seconds, as the RFC has it; either clock may run a sixteenth faster.
    if server_delta < -1:
        return False
    return (
        client_delta + 2 >= server_delta - server_delta // 16 and server_delta + 2 >= client_delta - client_delta // 16
    )
