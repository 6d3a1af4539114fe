"""UPnP IGD, as a real miniupnpd understands it."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from ipaddress import IPv4Address
from typing import TypeVar

import pytest

from portmapper import MapperClosed, Mapping, NoService, PortMapper
from portmapper.backend import BackendOptions
from portmapper.gateway.detect import gateway_at
from portmapper.model import ListedMapping, Protocol
from portmapper.net import http
from portmapper.upnp.backend import UpnpBackend
from portmapper.upnp.client import IgdClient
from portmapper.upnp.faults import Fault
from portmapper.upnp.search import find_device
from tests.router.conftest import MakeLab
from tests.router.lab import (
    EXTERNAL,
    GATEWAY,
    GATEWAY_6,
    LAN_ADDRESS,
    LAN_ADDRESS_6,
    NEIGHBOUR_ADDRESS,
    TOKEN,
    WAN_ADDRESS,
    Lab,
    answering,
)

T = TypeVar("T")


def with_mapper(
    lab: Lab, work: Callable[[PortMapper], Awaitable[T]], *, host: str | None = None, to: str = GATEWAY
) -> T:
    """Do `work` with a mapper on the LAN host (or another) that knows UPnP alone."""

    async def conversation() -> T:
        async with PortMapper(gateway=to, backends=["upnp"]) as mapper:
            return await work(mapper)

    return lab.ask(conversation, host)


def soap(lab: Lab, name: str, *, host: str | None = None, **arguments: str | int) -> dict[str, str]:
    """Send one request to the WANIPConnection service, past all checks of ours."""

    async def conversation() -> dict[str, str]:
        gateway = gateway_at(GATEWAY)
        device = await find_device(gateway, timeout=2)
        client = IgdClient(device.description.connections[0], http.Route(gateway.address, gateway.source))
        return await client.call(name, **arguments)

    return lab.ask(conversation, host)


def add(
    lab: Lab, external: int, client: str, *, host: str | None = None, description: str = "other", port: int = 8000
) -> None:
    """Add a TCP mapping past all checks of ours."""
    soap(
        lab,
        "AddPortMapping",
        host=host,
        NewRemoteHost="",
        NewExternalPort=external,
        NewProtocol="TCP",
        NewInternalPort=port,
        NewInternalClient=client,
        NewEnabled=1,
        NewPortMappingDescription=description,
        NewLeaseDuration=600,
    )


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_a_mapping_is_made_renewed_listed_and_deleted(make_lab: MakeLab, protocol: str) -> None:
    lab = make_lab()
    reach = lab.reach_tcp if protocol == "tcp" else lab.reach_udp

    async def work(mapper: PortMapper) -> None:
        mapping = await mapper.map(8080, protocol, external_port=9090, lifetime=600, description="test & <more>")
        assert mapping.lease.lifetime == 600
        assert reach(9090) == TOKEN
        await mapping.refresh()
        assert mapping.lease.lifetime == 600
        assert reach(9090) == TOKEN
        (listed,) = await mapper.list_mappings()
        assert replace(listed, lifetime=600) == ListedMapping(
            remote_host="",
            external_port=9090,
            protocol=Protocol(protocol),
            internal_port=8080,
            internal_client=LAN_ADDRESS,
            enabled=True,
            description="test & <more>",
            lifetime=600,
            own=True,
        )
        assert 590 <= listed.lifetime <= 600
        await mapping.close()
        assert await mapper.list_mappings() == ()
        assert reach(9090, timeout=0.3) is None

    with answering(lab, 8080):
        with_mapper(lab, work)


def test_a_port_that_another_host_has_is_left_to_it(make_lab: MakeLab) -> None:
    """718: another port is chosen, and by AddAnyPortMapping; an exact one is refused, and who has it is said."""
    lab = make_lab()

    async def work(mapper: PortMapper) -> None:
        mapping = await mapper.map(8080)
        assert mapping.external_port != 8080
        assert lab.reach_tcp(mapping.external_port) == TOKEN
        with pytest.raises(NoService) as caught:
            await mapper.map(8081, external_port=8080, exact=True)
        (reason,) = caught.value.reasons.values()
        assert isinstance(reason, Fault)
        assert reason.code == 718
        assert f"external port 8080/tcp leads to {NEIGHBOUR_ADDRESS} port 8000, for 'other'" in str(reason)

    with lab.second_host():
        add(lab, 8080, NEIGHBOUR_ADDRESS, host=lab.neighbour)
        with answering(lab, 8080):
            with_mapper(lab, work)
        left = soap(lab, "GetSpecificPortMappingEntry", NewRemoteHost="", NewExternalPort=8080, NewProtocol="TCP")
        assert left["newinternalclient"] == NEIGHBOUR_ADDRESS


def test_two_hosts_that_both_must_have_a_port_share_it_in_turn(make_lab: MakeLab) -> None:
    lab = make_lab()

    async def take(mapper: PortMapper) -> str:
        try:
            return str((await mapper.map(8080, external_port=9090, exact=True)).external)
        except NoService as refused:
            return str(refused)

    async def first(mapper: PortMapper) -> None:
        mapping = await mapper.map(8080, external_port=9090, exact=True)
        assert f"leads to {LAN_ADDRESS}" in with_mapper(lab, take, host=lab.neighbour)
        assert mapping.external_port == 9090

    with lab.second_host():
        with_mapper(lab, first)
        assert with_mapper(lab, take, host=lab.neighbour) == f"{EXTERNAL}:9090"


def test_a_mapping_of_another_program_on_this_host_is_not_taken_over(make_lab: MakeLab) -> None:
    """UP-99: not even where it leads to the very port; what this host made itself, and lost, is."""
    lab = make_lab()
    add(lab, 8080, LAN_ADDRESS, description="other", port=8080)
    add(lab, 8081, LAN_ADDRESS, description="portmapper", port=8081)

    async def work(mapper: PortMapper) -> None:
        assert (await mapper.map(8080)).external_port != 8080
        assert (await mapper.map(8081)).external_port == 8081

    with_mapper(lab, work)
    left = soap(lab, "GetSpecificPortMappingEntry", NewRemoteHost="", NewExternalPort=8080, NewProtocol="TCP")
    assert left["newportmappingdescription"] == "other"


def test_a_control_byte_of_a_neighbour_does_not_hide_the_other_mappings(make_lab: MakeLab) -> None:
    """miniupnpd 2.3.1 returns it raw, which is no XML; and it reaches no terminal."""
    lab = make_lab()
    with lab.second_host():
        add(lab, 7001, NEIGHBOUR_ADDRESS, host=lab.neighbour, description="x\x07\x1b]0;PWNED\x07")
        add(lab, 7002, NEIGHBOUR_ADDRESS, host=lab.neighbour, description="\u202egnp.exe \u009b2J")
        add(lab, 7003, LAN_ADDRESS, description="mine")

        async def work(mapper: PortMapper) -> dict[int, bool]:
            return {one.external_port: one.own for one in await mapper.list_mappings()}

        assert with_mapper(lab, work) == {7001: False, 7002: False, 7003: True}
        for form in ((), ("--json",)):
            shown = lab.run("list", "--backend", "upnp", *form)
            assert shown.returncode == 0, shown.stderr
            assert len(shown.stdout.splitlines()) == 3
            assert shown.stdout.replace("\n", "").replace("\ufffd", "").isprintable()


def test_what_the_router_does_not_let_us_do_is_said(make_lab: MakeLab) -> None:
    """In secure mode it answers 718, not 606, to a mapping for another host: nobody has the port, so it is refused."""
    lab = make_lab()

    async def conversation() -> str:
        async with PortMapper(gateway=GATEWAY, backends=["upnp"], allow_third_party=True) as mapper:
            with pytest.raises(NoService) as caught:
                await mapper.map(8080, external_port=8080, exact=True, internal_address=NEIGHBOUR_ADDRESS)
            return str(caught.value)

    assert "718 ConflictInMappingEntry" in lab.ask(conversation)


def test_a_mapping_for_one_remote_host_that_shows_as_one_for_all_is_refused(make_lab: MakeLab) -> None:
    """miniupnpd 2.3.1 on nftables does restrict it, but lists it for everybody: what cannot be seen is not promised."""
    lab = make_lab()

    async def work(mapper: PortMapper) -> None:
        with pytest.raises(NoService) as caught:
            await mapper.map(8080, remote=WAN_ADDRESS)
        assert "726 RemoteHostOnlySupportsWildcard" in str(caught.value)
        assert await mapper.list_mappings() == ()

    with_mapper(lab, work)


def test_a_hard_refresh_makes_the_mapping_anew(make_lab: MakeLab) -> None:
    """Quirk 72a: the router says it has the mapping, but its rule is gone."""
    lab = make_lab()

    async def work(mapper: PortMapper) -> None:
        mapping = await mapper.map(8080)
        lab.firewall("flush chain inet filter prerouting_miniupnpd")
        assert lab.reach_tcp(8080, timeout=0.3) is None
        await mapping.refresh(hard=True)
        assert lab.reach_tcp(mapping.external_port) == TOKEN

    with answering(lab, 8080):
        with_mapper(lab, work)


def test_a_router_that_restarted_at_another_http_port_is_found_at_the_first_refusal(make_lab: MakeLab) -> None:
    lab = make_lab()

    async def work(mapper: PortMapper) -> None:
        mapping = await mapper.map(8080)
        lab.reboot()
        assert lab.reach_tcp(8080, timeout=0.3) is None
        await mapping.refresh()
        assert lab.reach_tcp(8080) == TOKEN

    with answering(lab, 8080):
        with_mapper(lab, work)


async def _closed(mapping: Mapping) -> bool:
    with pytest.raises(MapperClosed):
        await mapping.refresh()
    return True


def test_a_pinhole_lets_the_wan_host_in_over_ipv6(make_lab: MakeLab) -> None:
    """WANIPv6FirewallControl, asked over IPv6 from the very address: opened, renewed, closed."""
    lab = make_lab()

    async def work(mapper: PortMapper) -> None:
        mapping = await mapper.map(8080, lifetime=600)
        assert str(mapping.external) == f"[{LAN_ADDRESS_6}]:8080"
        assert mapping.lease.lifetime == 600
        assert lab.reach_tcp6(8080) == TOKEN
        await mapping.refresh()
        assert lab.reach_tcp6(8080) == TOKEN
        await mapping.close()
        assert await _closed(mapping)
        assert lab.reach_tcp6(8080, timeout=0.3) is None

    with answering(lab, 8080):
        assert lab.reach_tcp6(8080, timeout=0.3) is None
        with_mapper(lab, work, to=GATEWAY_6)


def test_add_any_port_mapping_is_understood(make_lab: MakeLab) -> None:
    lab = make_lab()

    async def conversation() -> None:
        gateway = gateway_at(GATEWAY)
        backend = await UpnpBackend.open(gateway, BackendOptions(timeout=2, key=bytes(32)))
        assert await backend.external_address() == IPv4Address(EXTERNAL)

    lab.ask(conversation)
    with lab.second_host():
        add(lab, 8080, NEIGHBOUR_ADDRESS, host=lab.neighbour)
        reserved = soap(
            lab,
            "AddAnyPortMapping",
            NewRemoteHost="",
            NewExternalPort=8080,
            NewProtocol="TCP",
            NewInternalPort=8080,
            NewInternalClient=LAN_ADDRESS,
            NewEnabled=1,
            NewPortMappingDescription="any",
            NewLeaseDuration=600,
        )
        assert reserved["newreservedport"] not in {"", "8080"}
