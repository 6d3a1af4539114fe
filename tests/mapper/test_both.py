"""TCP and UDP at one external port."""

import socket
from collections.abc import Iterator

import anyio
import pytest

from portmapper import Lost, Mapping, MappingState, NoService, PortMapper, PortUnavailable, limits
from portmapper.model import IPAddress, MappingRequest, Protocol
from portmapper.pairing import map_pair
from portmapper.testing import SimulatedGateway
from tests.mapper.test_main_path import ONLY, backend

__all__ = ["backend"]

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("virtual_time")]

WISH = 21610


@pytest.fixture
def taken_for_udp() -> Iterator[int]:
    """Return an external port that the simulated gateway can give for TCP only."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", WISH))
        yield WISH


def ports(simulated: SimulatedGateway) -> list[tuple[str, int]]:
    return [(entry.protocol, entry.external_port) for entry in simulated.table]


async def test_both_are_at_the_port_that_was_wished_for(backend: str) -> None:
    async with SimulatedGateway(**ONLY[backend]) as simulated, PortMapper(gateway=simulated.gateway) as mapper:
        tcp, udp = await mapper.map_both(4001, external_port=WISH)
        assert (tcp.protocol, udp.protocol) == ("tcp", "udp")
        assert ports(simulated) == [("tcp", WISH), ("udp", WISH)]


async def test_where_the_port_is_taken_for_udp_both_are_at_another(backend: str, taken_for_udp: int) -> None:
    async with SimulatedGateway(**ONLY[backend]) as simulated, PortMapper(gateway=simulated.gateway) as mapper:
        tcp, udp = await mapper.map_both(4001, external_port=taken_for_udp)
        assert tcp.external_port == udp.external_port not in {0, taken_for_udp}
        assert ports(simulated) == [("tcp", tcp.external_port), ("udp", tcp.external_port)]
        assert set(mapper.mappings) == {tcp, udp}


async def test_of_exactly_one_port_that_is_taken_nothing_is_left(backend: str, taken_for_udp: int) -> None:
    async with SimulatedGateway(**ONLY[backend]) as simulated, PortMapper(gateway=simulated.gateway) as mapper:
        with pytest.raises(NoService) as caught:
            await mapper.map_both(4001, external_port=taken_for_udp, exact=True)
        assert caught.value.refused
        assert ports(simulated) == []
        assert mapper.mappings == ()


class NeverUdpToo(SimulatedGateway):
    """Grants UDP at the port beside the one that is asked for."""

    def answer_datagram(self, data: bytes, sender: IPAddress) -> list[bytes]:
        if data[:2] == b"\0\1":
            data = data[:6] + (int.from_bytes(data[6:8]) + 1).to_bytes(2) + data[8:]
        return super().answer_datagram(data, sender)


async def test_the_tries_have_an_end_and_nothing_is_left() -> None:
    async with NeverUdpToo(**ONLY["natpmp"]) as simulated, PortMapper(gateway=simulated.gateway) as mapper:
        with pytest.raises(NoService, match="no external port for both TCP and UDP, in 8 tries") as caught:
            await mapper.map_both(4001)
        assert isinstance(caught.value.reasons["natpmp"], PortUnavailable)
        assert ports(simulated) == []
        assert mapper.mappings == ()


async def test_a_cancellation_between_the_halves_leaves_neither(backend: str) -> None:
    async with SimulatedGateway(**ONLY[backend]) as simulated, PortMapper(gateway=simulated.gateway) as mapper:
        scope = anyio.CancelScope()

        async def ask(request: MappingRequest) -> Mapping:
            if request.protocol == Protocol.UDP:
                assert ports(simulated) == [("tcp", WISH)]
                scope.cancel()
            return await mapper.map_request(request)

        request = MappingRequest(protocol=Protocol.TCP, internal_port=4001, external_port=WISH)
        with scope:
            await map_pair(ask, request, lambda: 0.5)
        assert scope.cancelled_caught
        assert ports(simulated) == []
        assert mapper.mappings == ()


async def test_a_refusal_that_holds_for_every_port_is_raised_at_once() -> None:
    """A gateway that maps no UDP at all is not asked for it eight times."""
    async with SimulatedGateway(**ONLY["natpmp"]) as simulated, PortMapper(gateway=simulated.gateway) as mapper:
        asked: list[MappingRequest] = []

        async def ask(request: MappingRequest) -> Mapping:
            asked.append(request)
            if request.protocol == Protocol.UDP:
                raise NoService("refused", reasons={"natpmp": for_good()})
            return await mapper.map_request(request)

        with pytest.raises(NoService, match="refused"):
            await map_pair(ask, MappingRequest(protocol=Protocol.TCP, internal_port=4001), lambda: 0.5)
        assert [one.protocol for one in asked] == ["tcp", "udp"]
        assert ports(simulated) == []


def for_good() -> PortUnavailable:
    error = PortUnavailable("not authorised", granted=0)
    error.lasting = True
    return error


async def test_a_half_that_cannot_stay_there_is_lost_not_moved(backend: str) -> None:
    """The router restarts, and something else is quicker to have TCP's port."""
    async with SimulatedGateway(**ONLY[backend]) as simulated, PortMapper(gateway=simulated.gateway) as mapper:
        tcp, udp = await mapper.map_both(4001, external_port=WISH)
        events = tcp.events()
        await anext(events)
        simulated.reboot()
        await anyio.sleep(0.1)  # for the gateway to let go of the port
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", WISH))
            mapper._keeper.recover()
            while not isinstance(event := await anext(events), Lost):
                assert event.lease.external.port == WISH
            await anyio.sleep(20)
            assert tcp.state is MappingState.LOST
            assert udp.external_port == WISH
            assert ports(simulated) == [("udp", WISH)]
        await anyio.sleep(300)  # it is free again, and tried for
        assert tcp.external_port == WISH


def test_ports_by_chance_are_those_that_are_meant() -> None:
    from portmapper.pairing import _by_chance

    first, last = limits.PAIR_PORTS
    assert (_by_chance(0.0), _by_chance(0.999999)) == (first, last)
