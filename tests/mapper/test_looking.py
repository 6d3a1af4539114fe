"""What every protocol says side by side: the external address, and whether the gateway answers at all."""

from ipaddress import IPv4Address

import anyio
import pytest

from portmapper import GatewayUnreachable, PortMapper, PortMapperError
from portmapper.testing import SimulatedGateway
from portmapper.testing.igd_switches import IgdSwitches

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("virtual_time")]

HERE = IPv4Address("127.0.0.1")


async def test_every_protocol_tells_the_address_in_the_order_of_trying_and_nothing_is_left() -> None:
    async with SimulatedGateway() as simulated, PortMapper(gateway=simulated.gateway) as mapper:
        told = await mapper.external_addresses()
        assert list(told.items()) == [("pcp", HERE), ("natpmp", HERE), ("upnp", HERE)]
        assert list(simulated.table) == []


async def test_two_that_differ_are_both_told() -> None:
    igd = IgdSwitches(external_address="192.0.2.9")
    async with SimulatedGateway(igd=igd) as simulated, PortMapper(gateway=simulated.gateway) as mapper:
        told = await mapper.external_addresses()
        assert (told["natpmp"], told["upnp"]) == (HERE, IPv4Address("192.0.2.9"))


async def test_one_that_does_not_answer_is_told_with_its_reason_beside_those_that_do() -> None:
    async with SimulatedGateway(natpmp=False, upnp=False) as simulated, PortMapper(gateway=simulated.gateway) as mapper:
        told = await mapper.external_addresses()
        assert told["pcp"] == HERE
        assert all(isinstance(told[name], PortMapperError) for name in ("natpmp", "upnp"))


async def test_without_an_address_it_is_none() -> None:
    igd = IgdSwitches(external_address="")
    async with (
        SimulatedGateway(igd=igd) as simulated,
        PortMapper(gateway=simulated.gateway, backends=["upnp"]) as mapper,
    ):
        assert await mapper.external_addresses() == {"upnp": None}


async def test_a_probe_says_who_answers_in_how_many_seconds_and_changes_nothing() -> None:
    async with SimulatedGateway(upnp=False) as simulated, PortMapper(gateway=simulated.gateway) as mapper:
        begin = anyio.current_time()
        told = await mapper.probe()
        took = anyio.current_time() - begin
        for name in ("pcp", "natpmp"):
            seconds = told[name]
            assert isinstance(seconds, float)
            assert 0 <= seconds < took
        assert isinstance(told["upnp"], PortMapperError)
        assert 2 < took < 3  # all at once: the silent one costs its own time only
        assert list(simulated.table) == []


async def test_nobody_there_is_no_exception_of_a_probe() -> None:
    async with (
        SimulatedGateway(pcp=False, natpmp=False, upnp=False) as simulated,
        PortMapper(gateway=simulated.gateway, backends=["pcp", "natpmp"]) as mapper,
    ):
        told = await mapper.probe()
        assert [type(one) for one in told.values()] == [GatewayUnreachable] * 2
