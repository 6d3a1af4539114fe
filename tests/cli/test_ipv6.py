"""--ipv6: the same ports in the firewall of the IPv6 gateway, which is nobody's reason to close those of IPv4."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from ipaddress import IPv4Address, IPv6Address
from typing import cast

import anyio
import pytest

from portmapper import NoGateway, NoService
from portmapper.cli.commands.map import _map_and_hold
from portmapper.cli.keeping.child import child_variables
from portmapper.cli.keeping.families import _close_all, open_wanted
from portmapper.cli.keeping.wanted import Wanted
from portmapper.cli.keeping.written import content
from portmapper.cli.options import settings
from portmapper.mapping import Mapping
from portmapper.model import Gateway, Protocol
from portmapper.testing import SimulatedGateway
from tests.cli.sessions import running, wanted
from tests.cli.test_map import printed


class Gateways:
    """The simulated gateways that a command makes, by family."""

    def __init__(self) -> None:
        self.made: dict[int, SimulatedGateway] = {}
        self.deaf = 0

    def make(self, **options: bool) -> SimulatedGateway:
        version = 6 if options.get("ipv6") else 4
        if self.deaf == version:
            options["upnp"] = False
        self.made[version] = SimulatedGateway(**options)  # type: ignore[arg-type]
        return self.made[version]

    @property
    def open(self) -> list[str]:
        mapped = [f"{one.internal.port}:{one.external_port}/{one.protocol}" for one in self.made[4].table]
        pinholes = self.made[6].pinholes.values() if 6 in self.made else ()
        return sorted([*mapped, *(f"[{one.port}]/{Protocol.of(one.protocol)}" for one in pinholes)])


@pytest.fixture
def gateways(monkeypatch: pytest.MonkeyPatch) -> Gateways:
    found = Gateways()
    monkeypatch.setattr(settings, "SimulatedGateway", found.make)
    return found


@pytest.mark.anyio
async def test_each_port_is_open_by_both_families_until_the_end(
    gateways: Gateways, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running(partial(_map_and_hold, wanted("8000:21760/both", "--exact", "--ipv6"))):
        lines = await printed(capsys, 4)
        assert [line.partition(" (")[0] for line in lines] == [
            "127.0.0.1:8000/tcp is open at 127.0.0.1:21760",
            "127.0.0.1:8000/udp is open at 127.0.0.1:21760",
            "[::1]:8000/tcp is open at [::1]:8000",
            "[::1]:8000/udp is open at [::1]:8000",
        ]
        assert gateways.open == ["8000:21760/tcp", "8000:21760/udp", "[8000]/tcp", "[8000]/udp"]
    assert gateways.open == []


async def ignore(mappings: Sequence[Mapping]) -> None:
    """Take no note of what is open."""


async def opened(asked: Wanted, gateways: Gateways) -> list[str]:
    """Open what is asked for, and return what is open then."""
    async with anyio.create_task_group() as tasks, AsyncExitStack() as stack:
        await open_wanted(asked, stack, tasks, ignore)
        found = gateways.open
    assert gateways.open == []
    return found


@pytest.mark.anyio
@pytest.mark.usefixtures("virtual_time")
async def test_what_fails_by_ipv6_is_told_and_closes_nothing(
    gateways: Gateways, capsys: pytest.CaptureFixture[str]
) -> None:
    gateways.deaf = 6
    assert await opened(wanted("8000:21761", "8001:21762", "--ipv6"), gateways) == ["8000:21761/tcp", "8001:21762/tcp"]
    told = capsys.readouterr()
    assert told.out == ""
    assert sorted(line for line in told.err.splitlines() if line.startswith("portmapper")) == [
        f"portmapper: {port}/tcp is not open by IPv6: no port mapping service answered at the gateway ::1; "
        "is UPnP or NAT-PMP switched on there?"
        for port in (8000, 8001)
    ]


@pytest.mark.anyio
@pytest.mark.usefixtures("virtual_time")
async def test_ipv4_is_told_before_an_ipv6_gateway_that_is_silent_has_been_waited_for(gateways: Gateways) -> None:
    gateways.deaf = 6
    told: list[tuple[float, int]] = []

    async def tell(mappings: Sequence[Mapping]) -> None:
        told.append((anyio.current_time(), len(mappings)))

    begin = anyio.current_time()
    async with anyio.create_task_group() as tasks, AsyncExitStack() as stack:
        await open_wanted(wanted("8000:21766", "--ipv6"), stack, tasks, tell)
        assert anyio.current_time() - begin > 2
    assert [(round(at - begin), count) for at, count in told] == [(0, 1), (2, 0)]


@pytest.mark.anyio
async def test_what_fails_by_ipv4_fails_and_ipv6_is_not_asked(gateways: Gateways) -> None:
    async with anyio.create_task_group() as tasks, AsyncExitStack() as stack:
        with pytest.raises(NoService):
            await open_wanted(wanted("8000/sctp", "--ipv6", "--backend", "natpmp"), stack, tasks, ignore)
    assert list(gateways.made) == [4]


@pytest.mark.anyio
async def test_without_an_ipv6_gateway_that_is_told(
    gateways: Gateways, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def none(_: object) -> None:
        raise NoGateway("this host has no default route to an IPv6 gateway")

    monkeypatch.setattr(settings.Settings, "by_ipv6", none)
    assert await opened(wanted("8000:21763", "--ipv6"), gateways) == ["8000:21763/tcp"]
    told = capsys.readouterr().err
    assert told == "portmapper: nothing is open by IPv6: this host has no default route to an IPv6 gateway\n"


@pytest.mark.anyio
async def test_peers_are_let_in_by_the_family_that_they_are_of(
    gateways: Gateways, capsys: pytest.CaptureFixture[str]
) -> None:
    """And where none is named of a family, it is not open to all."""
    both = ["--remote", "127.0.0.2", "--remote", "2001:db8::7"]
    asked = wanted("8000:21764", "--ipv6", *both)
    async with anyio.create_task_group() as tasks, AsyncExitStack() as stack:
        mappings = await open_wanted(asked, stack, tasks, ignore)
        assert [[str(one) for one in mapping.lease.request.remote] for mapping in mappings] == [
            ["127.0.0.2/32"],
            ["2001:db8::7/128"],
        ]
    assert await opened(wanted("8000:21764", "--ipv6", *both[:2]), gateways) == ["8000:21764/tcp"]
    assert "8000/tcp is not open by IPv6: 127.0.0.2/32 is not of the family of ::1" in capsys.readouterr().err


@pytest.mark.anyio
async def test_the_file_and_the_environment_tell_the_families_apart(gateways: Gateways) -> None:
    async with anyio.create_task_group() as tasks, AsyncExitStack() as stack:
        mappings = await open_wanted(wanted("8000:21765", "--ipv6"), stack, tasks, ignore)
        assert content(mappings, as_json=False) == "21765\n"
        assert content(mappings[1:], as_json=False) == "8000\n"
        assert content(mappings, as_json=True).count('"protocol"') == 2
        variables = child_variables(mappings)
        assert variables["PORTMAPPER_EXTERNAL_PORT"] == "21765"
        assert (variables["PORTMAPPER_8000_TCP"], variables["PORTMAPPER_8000_TCP_IPV6"]) == (
            "127.0.0.1:21765",
            "[::1]:8000",
        )


@pytest.mark.anyio
@pytest.mark.usefixtures("virtual_time")
async def test_both_families_are_left_at_the_same_time() -> None:
    """A gateway that is silent must not keep the other waiting, nor a cancellation leave it out."""
    closed: list[float] = []

    class Slow:
        async def close(self) -> None:
            await anyio.sleep(1.6)
            closed.append(anyio.current_time())

    begin = anyio.current_time()
    with anyio.CancelScope() as scope:
        scope.cancel()
        await _close_all([cast("Mapping", Slow()), cast("Mapping", Slow())])
    assert [time - begin for time in closed] == pytest.approx([1.6, 1.6])


def test_the_best_ipv6_gateway_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    def gateway(text: str) -> Gateway:
        return Gateway(address=IPv6Address(text), source=IPv6Address("2001:db8::5"), interface="eth0")

    four = Gateway(address=IPv4Address("192.0.2.1"), source=IPv4Address("192.0.2.5"))
    monkeypatch.setattr(settings, "gateways", lambda _: (four, gateway("fe80::1%eth0"), gateway("fe80::2%eth1")))
    asked = wanted("8000", "--ipv6")
    real = replace(asked.settings, simulate=False)
    assert real.by_ipv6().gateway == "fe80::1%eth0"
    monkeypatch.setattr(settings, "gateways", lambda _: (four,))
    with pytest.raises(NoGateway, match="no default route to an IPv6 gateway"):
        real.by_ipv6()
