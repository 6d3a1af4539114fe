"""B21, F47: a call that is cancelled at any moment leaves nothing behind, and takes nothing that was held.

Each scenario is run again and again, cancelled at its first moment, its second, and so on, until it ends before. In
`make test` only at every 31st; `make torture` takes them all.
"""

import itertools
import os
import zlib
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import anyio
import pytest

from portmapper import Conn, EveryGateway, Mapping, MappingState, PortMapper, PortMapperError, open_mapping, pcp
from portmapper.model import IPAddress
from portmapper.testing import IgdSwitches, SimulatedGateway
from tests.faults.cancel import Strike, Where
from tests.faults.stage import CASES, KEY, LATEST, left_on, nothing_left

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("virtual_time")]

SOAK = "PORTMAPPER_SOAK" in os.environ
STEP = 1 if SOAK else 31
BACKENDS = ("pcp", "natpmp", "upnp")
ALL = (*BACKENDS, "pinhole")


class Lossy(SimulatedGateway):
    """Does what it is asked by PCP and NAT-PMP, and of its answers every second one is lost."""

    _answers = 0

    def answer_datagram(self, data: bytes, sender: IPAddress) -> list[bytes]:
        answers = super().answer_datagram(data, sender)
        self._answers += 1
        return answers if self._answers % 2 else []


@dataclass
class Stage:
    """A gateway, the backend to ask it by, and the cancellation to come."""

    gateway: SimulatedGateway
    backend: str
    strike: Strike

    def mapper(self, **options: Any) -> PortMapper:
        return PortMapper(gateway=self.gateway.gateway, backends=[self.backend], key=KEY, **options)

    @property
    def left(self) -> int:
        return len(left_on(self.gateway))


Scenario = Callable[[Stage], Awaitable[None]]


async def maps_for_a_block(stage: Stage) -> None:
    async def work() -> None:
        async with stage.mapper() as mapper:
            await mapper.map(4001)

    await stage.strike.run(work)


async def opens_for_a_block(stage: Stage) -> None:
    async def work() -> None:
        gateway = stage.gateway.gateway
        async with open_mapping(4001, gateway=gateway, backends=[stage.backend], lifetime=20) as mapping:
            await anyio.sleep(13)  # one renewal
            assert mapping.state is MappingState.MAPPED

    await stage.strike.run(work)


async def maps(stage: Stage) -> None:
    async with stage.mapper() as mapper:
        mapping = await stage.strike.run(lambda: mapper.map(4001))
        assert stage.left == len(mapper.mappings) == (mapping is not None)


async def maps_three_at_once(stage: Stage) -> None:
    async with stage.mapper() as mapper:

        async def work() -> None:
            async with anyio.create_task_group() as tasks:
                for port in (4001, 4002, 4003):
                    tasks.start_soon(mapper.map, port)

        await stage.strike.run(work)
        assert stage.left == len(mapper.mappings)


async def refreshes(stage: Stage) -> None:
    async with stage.mapper() as mapper:
        mapping = await mapper.map(4001)
        await stage.strike.run(mapping.refresh)
        assert mapping.state is MappingState.MAPPED
        assert stage.left == 1


async def refreshes_hard(stage: Stage) -> None:
    """Cancelled between the two halves it is lost, says so, and is looked for again."""
    async with stage.mapper() as mapper:
        mapping = await mapper.map(4001)
        await stage.strike.run(lambda: mapping.refresh(hard=True))
        assert stage.left == (mapping.state is MappingState.MAPPED)
        await anyio.sleep(200)
        assert mapping.state is MappingState.MAPPED
        assert stage.left == 1


async def closes(stage: Stage) -> None:
    async with stage.mapper() as mapper:
        mapping = await mapper.map(4001)
        await stage.strike.run(mapping.close)
        assert mapping.state is MappingState.CLOSED
        assert stage.left == 0


async def closes_one_of_two_twins(stage: Stage) -> None:
    async with stage.mapper() as mapper:
        one, two = await mapper.map(4001), await mapper.map(4001, "udp")
        await stage.strike.run(one.close)
        assert (one.state, two.state) == (MappingState.CLOSED, MappingState.MAPPED)
        assert stage.left == 1


async def unmaps(stage: Stage) -> None:
    """Cancelled, it has removed it or not; asked again it does."""
    async with stage.mapper() as mapper:
        (await mapper.map(4001)).detach()
    assert stage.left == 1
    async with stage.mapper() as mapper:
        await stage.strike.run(lambda: mapper.unmap(4001))
        with suppress(PortMapperError):  # nothing there any more
            await mapper.unmap(4001)


async def asks_for_the_address(stage: Stage) -> None:
    async with stage.mapper() as mapper:
        await stage.strike.run(mapper.external_address)
        assert await mapper.external_address() is not None


async def lists(stage: Stage) -> None:
    async with stage.mapper() as mapper:
        await mapper.map(4001)
        await stage.strike.run(mapper.list_mappings)
        assert len(await mapper.list_mappings()) == 1


async def restricts(stage: Stage) -> None:
    async with stage.mapper() as mapper:
        mapping = await mapper.map(4001)
        await stage.strike.run(lambda: mapping.restrict("127.0.0.0/8"))
        assert (mapping.state, stage.left) == (MappingState.MAPPED, 1)


async def removes_all(stage: Stage) -> None:
    async with stage.mapper() as mapper:
        await mapper.map(4001)
        await mapper.map(4002, "udp")
        await stage.strike.run(lambda: mapper.unmap_all("tcp"))
        assert mapper.mappings[-1].state is MappingState.MAPPED


async def maps_everywhere(stage: Stage) -> None:
    async with SimulatedGateway() as other:

        async def work() -> None:
            gateways = [stage.gateway.gateway, other.gateway]
            async with EveryGateway(gateways, backends=[stage.backend]) as everywhere:
                results = await everywhere.map(4001)
                assert all(isinstance(result, Mapping) for result in results.values())

        await stage.strike.run(work)
        assert left_on(other) == []


async def converses(stage: Stage) -> None:
    async def work() -> None:
        async with Conn.open() as conn:
            await conn.send(pcp.AnnounceRequest(client=stage.gateway.gateway.source), stage.gateway.gateway)
            await conn.receive()

    await stage.strike.run(work)


SCENARIOS: list[tuple[Scenario, tuple[str, ...]]] = [
    (maps_for_a_block, ALL),
    (opens_for_a_block, ALL),
    (maps, ALL),
    (maps_three_at_once, ALL),
    (refreshes, ALL),
    (closes, ALL),
    (closes_one_of_two_twins, BACKENDS),
    (unmaps, BACKENDS),
    (asks_for_the_address, BACKENDS),
    (lists, ("upnp",)),
    (restricts, ("pcp",)),
    (removes_all, ("natpmp",)),
    (maps_everywhere, BACKENDS),
    (converses, ("pcp",)),
]
CALLS = [pytest.param(one, name, id=f"{one.__name__}-{name}") for one, names in SCENARIOS for name in names]


def honest(backend: str) -> SimulatedGateway:
    return SimulatedGateway(pcp=False, natpmp=False, ipv6=True) if backend == "pinhole" else SimulatedGateway()


def awkward(backend: str) -> SimulatedGateway:
    """Return one that answers late, or only every second time."""
    slow = IgdSwitches(soap_delay=0.1)
    return SimulatedGateway(pcp=False, natpmp=False, ipv6=True, igd=slow) if backend == "pinhole" else Lossy(igd=slow)


async def struck(scenario: Scenario, gateway: SimulatedGateway, backend: str, strike: Strike) -> None:
    """Run a scenario, and check what has to hold at its end."""
    async with nothing_left():
        async with gateway:
            stage = Stage(gateway, "upnp" if backend == "pinhole" else backend, strike)
            with suppress(PortMapperError):
                await scenario(stage)
            assert left_on(gateway) == []


@pytest.mark.conforms("F47", "F48")
@pytest.mark.parametrize("make", [honest, awkward])
@pytest.mark.parametrize("where", ["suspension", "turn"] if SOAK else ["turn"])
@pytest.mark.parametrize(("scenario", "backend"), CALLS)
@pytest.mark.timeout(900)
async def test_cancelled_at_any_moment(
    scenario: Scenario, backend: str, where: Where, make: Callable[[str], SimulatedGateway]
) -> None:
    first = 1 + zlib.crc32(f"{scenario.__name__}{backend}".encode()) % STEP  # so that the few of a short run differ
    await cancelled_at_each(scenario, backend, where, make, itertools.count(first, STEP))


@pytest.mark.conforms("F47")
@pytest.mark.parametrize("backend", ["upnp", "pinhole"])
async def test_cancelled_while_a_slow_device_is_asked(backend: str) -> None:
    """What was made is taken back too when the time ran out over the question that comes after it."""

    def slow(_: str) -> SimulatedGateway:
        return SimulatedGateway(pcp=False, natpmp=False, ipv6=backend == "pinhole", igd=IgdSwitches(soap_delay=0.3))

    await cancelled_at_each(maps, backend, "turn", slow, itertools.count(1, 1 if SOAK else 5))


@pytest.mark.conforms("F47")
@pytest.mark.parametrize("backend", ALL)
async def test_cancelled_hard_refresh(backend: str) -> None:
    await cancelled_at_each(refreshes_hard, backend, "turn", honest, itertools.count(1))


async def cancelled_at_each(
    scenario: Scenario, backend: str, where: Where, make: Callable[[str], SimulatedGateway], moments: Iterable[int]
) -> None:
    """Run the scenario again and again, cancelled at each of the moments, until it ends before."""
    for k in moments:
        strike = Strike(where, k)
        try:
            await struck(scenario, make(backend), backend, strike)
        except BaseException as error:
            error.add_note(f"cancelled at {where} {k}")
            raise
        assert strike.seconds <= LATEST, f"cancelled at {where} {k}"
        if not strike.struck:
            return
        CASES["cancelled"] += 1
