"""Many mappings at once: the gateway is found once, asked for eight at a time and a hundred a second."""

import anyio
import pytest

from portmapper import NoService, PortMapper, limits
from portmapper.model import IPAddress
from portmapper.testing import SimulatedGateway

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("virtual_time")]


class Timed(SimulatedGateway):
    """Notes when it is asked."""

    def __init__(self) -> None:
        super().__init__(upnp=False)
        self.times: list[float] = []

    def answer_datagram(self, data: bytes, sender: IPAddress) -> list[bytes]:
        self.times.append(anyio.current_time())
        return super().answer_datagram(data, sender)


async def map_all(mapper: PortMapper, count: int) -> None:
    async with anyio.create_task_group() as tasks:
        for port in range(4001, 4001 + count):
            tasks.start_soon(mapper.map, port)


async def test_the_first_of_many_finds_out_whom_to_ask() -> None:
    async with Timed() as simulated, PortMapper(gateway=simulated.gateway) as mapper:
        await map_all(mapper, 100)
        opcodes = [data[1] for data in simulated.datagrams]
        assert (opcodes.count(0), opcodes.count(1)) == (1, 100)
        assert len(mapper.mappings) == 100


@pytest.mark.conforms("F39")
async def test_a_hundred_a_second_are_asked_for() -> None:
    async with Timed() as simulated, PortMapper(gateway=simulated.gateway, backends=["pcp"]) as mapper:
        await map_all(mapper, 300)
        for begin in simulated.times:
            assert sum(begin <= time < begin + 1 for time in simulated.times) <= 1 / limits.PACE + 1
        assert simulated.times[-1] - simulated.times[0] == pytest.approx(3, abs=0.1)


@pytest.mark.conforms("F10", "F61")
async def test_renewals_that_are_due_at_once_are_asked_for_one_after_the_other() -> None:
    """As after a sleep of the machine."""
    async with Timed() as simulated, PortMapper(gateway=simulated.gateway, backends=["pcp"]) as mapper:
        await map_all(mapper, 200)
        await anyio.sleep(10)
        simulated.times.clear()
        mapper._keeper.renew_all_soon()
        await anyio.sleep(10)
        assert len(simulated.times) == 200
        gaps = [later - earlier for earlier, later in zip(simulated.times, simulated.times[1:], strict=False)]
        assert min(gaps) > limits.PACE * 0.99


async def test_when_nobody_answers_all_are_told_soon() -> None:
    """Not one search after the other."""
    failures: list[NoService] = []

    async def fail(mapper: PortMapper, port: int) -> None:
        try:
            await mapper.map(port)
        except NoService as failure:
            failures.append(failure)

    async with SimulatedGateway(pcp=False, natpmp=False, upnp=False) as simulated:
        async with PortMapper(gateway=simulated.gateway) as mapper:
            begin = anyio.current_time()
            async with anyio.create_task_group() as tasks:
                for port in range(4001, 4009):
                    tasks.start_soon(fail, mapper, port)
            assert len(failures) == 8
            assert anyio.current_time() - begin < 2 * limits.DISCOVERY + 0.3
