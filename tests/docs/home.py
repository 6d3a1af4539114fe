"""A home network for the documentation: its routers are simulated gateways, whatever network this machine is in.

192.168.1.1 (eth0) is the first of them and 192.168.2.1 (wlan0) the second, if there is one; 10.2.0.1 is the first one
again, reached through a tunnel (wg0), to which no route leads. Nothing else can be reached, and no route leads anywhere
where there are none.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from ipaddress import IPv4Interface, IPv4Network, IPv6Network, ip_address
from unittest.mock import patch

import anyio

from portmapper.errors import GatewayUnreachable
from portmapper.gateway import detect
from portmapper.gateway.tables.route import Address, Network, Route
from portmapper.model import Gateway

_ROUTERS = {
    "192.168.1.1": ("eth0", IPv4Interface("192.168.1.10/24"), 100),
    "192.168.2.1": ("wlan0", IPv4Interface("192.168.2.10/24"), 600),
}
_ROUTER_6 = "fe80::1%eth0"
_TUNNEL = "10.2.0.1"


@dataclass(frozen=True, slots=True)
class Home:
    """The simulated gateways that the routes of this home lead to."""

    gateways: tuple[Gateway, ...]

    def dump(self) -> str:
        """Return it as text, for a process that is to live here."""
        return json.dumps([[str(one.address), str(one.source), one.port, one.ssdp_port] for one in self.gateways])

    @classmethod
    def load(cls, text: str) -> "Home":
        """Return the home that `dump` wrote."""
        return cls(
            tuple(
                Gateway(
                    address=ip_address(address), source=ip_address(source), interface="lo", port=port, ssdp_port=ssdp
                )
                for address, source, port, ssdp in json.loads(text)
            )
        )

    @contextmanager
    def lived_in(self) -> Iterator[None]:
        """Let this process find these gateways, and no other."""
        with patch.object(detect, "_read_routes", self._routes), patch.object(detect, "_gateway", self._gateway):
            yield

    def _routes(self) -> list[Route]:
        found: list[Route] = []
        for gateway, (address, (interface, own, metric)) in zip(self.gateways, _ROUTERS.items(), strict=False):
            if gateway.address.version == 6:
                found.append(Route(IPv6Network("::/0"), ip_address(_ROUTER_6), interface, metric))
            else:
                found.append(Route(IPv4Network("0.0.0.0/0"), ip_address(address), interface, metric))
                found.append(Route(own.network, None, interface, source=own.ip))
        return found

    def _gateway(self, address: Address, named: str | None, _network: Network | None) -> Gateway:
        if self.gateways and str(address) == _TUNNEL:
            return replace(self.gateways[0], interface="wg0", tunnel=True)
        for gateway, (router, (interface, _, _)) in zip(self.gateways, _ROUTERS.items(), strict=False):
            if str(address) in {router, _ROUTER_6, str(gateway.address)}:
                real = gateway.interface if gateway.address.version == 6 else interface  # searches need it there
                return replace(gateway, interface=named or real)
        raise GatewayUnreachable(f"cannot reach {address}: Network is unreachable")


async def nobody_works() -> None:
    """Wait for the threads of the doors without await to end: each does so with the last that it had to do."""
    with anyio.fail_after(5):
        while any(thread.name.startswith("portmapper") for thread in threading.enumerate()):
            await anyio.sleep(0.01)
