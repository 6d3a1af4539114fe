"""F7: behind the address of the gateway there is another router, as when a laptop moves from one home to the next."""

from ipaddress import IPv4Address

import anyio
import pytest

from portmapper import PortMapper, limits
from portmapper.model import IPAddress
from portmapper.testing import SimulatedGateway
from tests.moving import Network

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("virtual_time")]

YOUNG, OLD = 5, 10_000_000
ELSEWHERE = IPv4Address("198.51.100.77")


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Network:
    return Network(monkeypatch)


class Swapped(SimulatedGateway):
    """Is another router when told to, which has been up for so many seconds, with another external address."""

    uptime = 100_000
    external = IPv4Address("127.0.0.1")

    @property
    def epoch(self) -> int:
        return self.uptime + super().epoch

    def become_another(self, uptime: int) -> None:
        self.reboot()
        self.uptime, self.external = uptime, ELSEWHERE

    def answer_datagram(self, data: bytes, sender: IPAddress) -> list[bytes]:
        replies = super().answer_datagram(data, sender)
        if data == b"\0\0":  # NAT-PMP's address request
            return [reply[:8] + self.external.packed for reply in replies]
        return replies


@pytest.mark.conforms("F7")
@pytest.mark.parametrize("backend", ["pcp", "natpmp", "upnp"])
@pytest.mark.parametrize("uptime", [YOUNG, OLD])
async def test_all_mappings_are_made_on_the_other_router(backend: str, uptime: int, network: Network) -> None:
    """Whether it has been up for less or for longer: that NAT-PMP can tell by the external address only."""
    async with Swapped() as simulated:
        network.gateway = simulated.gateway
        async with PortMapper(backends=[backend]) as mapper:
            for port in (4001, 4002, 4003):
                await mapper.map(port, external_port=port + 17000)
            await anyio.sleep(10)
            network.become(None)
            await anyio.sleep(5)
            simulated.become_another(uptime)
            network.become(simulated.gateway)
            await anyio.sleep(limits.RECOVERY_WAIT + 1)
            assert sorted(entry.external_port for entry in simulated.table) == [21001, 21002, 21003]
