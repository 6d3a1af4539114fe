"""A router of its own process: the simulated gateway at the ports where a router listens. `router ADDRESS EXTERNAL`."""

import socket
import sys
from collections.abc import Iterator
from ipaddress import IPv4Address

import anyio

from portmapper import limits
from portmapper.testing import SimulatedGateway


class Router(SimulatedGateway):
    """Listens where everybody looks for it."""

    def __init__(self, address: IPv4Address, external_address: IPv4Address) -> None:
        super().__init__(address=address, external_address=external_address, hears_group=True)
        self._ports: Iterator[int] = iter((5351, limits.SSDP_PORT))

    def _bind(self) -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sockets.append(sock)
        sock.setblocking(False)
        sock.bind((str(self._own_address), next(self._ports)))
        return sock


async def main(*addresses: str) -> None:
    async with Router(*map(IPv4Address, addresses)):
        print("ready", flush=True)
        await anyio.sleep_forever()


if __name__ == "__main__":
    anyio.run(main, *sys.argv[1:])
