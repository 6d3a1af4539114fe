"""F14 to F16: leases that are shorter or longer than asked for."""

import random

import anyio
import pytest

from portmapper import MappingState, PortMapper, limits
from portmapper.testing import IgdSwitches, SimulatedGateway

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("virtual_time")]

every_protocol = pytest.mark.parametrize("backend", ["pcp", "natpmp", "upnp"])
MINUTE, HOUR = 60, 3600
ALWAYS = 2**32 - 1


def granting(lifetime: int, *, at_least: int = 1) -> SimulatedGateway:
    return SimulatedGateway(min_lifetime=at_least, max_lifetime=lifetime, igd=IgdSwitches(max_lease=lifetime))


def asked_for(simulated: SimulatedGateway) -> int:
    """Return how often a mapping was asked for, by whatever protocol."""
    datagrams = sum(data[1] != 0 for data in simulated.datagrams)
    return datagrams + sum(call.name.startswith("Add") for call in simulated.calls)


@pytest.mark.conforms("F16", "PC-88")
@every_protocol
@pytest.mark.parametrize("lifetime", [1, 2, 3, 5, 7])
async def test_a_lease_of_seconds_costs_15_requests_a_minute_at_most(backend: str, lifetime: int) -> None:
    """One of more than 4 s is held without a gap all the same."""
    async with (
        granting(lifetime) as simulated,
        PortMapper(gateway=simulated.gateway, backends=[backend]) as mapper,
    ):
        mapping = await mapper.map(4001)
        assert mapping.lease.lifetime == lifetime
        lost = 0
        for _ in range(10 * MINUTE):
            await anyio.sleep(0.1)
            lost += mapping.state is MappingState.LOST
        assert asked_for(simulated) - 1 <= MINUTE / limits.MIN_RENEWAL_GAP
        assert bool(lost) is (lifetime <= limits.MIN_RENEWAL_GAP)


@pytest.mark.conforms("F15")
@pytest.mark.parametrize("backend", ["pcp", "natpmp"])
async def test_a_lease_that_is_longer_than_asked_for_is_renewed_as_it_was_granted(
    backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(random, "random", lambda: 0.0)
    async with (
        granting(2 * HOUR, at_least=HOUR) as simulated,
        PortMapper(gateway=simulated.gateway, backends=[backend]) as mapper,
    ):
        mapping = await mapper.map(4001, lifetime=120)
        assert mapping.lease.lifetime == HOUR
        await anyio.sleep(HOUR / 2 - 1)
        assert asked_for(simulated) == 1
        await anyio.sleep(2)
        assert asked_for(simulated) == 2


@pytest.mark.conforms("F15")
@every_protocol
async def test_a_longer_lease_that_ends_sooner_than_it_said_is_noticed_by_the_periodic_look(backend: str) -> None:
    """Nobody has to rely on more than was asked for."""
    async with (
        granting(2 * HOUR, at_least=HOUR) as simulated,
        PortMapper(gateway=simulated.gateway, backends=[backend], check=MINUTE) as mapper,
    ):
        await mapper.map(4001, external_port=21001, lifetime=120)
        await anyio.sleep(120)
        simulated.table.clear()
        await anyio.sleep(MINUTE + 1)
        assert [entry.external_port for entry in simulated.table] == [21001]
