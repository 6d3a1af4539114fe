"""What routers make of pinholes for IPv6."""

from contextlib import suppress
from dataclasses import replace
from typing import Any

import anyio
import pytest

from portmapper import Closed, MappingState, NoService, RequestRefused, UnsupportedRequest, limits
from portmapper.model import IPAddress, MappingRequest, Protocol
from portmapper.net import stream
from portmapper.testing import IgdSwitches, SimulatedGateway
from portmapper.upnp.client import IgdClient
from portmapper.upnp.pinholes import Pinholes
from portmapper.upnp.search import find_device
from tests.quirks.routers import mapper_at, named, options, quirky, refusal_code

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("virtual_time")]

FIREWALL = "urn:schemas-upnp-org:service:WANIPv6FirewallControl:1"
ADD, UPDATE, DELETE, PACKETS = "AddPinhole", "UpdatePinhole", "DeletePinhole", "GetPinholePackets"


def firewall(**switches: Any) -> SimulatedGateway:
    """Return a router by IPv6."""
    return quirky(ipv6=True, **switches)


def arguments(router: SimulatedGateway, name: str) -> list[list[tuple[str, str]]]:
    """Return the arguments of each request of a name, in order."""
    return [list(call.arguments.items()) for call in named(router, name)]


# --- The requests -----------------------------------------------------------------------------------------------------


@pytest.mark.conforms("Q-72d", "UP-117", "UP-118", "UP-121", "UP-122", "UP-125", "UP-126", "UP-133")
async def test_a_pinhole_from_the_first_to_the_last_request() -> None:
    """One for each protocol, for any remote host and port, and by numbers throughout."""
    async with firewall() as router, mapper_at(router) as mapper:
        tcp, udp = await mapper.map(4001), await mapper.map(4002, "udp", lifetime=600)
        assert (str(tcp.external_address()), tcp.external_port) == ("::1", 4001)
        assert {(one.port, one.protocol) for one in router.pinholes.values()} == {(4001, 6), (4002, 17)}
        await udp.refresh()
        await udp.close()
        await tcp.close()
        assert router.pinholes == {}
        assert {call.service_type for call in router.calls} == {FIREWALL}
        flow = [("RemoteHost", ""), ("RemotePort", "0"), ("InternalClient", "::1")]
        assert arguments(router, ADD) == [
            [*flow, ("InternalPort", "4001"), ("Protocol", "6"), ("LeaseTime", "7200")],
            [*flow, ("InternalPort", "4002"), ("Protocol", "17"), ("LeaseTime", "600")],
        ]
        assert arguments(router, UPDATE) == [[("UniqueID", "2"), ("NewLeaseTime", "600")]]
        assert arguments(router, DELETE) == [[("UniqueID", "2")], [("UniqueID", "1")]]


@pytest.mark.conforms("Q-72d")
async def test_a_remote_host_is_a_filter() -> None:
    async with firewall() as router, mapper_at(router) as mapper:
        await mapper.map(4001, remote="[2001:db8::7]:443")
        (pinhole,) = router.pinholes.values()
        assert (pinhole.remote_host, pinhole.remote_port) == ("2001:db8::7", 443)
        with pytest.raises(NoService) as caught:
            await mapper.map(4002, remote="2001:db8::/64")
        assert isinstance(caught.value.reasons["upnp"], UnsupportedRequest)


@pytest.mark.conforms("Q-68", "Q-72d", "UP-63", "UP-131")
async def test_miniupnpd_wants_a_pinhole_asked_for_from_its_own_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host has several by IPv6, and the system would choose another: each connection is bound to the one."""
    sources: list[IPAddress | None] = []
    connect = stream.connect

    async def note(address: IPAddress, port: int, *, source: IPAddress | None = None) -> Any:
        sources.append(source)
        return await connect(address, port, source=source)

    monkeypatch.setattr(stream, "connect", note)
    async with firewall(foreign_pinhole_code=606) as router, mapper_at(router) as mapper:
        mapping = await mapper.map(4001)
        await mapping.refresh()
        await mapping.close()
        assert set(sources) == {router.gateway.source}
        assert {request.sender for request in router.requests} == {router.gateway.source}


@pytest.mark.conforms("UP-131")
async def test_a_pinhole_for_another_host_is_refused() -> None:
    async with firewall() as router, mapper_at(router, allow_third_party=True) as mapper:
        with pytest.raises(NoService, match="606 ActionNotAuthorized") as caught:
            await mapper.map(4001, internal_address="2001:db8::9")
        assert caught.value.lasting
        assert router.pinholes == {}


@pytest.mark.conforms("UP-123")
@pytest.mark.parametrize("lifetime", [86400, 86401, 2_000_000])
async def test_a_pinhole_is_for_a_day_at_most(lifetime: int) -> None:
    async with firewall() as router, mapper_at(router) as mapper:
        mapping = await mapper.map(4001, lifetime=lifetime)
        await mapping.refresh()
        assert mapping.lease.lifetime == 86400
        assert arguments(router, ADD)[0][-1] == ("LeaseTime", "86400")
        assert arguments(router, UPDATE)[0][-1] == ("NewLeaseTime", "86400")


@pytest.mark.conforms("UP-58", "UP-124")
async def test_a_pinhole_whose_answer_is_lost_is_no_second_one() -> None:
    """The same again tells the id of the one that is there, by which it is closed at the end."""

    class Losing(SimulatedGateway):
        def answer_http(self, method: str, path: str, body: bytes, sender: IPAddress) -> tuple[int, bytes]:
            if f"<u:{ADD} ".encode() in body:  # the answer to this one is lost, and no other
                self._front.switches = IgdSwitches()
            return super().answer_http(method, path, body, sender)

    async with Losing(**options(ipv6=True, loses_answers_to=frozenset({ADD}))) as router:
        async with mapper_at(router) as mapper:
            with suppress(NoService):
                await mapper.map(4001)
            assert len(named(router, ADD)) == 2
        assert (router.pinholes, router._igd.pinholes._last) == ({}, 1)


@pytest.mark.conforms("UP-124")
async def test_a_pinhole_that_an_earlier_run_left_is_taken_over() -> None:
    async with firewall() as router:
        async with mapper_at(router) as earlier:
            (await earlier.map(4001)).detach()
        async with mapper_at(router) as mapper:
            await mapper.map(4001)
            assert list(router.pinholes) == [1]
        assert router.pinholes == {}


@pytest.mark.conforms("Q-70", "UP-127", "UP-128", "UP-129")
async def test_nothing_depends_on_what_many_do_not_offer() -> None:
    """Whether a pinhole works is never asked, whether it is there only after a restart."""
    optional = {"CheckPinholeWorking": 602, PACKETS: 602, "GetOutboundPinholeTimeout": 602}
    async with firewall(refuses=optional) as router, mapper_at(router) as mapper:
        mapping = await mapper.map(4001)
        await mapping.backend.check()
        await anyio.sleep(limits.RECOVERY_WAIT + 1)
        await mapping.refresh()
        await mapping.close()
        assert [call.name for call in router.calls] == ["GetFirewallStatus", ADD, PACKETS, UPDATE, DELETE]


@pytest.mark.conforms("UP-127", "UP-128", "UP-129")
async def test_what_a_router_tells_of_a_pinhole_if_it_is_asked() -> None:
    """That no packet has come is no failure; the timeout of outgoing packets has nothing to do with the lease."""
    async with firewall() as router:
        device = await find_device(router.gateway, timeout=2)
        assert device.description.firewall is not None
        pinholes = Pinholes(IgdClient(device.description.firewall, device.route), router.gateway.source)
        request = MappingRequest(protocol=Protocol.TCP, internal_port=4001, lifetime=600)
        number = await pinholes.add(request)
        assert (await pinholes.packets(number), await pinholes.is_working(number)) == (0, None)
        router.pinholes[number].packets = 3
        assert (await pinholes.packets(number), await pinholes.is_working(number)) == (3, True)
        assert await pinholes.outbound_timeout(request) == 120
        with pytest.raises(RequestRefused, match="704 NoSuchEntry"):
            await pinholes.is_working(number + 1)
        flow = ["RemoteHost", "RemotePort", "InternalClient", "InternalPort", "Protocol"]
        assert [name for name, _ in arguments(router, "GetOutboundPinholeTimeout")[0]] == flow


# --- Firewalls that let in all, or nothing ----------------------------------------------------------------------------


@pytest.mark.conforms("UP-119")
async def test_a_firewall_that_is_off_needs_no_pinhole() -> None:
    """It may be switched on later: that is seen at the next renewal."""
    async with firewall(firewall_enabled=False) as router, mapper_at(router) as mapper:
        mapping = await mapper.map(4001, lifetime=600)
        assert (mapping.state, mapping.external_port, mapping.lease.permanent) == (MappingState.MAPPED, 4001, True)
        await mapping.refresh()
        assert named(router, ADD) == []
        router._igd.pinholes.switches = replace(router._igd.switches, firewall_enabled=True)
        await anyio.sleep(600 * 5 / 8)
        assert (len(router.pinholes), mapping.lease.lifetime) == (1, 600)
        await mapping.close()
        assert router.pinholes == {}


@pytest.mark.conforms("UP-120", "UP-130")
async def test_a_firewall_that_allows_no_pinholes_is_not_asked_for_one() -> None:
    async with firewall(inbound_allowed=False) as router, mapper_at(router) as mapper:
        with pytest.raises(NoService, match="703 InboundPinholeNotAllowed") as caught:
            await mapper.map(4001)
        assert caught.value.lasting
        assert named(router, ADD) == []


@pytest.mark.conforms("UP-130")
@pytest.mark.parametrize(
    ("code", "name", "lasting"),
    [
        (606, "ActionNotAuthorized", True),
        (701, "PinholeSpaceExhausted", False),
        (702, "FirewallDisabled", False),
        (705, "ProtocolNotSupported", True),
        (708, "WildCardNotPermittedInSrcIP", False),
    ],
)
async def test_a_refusal_means_what_the_firewall_means_by_it(code: int, name: str, lasting: bool) -> None:
    async with firewall(refuses={ADD: code}) as router, mapper_at(router) as mapper:
        with pytest.raises(NoService) as caught:
            await mapper.map(4001)
        reason = caught.value.reasons["upnp"]
        assert isinstance(reason, RequestRefused)
        assert (reason.code, reason.name, reason.lasting) == (code, name, lasting)
        assert len(named(router, ADD)) == 1


@pytest.mark.conforms("UP-130")
async def test_a_firewall_that_is_full() -> None:
    async with firewall(max_pinholes=0) as router:
        assert await refusal_code(router) == 701


@pytest.mark.conforms("UP-117")
async def test_a_router_without_the_service_is_a_reason() -> None:
    async with firewall(firewall=False) as router, mapper_at(router) as mapper:
        with pytest.raises(NoService, match="no service that opens pinholes"):
            await mapper.map(4001)


# --- As time goes by --------------------------------------------------------------------------------------------------


@pytest.mark.conforms("UP-133", "UP-95")
async def test_a_pinhole_is_extended_in_time() -> None:
    async with firewall() as router, mapper_at(router) as mapper:
        await mapper.map(4001, lifetime=600)
        for _ in range(60):
            await anyio.sleep(60)
            assert list(router.pinholes) == [1]
        assert len(named(router, ADD)) == 1
        assert len(named(router, UPDATE)) <= 3600 / 300


@pytest.mark.conforms("UP-132", "UP-96")
async def test_pinholes_that_are_forgotten_are_opened_again() -> None:
    """The first that is missed leads to the others."""
    async with firewall() as router, mapper_at(router) as mapper:
        first = await mapper.map(4001)
        await mapper.map(4002, lifetime=86400)
        router.reboot()
        assert router.pinholes == {}
        await first.refresh()
        await anyio.sleep(limits.RECOVERY_WAIT + 1)
        assert sorted(one.port for one in router.pinholes.values()) == [4001, 4002]
    assert router.pinholes == {}


@pytest.mark.conforms("UP-127", "UP-132")
async def test_a_look_at_a_pinhole_shows_that_it_was_forgotten() -> None:
    async with firewall() as router, mapper_at(router) as mapper:
        mapping = await mapper.map(4001)
        await mapping.backend.check()
        await anyio.sleep(limits.RECOVERY_WAIT + 1)
        assert len(named(router, ADD)) == 1
        router.reboot()
        await mapping.backend.check()
        await anyio.sleep(limits.RECOVERY_WAIT + 1)
        assert len(named(router, ADD)) == 2


@pytest.mark.conforms("UP-126")
async def test_a_pinhole_that_is_gone_already_is_closed_without_complaint() -> None:
    async with firewall() as router, mapper_at(router) as mapper:
        mapping = await mapper.map(4001)
        events = mapping.events()
        router.reboot()
        await mapping.close()
        *_, closed = [event async for event in events]
        assert isinstance(closed, Closed)
        assert closed.error is None
