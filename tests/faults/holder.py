"""Holds one mapping by PCP and prints its events; a process of its own, whose clocks can be shifted."""

import sys
from ipaddress import IPv4Address

import anyio

from portmapper import PortMapper, limits
from portmapper.model import Gateway

LOOPBACK = IPv4Address("127.0.0.1")
LIFETIME = 7200
LOOKS = 0.2
"""Seconds between two looks at the clock here, so that a test need not wait for them."""


async def main(port: int) -> None:
    """Hold it until this process is killed."""
    limits.WATCH_TICK = LOOKS
    gateway = Gateway(address=LOOPBACK, source=LOOPBACK, port=port)
    async with PortMapper(gateway=gateway, backends=["pcp"], check=None) as mapper:
        async for event in (await mapper.map(4001, lifetime=LIFETIME)).events():
            print(type(event).__name__, flush=True)


if __name__ == "__main__":
    anyio.run(main, int(sys.argv[1]), backend=sys.argv[2])
