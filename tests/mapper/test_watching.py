"""What is seen of a gateway that is watched, how soon, and that nothing is changed there."""

import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from portmapper import Endpoint, Gateway, GatewayTimeout, InvalidRequest, NoGateway, Protocol
from portmapper.announcements import Announcement, Source
from portmapper.model import IPAddress
from portmapper.net import clock
from portmapper.sightings import (
    AddressSeen,
    Announced,
    Answered,
    Answering,
    Appeared,
    Disappeared,
    FellSilent,
    Moved,
    Restarted,
    Sighting,
    View,
    differences,
)
from portmapper.state.folder import StateFolder
from portmapper.testing import SimulatedGateway
from portmapper.testing.igd_switches import IgdSwitches
from portmapper.upnp import ssdp
from portmapper.watching import GatewayWatch
from tests.announcing import ANNOUNCEMENTS, announce
from tests.conftest import SilentBell
from tests.hostile.rude import a_port
from tests.state.notes import GATEWAY, note

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("virtual_time")]

HERE = IPv4Address("127.0.0.1")
LOOKED = 4
"""Seconds after which the first look is over, whatever does not answer."""


@pytest.fixture(autouse=True)
def _silent_bell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("portmapper.watching.make_bell", lambda _: SilentBell())


@asynccontextmanager
async def watched(simulated: SimulatedGateway, **options: Any) -> AsyncGenerator[list[Sighting]]:
    """Watch until the end of the block; the list grows. The first look is over when it begins."""
    seen: list[Sighting] = []
    watch = GatewayWatch(seen.append, gateway=simulated.gateway, **{"interval": 30, **options})
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch.run)
        await anyio.sleep(LOOKED)
        yield seen
        tasks.cancel_scope.cancel()


def add(simulated: SimulatedGateway, port: int, seconds: float = 5000) -> None:
    simulated.table.add(Protocol.TCP, Endpoint(HERE, port), port, clock.now() + seconds)


def told(seen: list[Sighting], kind: type[Sighting]) -> list[Any]:
    return [one for one in seen if isinstance(one, kind)]


async def test_at_first_all_that_is_there_is_new_and_nothing_is_changed_there() -> None:
    async with SimulatedGateway() as simulated:
        port = a_port()
        add(simulated, port)
        async with watched(simulated) as seen:
            assert [type(one) for one in seen] == [Moved, Answered, Answered, Answered, AddressSeen, Appeared]
            assert [one.backend for one in told(seen, Answered)] == ["pcp", "natpmp", "upnp"]
            assert [one.answering.epoch for one in told(seen, Answered)] == [0, 0, None]
            (address,), (appeared,) = told(seen, AddressSeen), told(seen, Appeared)
            assert (address.address, address.previous) == (HERE, None)
            assert (appeared.mapping.external_port, appeared.mapping.own) == (port, True)
        assert {data[1] for data in simulated.datagrams} == {0}  # ANNOUNCE and the external address
        assert all(call.name.startswith("Get") for call in simulated.calls)


async def test_a_protocol_that_tells_the_address_only_by_a_mapping_is_not_asked_for_it() -> None:
    async with SimulatedGateway(natpmp=False, upnp=False) as simulated, watched(simulated, backends=["pcp"]) as seen:
        assert [type(one) for one in seen] == [Moved, Answered]
        assert {data[1] for data in simulated.datagrams} == {0}


async def test_what_comes_and_goes_is_told_at_the_next_look_once() -> None:
    async with SimulatedGateway() as simulated, watched(simulated) as seen:
        seen.clear()
        add(simulated, a_port(), seconds=60)
        await anyio.sleep(35)
        assert [type(one) for one in seen] == [Appeared]
        await anyio.sleep(100)
        assert [type(one) for one in seen] == [Appeared, Disappeared]


@pytest.mark.parametrize(
    ("heard", "announcement"),
    [
        ("pcp", Announcement(Source.PCP, "announce")),
        ("natpmp", Announcement(Source.NAT_PMP, "address")),
        (ssdp.Kind.ALIVE, Announcement(Source.SSDP, "alive")),
        (ssdp.Kind.BYEBYE, Announcement(Source.SSDP, "byebye")),
    ],
)
async def test_an_announcement_is_told_and_the_gateway_looked_at_soon(heard: Any, announcement: Announcement) -> None:
    async with SimulatedGateway() as simulated, watched(simulated) as seen:
        await anyio.sleep(5)
        seen.clear()
        add(simulated, a_port())
        if isinstance(heard, ssdp.Kind):
            simulated.notify(heard)
        else:
            announce(simulated, ANNOUNCEMENTS[heard])
        await anyio.sleep(2)
        assert seen[0] == Announced(simulated.gateway, announcement)
        assert [type(one) for one in seen[1:]] == [Appeared]


async def test_a_flood_of_announcements_costs_one_look_in_5_seconds() -> None:
    async with SimulatedGateway() as simulated, watched(simulated, backends=["natpmp"]) as seen:
        simulated.datagrams.clear()
        for _ in range(200):
            announce(simulated, ANNOUNCEMENTS["natpmp"])
            await anyio.sleep(0.1)
        assert 2 <= len(simulated.datagrams) / 2 <= 5
        assert len(told(seen, Announced)) <= 21


async def test_what_is_announced_by_somebody_else_is_not_heard() -> None:
    async with SimulatedGateway() as simulated, watched(simulated) as seen:
        simulated.notify(ssdp.Kind.ALIVE, address=IPv4Address("127.0.0.9"))
        simulated.notify(ssdp.Kind.ALIVE, nt="urn:schemas-upnp-org:device:MediaServer:1")
        await anyio.sleep(2)
        assert told(seen, Announced) == []


async def test_an_epoch_that_begins_again_is_a_restart() -> None:
    async with SimulatedGateway() as simulated, watched(simulated) as seen:
        add(simulated, a_port())
        await anyio.sleep(31)
        seen.clear()
        simulated.reboot()
        await anyio.sleep(35)
        assert [type(one) for one in seen] == [Restarted, Disappeared]


class Deaf(SimulatedGateway):
    """Answers nothing by PCP and NAT-PMP, and lists nothing, while it is `deaf`."""

    deaf = False

    def answer_datagram(self, data: bytes, sender: IPAddress) -> list[bytes]:
        return [] if self.deaf else super().answer_datagram(data, sender)

    def answer_http(self, method: str, path: str, body: bytes, sender: IPAddress) -> tuple[int, bytes]:
        refused = self.deaf and b"PortMapping" in body
        return (500, b"") if refused else super().answer_http(method, path, body, sender)


async def test_one_that_falls_silent_is_told_once_and_again_when_it_answers() -> None:
    async with Deaf() as simulated:
        add(simulated, a_port())
        async with watched(simulated) as seen:
            seen.clear()
            simulated.deaf = True
            await anyio.sleep(90)
            assert [(type(one), one.backend) for one in seen] == [(FellSilent, "pcp"), (FellSilent, "natpmp")]  # type: ignore[union-attr]
            assert isinstance(told(seen, FellSilent)[0].reason, GatewayTimeout)
            simulated.deaf = False
            await anyio.sleep(40)
            assert [type(one) for one in seen[2:]] == [Answered, Answered]  # and of the list, nothing went


@pytest.fixture
def living(tmp_path: Path) -> Iterator[StateFolder]:
    folder = StateFolder(tmp_path)
    folder.begin(time.time())
    yield folder
    folder.end(())


async def test_what_programs_of_this_host_note_is_seen_too(tmp_path: Path, living: StateFolder) -> None:
    async with SimulatedGateway(upnp=False) as simulated, watched(simulated, state=tmp_path) as seen:
        seen.clear()
        mine = note(8080, 9001, gateway=simulated.gateway, ends=time.time() + 5000)
        await anyio.to_thread.run_sync(living.save, [mine])
        while not told(seen, Appeared):  # files are read in a thread, for which the virtual clock does not wait
            await anyio.to_thread.run_sync(time.sleep, 0.01)
            await anyio.sleep(10)
        (appeared,) = told(seen, Appeared)
        assert appeared.mapping.sources == ("journal",)


async def test_an_address_that_changes_is_told_with_the_one_before() -> None:
    class Moving(SimulatedGateway):
        address = "127.0.0.1"

        def answer_http(self, method: str, path: str, body: bytes, sender: IPAddress) -> tuple[int, bytes]:
            status, answer = super().answer_http(method, path, body, sender)
            return status, answer.replace(b">127.0.0.1<", f">{self.address}<".encode())

    async with Moving(igd=IgdSwitches(version=1)) as simulated, watched(simulated, backends=["upnp"]) as seen:
        seen.clear()
        simulated.address = "192.0.2.77"
        await anyio.sleep(40)
        assert seen == [AddressSeen(simulated.gateway, IPv4Address("192.0.2.77"), HERE)]


async def test_looking_all_the_time_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="interval must be at least 5 seconds"):
        GatewayWatch(print, gateway="127.0.0.1", interval=1)


def test_what_is_the_same_is_nothing_new_and_of_another_gateway_everything_is() -> None:
    other = View(GATEWAY, {"pcp": Answering(0.1, 7)}, HERE)
    assert list(differences(other, other)) == []
    assert list(differences(View(), other)) == [
        Moved(GATEWAY, None),
        Answered(GATEWAY, "pcp", Answering(0.1, 7)),
        AddressSeen(GATEWAY, HERE, None),
    ]
    assert list(differences(other, View())) == [Moved(None, GATEWAY)]


async def test_another_gateway_is_followed_and_heard_and_none_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async with SimulatedGateway() as first, SimulatedGateway(address=IPv4Address("127.0.0.5")) as second:
        now: list[Gateway] = [first.gateway]

        def locate(*_: object) -> Gateway:
            if not now:
                raise NoGateway("none")
            return now[0]

        monkeypatch.setattr("portmapper.watching.locate", locate)
        async with watched(first) as seen:
            seen.clear()
            now[:] = [second.gateway]
            await anyio.sleep(35)
            assert seen[0] == Moved(second.gateway, first.gateway)
            assert {type(one) for one in seen[1:]} == {Answered, AddressSeen}
            seen.clear()
            announce(first, ANNOUNCEMENTS["pcp"])
            announce(second, ANNOUNCEMENTS["natpmp"])
            await anyio.sleep(1)
            assert seen == [Announced(second.gateway, Announcement(Source.NAT_PMP, "address"))]
            now.clear()
            await anyio.sleep(35)
            assert seen[1:] == [Moved(None, second.gateway)]
