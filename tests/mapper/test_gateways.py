"""Which gateway is asked and by which protocol, what that cannot do, and who hears what of whom."""

import random
import runpy
import socket
import time
from collections.abc import Callable
from ipaddress import IPv4Address, ip_address
from typing import Any

import anyio
import pytest

from portmapper import (
    Closed,
    Endpoint,
    Feature,
    MappingRequest,
    MappingState,
    NoService,
    PortMapper,
    Protocol,
    RemoteFilter,
    RequestRefused,
    UnsupportedRequest,
    UnsupportedVersion,
    limits,
)
from portmapper.model import IPAddress
from portmapper.natpmp import wire as natpmp
from portmapper.net import clock
from portmapper.pcp import wire as pcp
from portmapper.testing import SimulatedGateway

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("virtual_time")]

HOUR = 3600
KEY = bytes(range(32))
ROUND = limits.RECOVERY_WAIT + 1
"""Long enough for everything to be renewed."""

OLDER: dict[str, Any] = {"pcp": False, "upnp": False}


class Aged(SimulatedGateway):
    """Has been up for a time."""

    uptime = 0

    @property
    def epoch(self) -> int:
        return self.uptime + super().epoch


@pytest.mark.conforms("F27", "PC-19", "PC-109")
async def test_each_gateway_gives_a_mapping_and_hears_another_nonce() -> None:
    """The same host, port and key; at another gateway somebody who knows it could take the mapping away."""
    async with SimulatedGateway() as one, PortMapper(gateway=one.gateway, key=KEY) as mapper:
        async with SimulatedGateway(address=IPv4Address("127.0.0.6")) as two:
            async with PortMapper(gateway=two.gateway, key=KEY) as second:
                mappings = [await mapper.map(4001), await second.map(4001)]
                (first_entry,), (second_entry,) = one.table, two.table
                assert first_entry.internal == second_entry.internal
                assert first_entry.nonce != second_entry.nonce
                assert [mapping.gateway.address for mapping in mappings] == [one.gateway.address, two.gateway.address]


@pytest.mark.conforms("F27", "PC-76")
@pytest.mark.parametrize("backend", ["pcp", "natpmp"])
async def test_the_epochs_of_two_gateways_are_not_compared(backend: str) -> None:
    async with Aged() as old, Aged() as young:
        old.uptime = 100_000
        async with (
            PortMapper(gateway=old.gateway, backends=[backend]) as one,
            PortMapper(gateway=young.gateway, backends=[backend]) as two,
        ):
            for mapper in (one, two, one, two):
                await mapper.map(4001 + len(mapper.mappings))
            await anyio.sleep(3 * ROUND)
            for mapper in (one, two):
                await mapper.mappings[0].refresh()
            asked = len(old.datagrams), len(young.datagrams)
            await anyio.sleep(ROUND)
            assert (len(old.datagrams), len(young.datagrams)) == asked


@pytest.mark.conforms("F27", "PC-101")
async def test_the_gateway_that_is_named_is_the_only_one_and_else_that_of_the_default_route(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with SimulatedGateway() as named, SimulatedGateway() as default:
        monkeypatch.setattr("portmapper.gateway.detect.gateways", lambda *_: (default.gateway,))
        async with PortMapper(gateway=named.gateway) as mapper:
            await mapper.map(4001)
            assert (len(list(named.table)), default.datagrams) == (1, [])
        async with PortMapper() as mapper:
            await mapper.map(4001)
            assert len(list(default.table)) == 1
        async with PortMapper(gateway="127.0.0.9") as mapper:
            assert (str(mapper.gateway), mapper.gateway.port) == ("127.0.0.9", 5351)


class Newer(SimulatedGateway):
    """Speaks PCP, but in version 3."""

    def answer_datagram(self, data: bytes, sender: IPAddress) -> list[bytes]:
        if data[0] == pcp.VERSION:
            return [pcp.UnsupportedVersionResponse(version=3).encode()]
        return super().answer_datagram(data, sender)


@pytest.mark.conforms("PC-82")
async def test_a_pcp_server_of_another_version_is_named_and_the_next_protocol_used_at_once() -> None:
    """It is asked again when the trust in the other is over: that is sooner than 30 minutes."""
    async with Newer(upnp=False) as simulated:
        async with PortMapper(gateway=simulated.gateway, backends=["pcp"]) as mapper:
            with pytest.raises(NoService) as caught:
                await mapper.map(4001)
            reason = caught.value.reasons["pcp"]
            assert isinstance(reason, UnsupportedVersion)
            assert reason.version == 3
        async with PortMapper(gateway=simulated.gateway) as mapper:
            begin = anyio.current_time()
            assert (await mapper.map(4001)).backend.name == "natpmp"
            assert anyio.current_time() == begin
            simulated.datagrams.clear()
            await mapper.map(4002)
            assert {data[0] for data in simulated.datagrams} == {natpmp.VERSION}
            await anyio.sleep(limits.BACKEND_TRUST + 1)
            await mapper.map(4003)
            assert {data[0] for data in simulated.datagrams} == {natpmp.VERSION, pcp.VERSION}


@pytest.mark.conforms("F31", "NP-74", "NP-75", "PC-83")
async def test_a_gateway_that_has_learnt_pcp_is_asked_by_it_for_new_mappings_ten_minutes_later() -> None:
    """What NAT-PMP made it renews, for as long as it is spoken."""
    async with SimulatedGateway(**OLDER) as simulated, PortMapper(gateway=simulated.gateway) as mapper:
        old = await mapper.map(4001)
        simulated._control.speaks_pcp = True
        await anyio.sleep(limits.BACKEND_TRUST - 1)
        assert (await mapper.map(4002)).backend.name == "natpmp"  # which does not prolong the trust
        await anyio.sleep(2)
        assert (await mapper.map(4003)).backend.name == "pcp"
        await anyio.sleep(2 * HOUR)
        assert old.backend.name == "natpmp"
        assert old.state is MappingState.MAPPED


@pytest.mark.conforms("NP-75", "PC-83")
async def test_a_gateway_that_restarted_is_asked_by_pcp_first_again() -> None:
    async with SimulatedGateway(**OLDER) as simulated, PortMapper(gateway=simulated.gateway) as mapper:
        old = await mapper.map(4001)
        simulated._control.speaks_pcp = True
        await anyio.sleep(60)
        simulated.reboot()
        await old.refresh()
        assert (await mapper.map(4002)).backend.name == "pcp"


@pytest.mark.conforms("NP-75", "PC-83")
async def test_a_mapping_that_natpmp_lost_comes_back_by_pcp() -> None:
    """The gateway restarts with other firmware, which speaks PCP only."""
    async with SimulatedGateway(**OLDER) as simulated, PortMapper(gateway=simulated.gateway) as mapper:
        mapping = await mapper.map(4001, lifetime=300)
        simulated._control.speaks_pcp, simulated._control.speaks_natpmp = True, False
        simulated.reboot()
        await anyio.sleep(310)
        assert mapping.state is MappingState.MAPPED
        assert mapping.backend.name == "pcp"


class Slow(SimulatedGateway):
    """Answers after `delay` seconds, and counts how many requests wait for that at once."""

    delay = 0.0
    waiting = 0
    most = 0

    async def _serve(self, sock: socket.socket, answer: Callable[[bytes, IPAddress], list[bytes]]) -> None:
        async with anyio.create_task_group() as tasks:
            while True:
                await anyio.wait_readable(sock)
                tasks.start_soon(self._answer, sock, answer, *sock.recvfrom(100))

    async def _answer(self, sock: socket.socket, answer: Callable[..., list[bytes]], data: bytes, sender: Any) -> None:
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        await anyio.sleep(self.delay)
        self.waiting -= 1
        for reply in answer(data, ip_address(sender[0])):
            sock.sendto(reply, sender)


@pytest.mark.conforms("NP-18", "NP-19")
async def test_calls_at_once_have_natpmp_asked_one_thing_after_the_other() -> None:
    async with Slow(**OLDER) as simulated, PortMapper(gateway=simulated.gateway, backends=["natpmp"]) as mapper:
        simulated.delay = 0.05
        async with anyio.create_task_group() as tasks:
            for port in range(4001, 4006):
                tasks.start_soon(mapper.map, port)
        assert simulated.most == 1


@pytest.mark.conforms("NP-60")
@pytest.mark.parametrize("apart", [0, 700], ids=["made at once", "made over an hour"])
async def test_natpmp_brings_back_one_mapping_after_the_other(apart: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, "random", lambda: 0.5)
    async with Slow(**OLDER) as simulated, PortMapper(gateway=simulated.gateway, backends=["natpmp"]) as mapper:
        for port in range(4001, 4006):
            mapping = await mapper.map(port)
            await anyio.sleep(apart)
        await anyio.sleep(10)
        simulated.reboot()
        simulated.delay = 0.1
        await mapping.refresh()
        simulated.most = 0
        await anyio.sleep(ROUND)
        assert sorted(entry.internal.port for entry in simulated.table) == list(range(4001, 4006))
        assert simulated.most == 1


@pytest.mark.conforms("F12", "NP-62", "PC-75")
@pytest.mark.parametrize("backend", ["pcp", "natpmp"])
async def test_a_wall_clock_that_is_set_is_no_loss(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Aged() as simulated, PortMapper(gateway=simulated.gateway, backends=[backend]) as mapper:
        mapping, _ = await mapper.map(4001), await mapper.map(4002)
        real = time.time()
        for days in (1000, -1000, 0):
            monkeypatch.setattr(time, "time", lambda days=days: real + 86400 * days)
            await mapping.refresh()
            simulated.datagrams.clear()
            await anyio.sleep(ROUND)
            assert simulated.datagrams == []


@pytest.mark.conforms("F12", "NP-62", "PC-75")
def test_the_clock_of_leases_is_not_the_wall_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that there is without virtual time."""
    other = time.clock_gettime
    monkeypatch.setattr(time, "time", lambda: -1.0)
    monkeypatch.setattr(time, "clock_gettime", lambda clock: -1.0 if clock == time.CLOCK_REALTIME else other(clock))
    now: Callable[[], float] = runpy.run_path(clock.__file__)["now"]
    assert 0 <= now() <= now()


KINDS: dict[Feature, dict[str, Any]] = {
    Feature.PROTOCOLS: {"protocol": Protocol("sctp")},
    Feature.ALL_PORTS: {"internal_port": 0, "all_ports": True},
    Feature.PORT_SET: {"count": 2},
    Feature.REMOTE: {"remote": (RemoteFilter.parse("127.0.2.0/24"),)},
    Feature.THIRD_PARTY: {"internal_address": IPv4Address("127.0.0.2")},
    Feature.PEER: {"peer": Endpoint(IPv4Address("127.0.0.2"), 5000)},
}


@pytest.mark.parametrize("feature", KINDS)
@pytest.mark.parametrize(("backend", "title"), [("natpmp", "NAT-PMP"), ("upnp", "UPnP IGD")])
async def test_what_a_protocol_has_no_way_to_ask_for_is_not_asked_but_said(
    backend: str, title: str, feature: Feature
) -> None:
    spoken: dict[str, Any] = {name: name == backend for name in ("pcp", "natpmp", "upnp")}
    request = MappingRequest(**{"protocol": Protocol.TCP, "internal_port": 4001, **KINDS[feature]})
    async with SimulatedGateway(**spoken) as simulated:
        async with PortMapper(gateway=simulated.gateway, allow_third_party=True) as mapper:
            with pytest.raises(NoService) as caught:
                await mapper.map_request(request)
        assert list(simulated.table) == []
        assert not [data for data in simulated.datagrams if data[:1] == b"\0" and data[1]]
    reasons = caught.value.reasons
    assert list(reasons) == ["pcp", "natpmp", "upnp"]
    if (backend, feature) == ("upnp", Feature.THIRD_PARTY):
        assert isinstance(reasons[backend], RequestRefused)  # UPnP can ask, and this gateway does not allow it
        return
    assert isinstance(reasons[backend], UnsupportedRequest)
    if (backend, feature) == ("upnp", Feature.REMOTE):
        assert str(reasons[backend]).startswith("UPnP can let in one remote host or all")
    else:
        assert str(reasons[backend]) == f"{title} has no way to ask for {feature}"
    assert str(caught.value).splitlines()[0] == (
        "no port mapping service at the gateway 127.0.0.1 that answered can do this"
    )


async def test_what_the_trusted_protocol_has_not_another_is_asked_for() -> None:
    async with SimulatedGateway() as simulated:
        async with PortMapper(gateway=simulated.gateway, backends=["natpmp", "pcp"]) as mapper:
            assert (await mapper.map(4001)).backend.name == "natpmp"
            assert (await mapper.map(4002, "sctp")).backend.name == "pcp"


def delete_all(opcode: int) -> bytes:
    """Return NAT-PMP's request to delete all mappings of the protocol with `opcode`."""
    return bytes([0, opcode]) + bytes(10)


@pytest.mark.conforms("NP-41", "NP-42")
@pytest.mark.parametrize(("protocol", "opcode"), [("udp", 1), ("tcp", 2)])
async def test_unmap_all_removes_what_other_programs_have_and_closes_what_is_held(protocol: str, opcode: int) -> None:
    async with SimulatedGateway(**OLDER) as simulated:
        async with PortMapper(gateway=simulated.gateway) as other, PortMapper(gateway=simulated.gateway) as mapper:
            (await other.map(4001, protocol)).detach()
            for port, name in [(4002, "udp"), (4003, "tcp")]:
                await mapper.map(port, name)
            streams = {mapping.protocol: mapping.events() for mapping in mapper.mappings}
            assert not set(simulated.datagrams) & {delete_all(1), delete_all(2)}  # never by itself
            simulated.datagrams.clear()
            assert await mapper.unmap_all(protocol) == ("natpmp",)
            assert [entry.protocol for entry in simulated.table] == [{"udp": "tcp", "tcp": "udp"}[protocol]]
            *_, closed = [event async for event in streams[Protocol(protocol)]]
            assert isinstance(closed, Closed)
            assert closed.error is None
            deletes = [data for data in simulated.datagrams if data[8:] == bytes(4)]
            assert [data[4:6] for data in deletes] == [bytes(2), bytes([15, 160 + {"udp": 2, "tcp": 3}[protocol]])]
            assert deletes[0] == delete_all(opcode)


@pytest.mark.conforms("NP-43")
async def test_unmap_all_that_removes_only_some_says_so_and_is_not_repeated() -> None:
    """What another program made by PCP stays."""
    async with SimulatedGateway() as simulated, PortMapper(gateway=simulated.gateway) as other:
        await other.map(4001)
        async with PortMapper(gateway=simulated.gateway) as mapper:
            with pytest.raises(NoService) as caught:
                await mapper.unmap_all("tcp")
        assert isinstance(caught.value.reasons["natpmp"], RequestRefused)
        assert simulated.datagrams.count(delete_all(2)) == 1


async def test_unmap_all_of_a_gateway_without_natpmp_says_that_it_has_no_such_thing() -> None:
    async with SimulatedGateway(natpmp=False) as simulated, PortMapper(gateway=simulated.gateway) as mapper:
        with pytest.raises(NoService) as caught:
            await mapper.unmap_all("tcp")
    for name, title in (("pcp", "PCP"), ("upnp", "UPnP IGD")):
        reason = caught.value.reasons[name]
        assert isinstance(reason, UnsupportedRequest)
        assert str(reason) == f"{title} cannot remove all tcp mappings of a host at once"


async def test_unmap_removes_an_sctp_mapping_by_pcp_alone() -> None:
    """Made by an earlier run with the same key."""
    async with SimulatedGateway() as simulated:
        async with PortMapper(gateway=simulated.gateway, key=KEY) as mapper:
            (await mapper.map(4001, "sctp")).detach()
        async with PortMapper(gateway=simulated.gateway, key=KEY) as mapper:
            assert await mapper.unmap(4001, "sctp") == ("pcp",)
        assert list(simulated.table) == []
