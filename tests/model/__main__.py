"""Live through many random schedules of faults: `python -m tests.model [HOW MANY] [FIRST SEED]`."""

import logging
import multiprocessing
import os
import sys
import time

import anyio

from tests.model.hearing import HearingWorld
from tests.model.loops import options
from tests.model.world import FAULTS, Violation, World, live

_BATCH = 50


def run_batch(first: int) -> tuple[int, list[str]]:
    """Return how many requests the schedules from seed `first` on took, and what went wrong.

    One in ten is on trio, and one in seven hears announcements.
    """
    logging.disable()
    requests, violations = 0, list[str]()
    for seed in range(first, first + _BATCH):
        loop = "asyncio" if seed % 10 else "trio"
        try:
            world = World if seed % 7 else HearingWorld
            requests += anyio.run(live, seed, world, backend=loop, backend_options=options(loop))
        except* Violation as found:
            violations += [str(one) for one in found.exceptions]
        except* BaseException as problem:  # noqa: BLE001 - whatever it is, it belongs to a seed
            violations.append(f"seed {seed}: {problem!r}")
    return requests, violations


def main(count: int, first: int) -> int:
    """Print the figures; return 1 when something happened that must never be."""
    begin, requests, violations = time.monotonic(), 0, list[str]()
    with multiprocessing.Pool(os.cpu_count()) as pool:
        for more, found in pool.imap_unordered(run_batch, range(first, first + count, _BATCH)):
            requests += more
            violations += found
    seconds = time.monotonic() - begin
    print(
        f"seeds {first} to {first + count - 1}: {count} schedules of {FAULTS} faults, {requests} requests, "
        f"{len(violations)} violations, {seconds:.0f} s"
    )
    for violation in violations[:5]:
        print(violation)
    return int(bool(violations))


if __name__ == "__main__":
    numbers = [int(text) for text in sys.argv[1:]]
    sys.exit(main(*[*numbers, *[1000, 0][len(numbers) :]]))
