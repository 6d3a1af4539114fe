"""PCP over a socket: which answers count."""

import anyio
import pytest

from portmapper.errors import GatewayTimeout, UnsupportedVersion
from portmapper.model import IPAddress
from portmapper.pcp.client import PcpClient
from portmapper.testing import SimulatedGateway

pytestmark = pytest.mark.anyio


def answering(data: str) -> SimulatedGateway:
    class Fixed(SimulatedGateway):
        def answer_datagram(self, _: bytes, sender: IPAddress) -> list[bytes]:
            return [bytes.fromhex(data)]

    return Fixed()


@pytest.mark.conforms("NP-46")
@pytest.mark.parametrize(
    "data", ["00000001", "0000000100015185", "0080000100015185", "0000000100015185cb007107", "01800001" + 40 * "0"]
)
async def test_a_refused_version_is_taken_in_every_form_seen(data: str) -> None:
    """Quirk 74: 4, 8, 12 and 24 bytes."""
    async with answering(data) as simulated:
        with pytest.raises(UnsupportedVersion), anyio.fail_after(1):
            await PcpClient(simulated.gateway, lambda _: None).announce()


async def test_a_server_cannot_refuse_the_version_that_it_names() -> None:
    """S41."""
    async with answering("02800001") as simulated:
        with pytest.raises(GatewayTimeout):
            await PcpClient(simulated.gateway, lambda _: None, lambda: (0.05,)).announce()
