"""F21, F23, F33: answers that come late, to an older request than the last, or after an error of the network."""

import anyio
import pytest

from portmapper import GatewayUnreachable, MappingState, PortMapper, limits
from portmapper.model import IPAddress
from portmapper.testing import SimulatedGateway
from tests.faults.refusing import asks_to_map
from tests.faults.relay import relayed

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("virtual_time")]

both = pytest.mark.parametrize("backend", ["pcp", "natpmp"])
LIFETIME = {2: slice(4, 8), 0: slice(12, 16)}
ASKED = 7200


class Counting(SimulatedGateway):
    """Grants a second more each time, so that it shows which answer was taken."""

    def __init__(self) -> None:
        super().__init__(upnp=False)
        self.granted = ASKED

    def answer_datagram(self, data: bytes, sender: IPAddress) -> list[bytes]:
        replies = super().answer_datagram(data, sender)
        if not asks_to_map(data):
            return replies
        self.granted += 1
        where = LIFETIME[data[0]]
        return [reply[: where.start] + self.granted.to_bytes(4, "big") + reply[where.stop :] for reply in replies]


@pytest.mark.conforms("F23")
@both
@pytest.mark.parametrize("delays", [(20.0, 0.0), (2.0, 2.0)], ids=["after the newer one", "before it"])
async def test_the_answer_to_an_older_request_changes_nothing(backend: str, delays: tuple[float, float]) -> None:
    """The older one was given up. Its answer comes to a port that nobody asks from any more."""
    async with Counting() as simulated, relayed(simulated) as relay:
        async with PortMapper(gateway=relay.gateway, backends=[backend]) as mapper:
            mapping = await mapper.map(4001)
            relay.delays.extend(delays)
            with anyio.move_on_after(1):
                await mapping.refresh()
            await mapping.refresh()
            assert mapping.lease.lifetime > ASKED + 2
            assert not relay.delays
            told = mapping.lease
            await anyio.sleep(60)
            assert mapping.lease is told


@pytest.mark.conforms("F33")
@both
async def test_an_error_of_the_network_costs_a_held_mapping_nothing(backend: str) -> None:
    """Nothing listens while it is renewed, as when the router's daemon is started anew. It is asked again soon."""
    async with Counting() as simulated, relayed(simulated) as relay:
        async with PortMapper(gateway=relay.gateway, backends=[backend], check=60) as mapper:
            mapping = await mapper.map(4001)
            await anyio.sleep(10)
            async with anyio.create_task_group() as tasks:
                await tasks.start(relay.refuse, 3)
                with pytest.raises(GatewayUnreachable):
                    await mapping.refresh()
            assert mapping.state is MappingState.MAPPED
            await anyio.sleep(2 * limits.CHECK_AGAIN)
            assert mapping.problem is None


@pytest.mark.conforms("F33", "F31")
async def test_an_error_of_the_network_sends_a_new_mapping_to_the_next_protocol_at_once() -> None:
    """Whether it is a stray one cannot be seen, and waiting for an answer all the same would be a wait for nothing."""
    async with SimulatedGateway() as simulated, relayed(simulated) as relay:
        async with PortMapper(gateway=relay.gateway) as mapper, anyio.create_task_group() as tasks:
            await tasks.start(relay.refuse, 3)
            begin = anyio.current_time()
            assert (await mapper.map(4001)).lease.backend == "upnp"
            assert anyio.current_time() - begin < 0.2
