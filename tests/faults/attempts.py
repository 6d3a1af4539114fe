"""Map many ports, each with a mapper of its own that has to find the router first; started on the LAN host.

Prints a line of JSON for each: the seconds, and the error if it came to one.
"""

import json
import random
import sys

import anyio

from portmapper import PortMapper, PortMapperError

FIRST_PORT = 10_000


async def attempt(backend: str, port: int, limiter: anyio.CapacityLimiter) -> None:
    async with limiter:
        await anyio.sleep(random.random())
        begin, problem = anyio.current_time(), ""
        try:
            async with PortMapper(backends=[backend]) as mapper:
                try:
                    await mapper.map(port)
                except PortMapperError as error:
                    problem = str(error)
                seconds = anyio.current_time() - begin
        finally:
            print(json.dumps({"seconds": round(seconds, 3), "problem": problem}), flush=True)


async def main(backend: str, count: int, at_once: int) -> None:
    limiter = anyio.CapacityLimiter(at_once)
    async with anyio.create_task_group() as tasks:
        for number in range(count):
            tasks.start_soon(attempt, backend, FIRST_PORT + number, limiter)


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), backend=sys.argv[4])
