"""The way out: whatever ends the block, the gateway is left clean, or the user knows what is left on it."""

import gc
import logging
from math import inf

import anyio
import pytest

from portmapper import Closed, GatewayTimeout, Mapping, MappingState, PortMapper, limits, open_mapping
from portmapper.model import IPAddress, Lease, MappingRequest
from portmapper.pcp.backend import PcpBackend
from portmapper.testing import IgdSwitches, SimulatedGateway

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("virtual_time")]


class Mute(SimulatedGateway):
    """Stops answering when told to."""

    silent = False

    def answer_datagram(self, data: bytes, sender: IPAddress) -> list[bytes]:
        return [] if self.silent else super().answer_datagram(data, sender)


class Boom(Exception):
    """The user's own."""


async def test_an_exception_in_the_block_comes_out_as_it_is() -> None:
    """Not inside an exception group."""
    async with SimulatedGateway() as simulated:
        with pytest.raises(Boom):
            async with open_mapping(4001, gateway=simulated.gateway):
                assert len(list(simulated.table)) == 1
                raise Boom
        assert list(simulated.table) == []


@pytest.mark.conforms("F49")
async def test_cancellation_releases() -> None:
    async with SimulatedGateway() as simulated:
        with anyio.move_on_after(0.1) as scope:
            async with open_mapping(4001, gateway=simulated.gateway):
                await anyio.sleep_forever()
        assert scope.cancelled_caught
        assert list(simulated.table) == []


@pytest.mark.conforms("F49")
async def test_a_failing_sibling_task_releases() -> None:
    async with SimulatedGateway() as simulated:
        with pytest.raises(BaseExceptionGroup) as caught:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_hold, simulated)
                while not list(simulated.table):
                    await anyio.sleep(0.01)
                raise Boom
        assert caught.group_contains(Boom)
        assert list(simulated.table) == []


async def _hold(simulated: SimulatedGateway) -> None:
    async with open_mapping(4001, gateway=simulated.gateway):
        await anyio.sleep_forever()


@pytest.mark.conforms("F47")
@pytest.mark.parametrize("backend", ["pcp", "natpmp", "upnp"])
async def test_cancellation_at_any_moment_of_the_making_leaves_nothing(backend: str) -> None:
    """F47: cancelled after k scheduling points, for every k until the call is through."""
    async with SimulatedGateway() as simulated:
        for moment in range(1, 400):
            async with PortMapper(gateway=simulated.gateway, backends=[backend]) as mapper:
                mapping = await _cancelled_after(moment, mapper)
                if mapping is not None:
                    assert moment > 3
                    break
            assert list(simulated.table) == [], f"left after {moment} scheduling points"
        else:
            pytest.fail("never came through")
        assert list(simulated.table) == []


async def _cancelled_after(moment: int, mapper: PortMapper) -> Mapping | None:
    made: list[Mapping] = []

    async def make() -> None:
        made.append(await mapper.map(4001))
        tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(make)
        for _ in range(moment):
            await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()
    return made[0] if made else None


@pytest.mark.conforms("NP-27")
@pytest.mark.parametrize("backend", ["pcp", "natpmp"])
async def test_a_dead_gateway_delays_the_exit_by_less_than_2_s_and_the_user_knows(
    backend: str, caplog: pytest.LogCaptureFixture
) -> None:
    """F43: three mappings, released side by side."""
    async with Mute() as simulated:
        async with PortMapper(gateway=simulated.gateway, backends=[backend]) as mapper:
            mappings = [await mapper.map(port, lifetime=600) for port in (4001, 4002, 4003)]
            streams = [mapping.events() for mapping in mappings]
            simulated.silent = True
            begin = anyio.current_time()
        took = anyio.current_time() - begin
        assert took <= limits.RELEASE
        for stream in streams:
            *_, closed = [event async for event in stream]
            assert isinstance(closed, Closed)
            assert isinstance(closed.error, GatewayTimeout)
            assert 599.9 - took <= closed.remaining < 600
        assert all(mapping.state is MappingState.CLOSED for mapping in mappings)
        assert [record.levelno for record in caplog.records if "not released" in record.message] == [
            logging.WARNING
        ] * 3


async def test_a_lease_that_may_have_ended_is_given_back_all_the_same() -> None:
    """It may have begun as late as its answer came, and is counted from when it was asked for."""
    slow = IgdSwitches(soap_delay=0.2)
    async with SimulatedGateway(igd=slow) as simulated:
        begin = anyio.current_time()
        async with PortMapper(gateway=simulated.gateway, backends=["upnp"]) as mapper:
            mapping = await mapper.map(4001, lifetime=3)
            (entry,) = simulated.table
            while mapping.state is MappingState.MAPPED:
                await anyio.sleep(0.01)
            assert begin + 3 < anyio.current_time() < entry.ends
        assert list(simulated.table) == []


@pytest.mark.parametrize("lost", [False, True], ids=["held", "lost"])
async def test_what_a_refresh_is_granted_while_the_mapping_is_closed_is_given_back_and_renewed_no_more(
    lost: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Mute(upnp=False) as simulated, PortMapper(gateway=simulated.gateway, backends=["pcp"]) as mapper:
        mapping = await mapper.map(4001, lifetime=600)
        if lost:
            simulated.silent = True
            await anyio.sleep(700)
            assert mapping.state is MappingState.LOST
            simulated.silent = False
        answer = PcpBackend.map

        async def late(self: PcpBackend, request: MappingRequest, *, renew: Lease | None = None) -> Lease:
            lease = await answer(self, request, renew=renew)
            await anyio.sleep(0.5)
            return lease

        monkeypatch.setattr(PcpBackend, "map", late)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(mapping.refresh)
            await anyio.sleep(0.2)
            assert len(list(simulated.table)) == 1
            tasks.start_soon(mapping.close)
        assert mapping.state is MappingState.CLOSED
        assert mapping.next_attempt == inf
        assert list(simulated.table) == []
        simulated.datagrams.clear()
        await anyio.sleep(7200)
        assert simulated.datagrams == []


@pytest.mark.conforms("F50")
async def test_a_mapping_that_was_dropped_is_still_released_by_its_mapper() -> None:
    async with SimulatedGateway() as simulated:
        async with PortMapper(gateway=simulated.gateway) as mapper:
            await mapper.map(4001)
            gc.collect()
            assert len(mapper.mappings) == 1
        assert list(simulated.table) == []
