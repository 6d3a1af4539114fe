"""A program that maps, holds and renews, and after a time is cancelled or exits (on the LAN host, see test_way_out.py).

    leaver.py cancel|exit BACKEND SECONDS PORT...

Prints when it began, on the clock that all processes share.
"""

import sys
import time

import anyio

from portmapper import PortMapper

way, backend, seconds, *ports = sys.argv[1:]


async def work(mapper: PortMapper) -> None:
    """Map everything, then renew it without end."""
    mappings = [await mapper.map(int(port), ("tcp", "udp")[int(port) % 2]) for port in ports]
    while True:
        for mapping in mappings:
            await mapping.refresh()


async def be_cancelled() -> None:
    with anyio.move_on_after(float(seconds)):
        async with PortMapper(backends=[backend]) as mapper:
            await work(mapper)


async def leave_by_exit() -> None:
    async with PortMapper(backends=[backend]) as mapper:
        with anyio.move_on_after(float(seconds)):
            await work(mapper)
        sys.exit(7)


print(time.monotonic(), flush=True)
anyio.run(be_cancelled if way == "cancel" else leave_by_exit, backend=("asyncio", "trio")[int(ports[0]) % 2])
