"""What a gateway refused or did not answer: when it is asked again, and what goes on meanwhile."""

import random
import socket
from collections.abc import Callable
from ipaddress import IPv4Address

import anyio
import pytest

from portmapper import Closed, Lost, Mapping, MappingState, NoService, PortMapper, RequestRefused, limits
from portmapper.model import IPAddress
from portmapper.natpmp import wire as natpmp
from portmapper.pcp import wire as pcp
from portmapper.pcp.results import Result
from portmapper.testing import SimulatedGateway, gateway

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("virtual_time")]

HOUR, DAY = 3600, 86400
NO_RESOURCES, NOT_AUTHORIZED = Result.NO_RESOURCES, Result.NOT_AUTHORIZED

MapRequest = pcp.MapRequest | natpmp.MapRequest


def wants(asked: MapRequest) -> bool:
    """Whether it makes or renews a mapping."""
    return bool(asked.lifetime)


class Refusing(SimulatedGateway):
    """Answers the requests that `refuses` picks with `result`, which holds for `lifetime` seconds; or is silent."""

    result = 0
    lifetime = 300
    refuses: Callable[[MapRequest], bool] = staticmethod(wants)
    silent = False

    def answer_datagram(self, data: bytes, sender: IPAddress) -> list[bytes]:
        if self.silent:
            return []
        asked = decode(data)
        if asked is None or not self.result or not self.refuses(asked):
            return super().answer_datagram(data, sender)
        return [refusal(asked, self.result, self.lifetime, self.epoch).encode()]

    def asked(self) -> list[int]:
        """Return the internal ports of the mappings that were asked for since the last call."""
        decoded = [decode(data) for data in self.datagrams]
        self.datagrams.clear()
        return [one.internal_port for one in decoded if one is not None and one.lifetime]


def decode(data: bytes) -> MapRequest | None:
    """Return the request for a mapping that `data` is."""
    asked = pcp.decode_request(data) if data[0] == pcp.VERSION else natpmp.decode_request(data)
    return asked if isinstance(asked, pcp.MapRequest | natpmp.MapRequest) else None


def refusal(asked: MapRequest, result: int, lifetime: int, epoch: int) -> pcp.MapResponse | natpmp.MapResponse:
    """Return the answer that refuses."""
    if isinstance(asked, natpmp.MapRequest):
        return natpmp.MapResponse(
            protocol=asked.protocol,
            result=result,
            epoch=epoch,
            internal_port=asked.internal_port,
            external_port=0,
            lifetime=0,
        )
    return pcp.MapResponse(
        result=result,
        lifetime=lifetime,
        epoch=epoch,
        nonce=asked.nonce,
        protocol=asked.protocol,
        internal_port=asked.internal_port,
        external_port=asked.external_port,
        external_address=asked.external_address,
    )


async def refused(mapper: PortMapper, port: int, result: int) -> None:
    """Ask for a mapping and be refused by PCP."""
    with pytest.raises(NoService) as caught:
        await mapper.map(port)
    reason = caught.value.reasons["pcp"]
    assert isinstance(reason, RequestRefused)
    assert reason.code == result


async def lost(mapping: Mapping) -> None:
    """Wait until it is lost."""
    async for event in mapping.events():
        if isinstance(event, Lost):
            return


@pytest.mark.conforms("F24", "PC-46", "PC-48", "PC-52", "PC-54", "PC-64")
@pytest.mark.parametrize("result", [NOT_AUTHORIZED, Result.NETWORK_FAILURE, Result.USER_EX_QUOTA, 99])
async def test_a_refused_mapping_is_asked_for_again_when_the_error_has_ended_and_not_before(result: int) -> None:
    async with Refusing() as simulated, PortMapper(gateway=simulated.gateway, backends=["pcp"]) as mapper:
        simulated.result = result
        await refused(mapper, 4001, result)
        assert simulated.asked() == [4001]
        await anyio.sleep(299)
        await refused(mapper, 4001, result)
        assert simulated.asked() == []
        await anyio.sleep(1.1)
        await refused(mapper, 4001, result)
        assert simulated.asked() == [4001]


@pytest.mark.conforms("PC-48")
async def test_other_mappings_than_the_refused_one_are_asked_for() -> None:
    """Another port, another protocol, another wish."""
    async with Refusing() as simulated, PortMapper(gateway=simulated.gateway, backends=["pcp"]) as mapper:
        simulated.result = NOT_AUTHORIZED
        await refused(mapper, 4001, NOT_AUTHORIZED)
        simulated.result = 0
        await mapper.map(4002)
        await mapper.map(4001, "udp")
        await mapper.map(4001, external_port=21001)
        assert simulated.asked() == [4001, 4002, 4001, 4001]
        await refused(mapper, 4001, NOT_AUTHORIZED)
        assert simulated.asked() == []


@pytest.mark.conforms("PC-47", "PC-159")
async def test_an_error_that_holds_for_ever_holds_for_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway, "_TICK", HOUR)
    async with Refusing() as simulated, PortMapper(gateway=simulated.gateway, backends=["pcp"]) as mapper:
        simulated.result, simulated.lifetime = NOT_AUTHORIZED, 2**32 - 1
        await refused(mapper, 4001, NOT_AUTHORIZED)
        simulated.result = 0
        await anyio.sleep(DAY - 1)
        await refused(mapper, 4001, NOT_AUTHORIZED)
        await anyio.sleep(1.1)
        await mapper.map(4001)


@pytest.mark.conforms("F16", "PC-47")
async def test_a_mapping_that_is_granted_for_ever_is_renewed_within_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway, "_TICK", HOUR)
    ever = 2**32 - 1
    async with Refusing(min_lifetime=ever, max_lifetime=ever) as simulated:
        async with PortMapper(gateway=simulated.gateway, backends=["pcp"]) as mapper:
            mapping = await mapper.map(4001)
            assert mapping.lease.lifetime == ever
            await anyio.sleep(DAY * 5 / 8)
            assert simulated.asked() == [4001, 4001]


@pytest.mark.conforms("F25", "PC-55")
async def test_after_no_resources_no_new_mapping_is_asked_for_but_renewals_are() -> None:
    async with Refusing() as simulated, PortMapper(gateway=simulated.gateway, backends=["pcp"]) as mapper:
        held = await mapper.map(4001, lifetime=400)
        simulated.result = NO_RESOURCES
        await refused(mapper, 4002, NO_RESOURCES)
        simulated.result = 0
        simulated.asked()
        await anyio.sleep(299)
        await refused(mapper, 4003, NO_RESOURCES)
        assert simulated.asked() == [4001]
        assert held.state is MappingState.MAPPED
        await anyio.sleep(1.1)
        await mapper.map(4003)


@pytest.mark.conforms("PC-55")
async def test_after_no_resources_for_a_renewal_no_new_mapping_is_asked_for() -> None:
    async with Refusing() as simulated, PortMapper(gateway=simulated.gateway, backends=["pcp"]) as mapper:
        held = await mapper.map(4001)
        simulated.result = NO_RESOURCES
        with pytest.raises(RequestRefused):
            await held.refresh()
        simulated.result = 0
        simulated.asked()
        await refused(mapper, 4002, NO_RESOURCES)
        assert simulated.asked() == []


@pytest.mark.conforms("PC-56")
async def test_after_no_resources_for_a_release_no_new_mapping_is_asked_for() -> None:
    """Nothing at all should be sent, says the RFC; but renewals go on, or every lease would be lost."""
    async with Refusing() as simulated, PortMapper(gateway=simulated.gateway, backends=["pcp"]) as mapper:
        closing, held = await mapper.map(4001), await mapper.map(4002)
        stream = closing.events()
        simulated.result, simulated.refuses = NO_RESOURCES, lambda asked: not asked.lifetime
        await closing.close()
        *_, closed = [event async for event in stream]
        assert isinstance(closed, Closed)
        assert isinstance(closed.error, RequestRefused)
        simulated.asked()
        await anyio.sleep(299)
        await refused(mapper, 4003, NO_RESOURCES)
        assert simulated.asked() == []
        await held.refresh()
        assert simulated.asked() == [4002]
        await anyio.sleep(1.1)
        await mapper.map(4003)
        simulated.result = 0


@pytest.mark.conforms("PC-48", "PC-161")
async def test_a_refused_renewal_is_repeated_when_the_error_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, "random", lambda: 0.0)
    async with Refusing() as simulated, PortMapper(gateway=simulated.gateway, backends=["pcp"]) as mapper:
        mapping = await mapper.map(4001, lifetime=2 * HOUR)
        simulated.result, simulated.lifetime = Result.NETWORK_FAILURE, 2000
        await anyio.sleep(HOUR + 1)
        assert simulated.asked() == [4001, 4001]
        with pytest.raises(RequestRefused):
            await mapping.refresh()
        simulated.result = 0
        await anyio.sleep(1998)  # at 3/4 and 7/8 there would be attempts
        assert simulated.asked() == []
        assert mapping.state is MappingState.MAPPED
        await anyio.sleep(1.1)
        assert simulated.asked() == [4001]


@pytest.mark.conforms("PC-161")
async def test_a_mapping_that_is_lost_during_its_refusal_comes_back_after_it() -> None:
    """The error holds for longer than the lease."""
    async with Refusing() as simulated, PortMapper(gateway=simulated.gateway, backends=["pcp"]) as mapper:
        mapping = await mapper.map(4001, lifetime=600)
        simulated.result, simulated.lifetime = NOT_AUTHORIZED, 1800
        await lost(mapping)
        assert simulated.asked() == [4001, 4001]
        simulated.result = 0
        await anyio.sleep(1100)
        assert simulated.asked() == []
        await anyio.sleep(2 * limits.RETRY_LAST)
        assert mapping.state is MappingState.MAPPED


@pytest.mark.conforms("F24", "NP-82")
@pytest.mark.parametrize("result", [2, 3, 4])
async def test_natpmp_refusing_a_renewal_leaves_the_mapping_until_its_end(result: int) -> None:
    """It is tried again meanwhile, at the times of the schedule."""
    async with Refusing() as simulated, PortMapper(gateway=simulated.gateway, backends=["natpmp"]) as mapper:
        mapping = await mapper.map(4001, lifetime=HOUR)
        begin = anyio.current_time()
        simulated.result = result
        await anyio.sleep(HOUR * 0.99)
        assert mapping.state is MappingState.MAPPED
        assert len(simulated.asked()) > 4
        await lost(mapping)
        assert anyio.current_time() - begin == pytest.approx(HOUR)


@pytest.mark.conforms("F24")
@pytest.mark.parametrize(
    ("result", "gaps"),
    [
        pytest.param(2, [900, 900, 900, 900], marks=pytest.mark.conforms("NP-51"), id="not authorized"),
        pytest.param(3, [30, 60, 120, 240], marks=pytest.mark.conforms("NP-52"), id="network failure"),
        pytest.param(4, [30, 60, 120, 240, 480, 900], marks=pytest.mark.conforms("NP-52"), id="out of resources"),
    ],
)
async def test_how_often_a_lost_mapping_is_asked_for_of_natpmp(
    result: int, gaps: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What passes by itself is tried soon, then less often; what somebody has to change four times an hour."""
    monkeypatch.setattr(random, "random", lambda: 0.5)  # else give or take a quarter
    async with Refusing() as simulated, PortMapper(gateway=simulated.gateway, backends=["natpmp"]) as mapper:
        mapping = await mapper.map(4001, lifetime=600)
        simulated.result = result
        await lost(mapping)
        await anyio.sleep(1)
        for gap in gaps:
            simulated.asked()
            await anyio.sleep(gap - 2)
            assert simulated.asked() == []
            await anyio.sleep(2)
            assert simulated.asked() == [4001]


@pytest.mark.conforms("NP-52")
@pytest.mark.parametrize("backend", ["pcp", "natpmp"])
async def test_a_lost_mapping_is_asked_for_at_once_when_the_gateway_announces_itself(backend: str) -> None:
    async with Refusing() as simulated, PortMapper(gateway=simulated.gateway, backends=[backend]) as mapper:
        mapping = await mapper.map(4001, lifetime=600)
        simulated.silent = True
        await lost(mapping)
        await anyio.sleep(2 * HOUR)
        simulated.silent = False
        simulated.reboot()
        sender = simulated.control_socket
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, simulated.gateway.address.packed)
        announcement = natpmp.AddressResponse(result=0, epoch=0, address=IPv4Address("127.0.0.1"))
        sender.sendto(announcement.encode(), (limits.ALL_HOSTS, limits.ANNOUNCEMENT_PORT))
        await anyio.sleep(limits.RECOVERY_WAIT + 1)
        assert mapping.state is MappingState.MAPPED


@pytest.mark.conforms("PC-49")
async def test_a_gateway_that_restarted_is_free_of_what_it_refused_before() -> None:
    """A mapping that was not granted, and one that was not renewed."""
    async with Refusing() as simulated, PortMapper(gateway=simulated.gateway, backends=["pcp"]) as mapper:
        held, other = await mapper.map(4001), await mapper.map(4002)
        simulated.result, simulated.lifetime = NOT_AUTHORIZED, 2 * HOUR
        await refused(mapper, 4003, NOT_AUTHORIZED)
        with pytest.raises(RequestRefused):
            await held.refresh()
        simulated.result = 0
        await anyio.sleep(600)
        simulated.reboot()
        simulated.asked()
        await other.refresh()
        await anyio.sleep(limits.RECOVERY_WAIT + 1)
        assert sorted(simulated.asked()) == [4001, 4002]
        await mapper.map(4003)


@pytest.mark.conforms("NP-25", "NP-26")
@pytest.mark.parametrize("backend", ["pcp", "natpmp"])
async def test_silence_is_not_remembered(backend: str) -> None:
    """The next call asks at once, as if nothing had been."""
    async with Refusing() as simulated, PortMapper(gateway=simulated.gateway, backends=[backend]) as mapper:
        simulated.silent = True
        with pytest.raises(NoService):
            await mapper.map(4001)
        simulated.silent = False
        begin = anyio.current_time()
        await mapper.map(4001)
        assert anyio.current_time() == begin


@pytest.mark.conforms("PC-66")
@pytest.mark.parametrize("backend", ["pcp", "natpmp"])
async def test_a_lost_mapping_is_searched_for_until_it_is_closed(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway, "_TICK", HOUR)
    async with Refusing() as simulated, PortMapper(gateway=simulated.gateway, backends=[backend]) as mapper:
        mapping = await mapper.map(4001, lifetime=600)
        simulated.silent = True
        await lost(mapping)
        for _ in range(24):
            simulated.datagrams.clear()
            await anyio.sleep(HOUR)
            assert simulated.datagrams
        simulated.datagrams.clear()
        while not simulated.datagrams:
            await anyio.sleep(1)
        await mapping.close()  # while an attempt is under way
        simulated.datagrams.clear()
        await anyio.sleep(HOUR)
        assert simulated.datagrams == []


async def test_what_is_lost_comes_back_as_soon_as_another_mapping_is_made() -> None:
    """Its next attempt would be minutes away, but the gateway answers now."""
    async with Refusing() as simulated, PortMapper(gateway=simulated.gateway, backends=["natpmp"]) as mapper:
        mapping = await mapper.map(4001, lifetime=600)
        simulated.silent = True
        await lost(mapping)
        await anyio.sleep(2 * HOUR)
        simulated.silent = False
        await mapper.map(4002)
        await anyio.sleep(2 * limits.GRACE)
        assert mapping.state is MappingState.MAPPED


async def test_what_a_gateway_forgot_and_does_not_make_again_is_lost_at_once() -> None:
    """Its lease has not ended, but the gateway that gave it knows nothing of it."""
    async with Refusing() as simulated, PortMapper(gateway=simulated.gateway, backends=["pcp"]) as mapper:
        mapping = await mapper.map(4001, lifetime=HOUR)
        await anyio.sleep(60)
        simulated.reboot()
        simulated.result = NOT_AUTHORIZED
        with pytest.raises(RequestRefused):
            await mapping.refresh()  # its epoch shows that the gateway has forgotten
        await anyio.sleep(limits.RECOVERY_WAIT + 1)
        assert mapping.state is MappingState.LOST
        assert mapping.external is None
