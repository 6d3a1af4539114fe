"""When to send a PCP request again (RFC 6887 section 8.1.1). No I/O: the dice are an argument."""

from collections.abc import Callable, Iterator
from itertools import islice

from portmapper import limits
from portmapper.exchange import within


def retransmission_waits(
    jitter: Callable[[], float], *, count: int = limits.PCP_COUNT, duration: float = limits.PCP_DURATION
) -> Iterator[float]:
    """Yield the seconds to wait after the first request, the second, and so on.

    `jitter` is uniform in 0..1. At most `count` requests (MRC), at most `duration` seconds in all (MRD); 0 is without
    end.
    """
    waits = islice(_waits(jitter), count or None)
    return within(waits, duration) if duration else waits


def _waits(jitter: Callable[[], float]) -> Iterator[float]:
    base = limits.PCP_FIRST
    while True:
        wait = base * (1 + limits.PCP_SPREAD * (2 * jitter() - 1))
        yield wait
        base = min(2 * wait, limits.PCP_LONGEST)
