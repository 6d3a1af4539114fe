"""F20, F29: a gateway whose external address is none, or one that the Internet does not reach."""

from ipaddress import IPv4Address, IPv6Address

import pytest

from portmapper import MappingState, PortMapper, Reachability
from portmapper.model import IPAddress
from portmapper.pcp import wire as pcp
from portmapper.testing import IgdSwitches, SimulatedGateway

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("virtual_time")]

SAID = {
    "0.0.0.0": Reachability.UNKNOWN,
    "10.1.2.3": Reachability.DOUBLE_NAT,
    "192.168.1.2": Reachability.DOUBLE_NAT,
    "100.64.0.1": Reachability.CGNAT,
    "100.127.255.254": Reachability.CGNAT,
    "127.0.0.1": Reachability.UNKNOWN,
    "169.254.1.1": Reachability.UNKNOWN,
    "255.255.255.255": Reachability.UNKNOWN,
    "8.8.8.8": Reachability.PUBLIC,
}


class Addressed(SimulatedGateway):
    """Says by each protocol that its external address is another than it has."""

    def __init__(self, said: str) -> None:
        super().__init__(igd=IgdSwitches(external_address=said))
        self._said = said

    def answer_datagram(self, data: bytes, sender: IPAddress) -> list[bytes]:
        return [self._with_address(reply) for reply in super().answer_datagram(data, sender)]

    def _with_address(self, reply: bytes) -> bytes:
        told = IPv6Address(self._said) if ":" in self._said else IPv6Address(f"::ffff:{self._said}")
        if reply[:2] == bytes([pcp.VERSION, 0x81]):
            return reply[:44] + told.packed
        return reply[:8] + told.packed[-4:] if reply[:2] == b"\0\x80" else reply


@pytest.mark.conforms("F20", "F29")
@pytest.mark.parametrize("backend", ["pcp", "natpmp", "upnp"])
async def test_what_an_external_address_promises_is_said(backend: str) -> None:
    for said, promise in SAID.items():
        async with (
            Addressed(said) as simulated,
            PortMapper(gateway=simulated.gateway, backends=[backend]) as mapper,
        ):
            mapping = await mapper.map(4001)
            assert mapping.state is MappingState.MAPPED
            assert mapping.reachability is promise, said
            assert mapping.lease.external.address in {None, IPv4Address(said)}


@pytest.mark.conforms("F20")
@pytest.mark.parametrize(
    ("backend", "said", "promise"),
    [
        ("pcp", "2001:db8::1", Reachability.UNKNOWN),
        ("pcp", "fe80::1", Reachability.UNKNOWN),
        ("pcp", "2a00::1", Reachability.PUBLIC),
        ("upnp", "", Reachability.UNKNOWN),
        ("upnp", "not yet", Reachability.UNKNOWN),
        ("upnp", "::1", Reachability.UNKNOWN),
        ("upnp", "1.2.3.4.5", Reachability.UNKNOWN),
    ],
)
async def test_what_is_no_ipv4_address_is_never_called_public_unless_it_is(
    backend: str, said: str, promise: Reachability
) -> None:
    async with Addressed(said) as simulated, PortMapper(gateway=simulated.gateway, backends=[backend]) as mapper:
        assert (await mapper.map(4001)).reachability is promise
