"""A simulated gateway on the true ports of a router, with switches; run inside the router's namespace."""

import socket
from ipaddress import IPv4Address
from typing import Any

import anyio

from portmapper import limits
from portmapper.model import Endpoint, IPAddress, Protocol
from portmapper.net import clock
from portmapper.testing import SimulatedGateway
from portmapper.testing.igd_switches import IgdSwitches, WanConnection

_MAP, _RESULT_PCP, _RESULT_NATPMP = (0x81, 0x82), 3, slice(2, 4)


class Scripted(SimulatedGateway):
    """Listens on 5351 and 1900. `refuse` has the result codes of mappings by protocol, and of NAT-PMP's address."""

    def __init__(self, refuse: dict[str, int], **switches: Any) -> None:
        super().__init__(**switches)
        self._ports = iter((limits.SERVER_PORT, limits.SSDP_PORT))
        self._refuse = refuse

    def answer_datagram(self, data: bytes, sender: IPAddress) -> list[bytes]:
        """Put the refusals into the true answers."""
        return [self._refused(one) for one in super().answer_datagram(data, sender)]

    def _refused(self, answer: bytes) -> bytes:
        told = bytearray(answer)
        if told[0] == 2 and told[1] in _MAP:
            told[_RESULT_PCP] = self._refuse.get("pcp", told[_RESULT_PCP])
        elif told[0] == 0 and told[1] in _MAP and "natpmp" in self._refuse:
            told[_RESULT_NATPMP] = self._refuse["natpmp"].to_bytes(2, "big")
        elif told[0] == 0 and told[1] == 0x80 and "address" in self._refuse:
            told[_RESULT_NATPMP] = self._refuse["address"].to_bytes(2, "big")
        return bytes(told)

    def _bind(self) -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sockets.append(sock)
        sock.setblocking(False)
        sock.bind((str(self._own_address), next(self._ports)))
        return sock


def switches_of(told: dict[str, Any]) -> dict[str, Any]:
    """Return the switches of a simulated gateway in what came as JSON."""
    igd = dict(told.get("igd", {}))
    if "connections" in igd:
        igd["connections"] = tuple(WanConnection(**one) for one in igd["connections"])
    if "before_xml" in igd:
        igd["before_xml"] = igd["before_xml"].encode()
    plain: dict[str, Any] = {name: told[name] for name in ("pcp", "natpmp", "upnp") if name in told}
    addresses = {name: IPv4Address(told[name]) for name in ("external_address", "address")}
    return {"igd": IgdSwitches(**igd), **plain, **addresses, "refuse": told.get("refuse", {})}


async def main(told: dict[str, Any]) -> None:
    """Serve until killed."""
    async with Scripted(**switches_of(told)) as gateway:
        for client, port in told.get("taken", []):
            gateway.table.add(
                Protocol.TCP, Endpoint(IPv4Address(client), port), port, clock.now() + 3600, description="Mary's box"
            )
        print("ready", flush=True)
        await anyio.sleep_forever()
