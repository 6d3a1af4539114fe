"""Two programs of one host that want the same port: the second is told, or shares it."""

import os
import sys
import time
from pathlib import Path
from typing import Any

import anyio
import pytest

from portmapper import Closed, InUseLocally, MappingState, NoService, NoteState, PortMapper
from portmapper.model import IPAddress
from portmapper.testing import SimulatedGateway
from tests.mapper.test_main_path import ONLY
from tests.mapper.test_state import backend, folder, noted, ports

__all__ = ["backend", "folder"]

pytestmark = pytest.mark.anyio  # on real time: virtual time does not wait for the threads that write files


@pytest.mark.conforms("F44")
async def test_a_port_that_another_program_has_is_refused_and_that_is_named(backend: str, folder: Path) -> None:
    """F44."""
    async with SimulatedGateway(**ONLY[backend]) as simulated:
        async with PortMapper(gateway=simulated.gateway, state=folder) as one:
            held = await one.map(4001, external_port=21304)
            before = len(simulated.datagrams) + len(simulated.calls)
            async with PortMapper(gateway=simulated.gateway, state=folder) as other:
                with pytest.raises(InUseLocally) as caught:
                    await other.map(4001)
                await other.map(4002)
            assert held.state is MappingState.MAPPED
        assert before
        error = caught.value
        assert (error.pid, error.external_port) == (os.getpid(), 21304)
        assert error.program == Path(sys.argv[0]).name or error.program == Path(sys.argv[0]).parent.name
        assert abs(error.since - time.time()) < 30


async def test_a_port_that_is_free_again_is_granted(backend: str, folder: Path) -> None:
    async with SimulatedGateway(**ONLY[backend]) as simulated:
        async with PortMapper(gateway=simulated.gateway, state=folder) as one:
            mapping = await one.map(4001)
            async with PortMapper(gateway=simulated.gateway, state=folder) as other:
                await mapping.close()
                assert (await other.map(4001)).state is MappingState.MAPPED


async def test_a_port_that_could_not_be_had_is_free_for_others(folder: Path) -> None:
    async with SimulatedGateway(pcp=False, natpmp=False, upnp=False) as simulated:
        async with PortMapper(gateway=simulated.gateway, state=folder, backends=["pcp"]) as one:
            with pytest.raises(NoService):
                await one.map(4001)
            assert await noted(folder) == []


@pytest.mark.conforms("F44")
@pytest.mark.parametrize("first_leaves", [True, False])
async def test_the_last_of_those_who_share_a_port_removes_it(backend: str, folder: Path, first_leaves: bool) -> None:
    async with SimulatedGateway(**ONLY[backend]) as simulated:
        async with (
            PortMapper(gateway=simulated.gateway, state=folder) as one,
            PortMapper(gateway=simulated.gateway, state=folder) as two,
        ):
            first = await one.map(4001, external_port=21305, lifetime=600)
            second = await two.map(4001, share=True, description="another")
            assert (second.external_port, second.lease.request.lifetime) == (21305, 600)
            assert ports(simulated) == [21305]
            leaver, stayer = (first, second) if first_leaves else (second, first)
            events = leaver.events()
            await leaver.close()
            closed = [event async for event in events][-1]
            assert isinstance(closed, Closed)
            assert isinstance(closed.error, InUseLocally)
            assert 590 < closed.remaining <= 600
            assert ports(simulated) == [21305]
            await stayer.refresh()
            await stayer.close()
            assert ports(simulated) == []


class Mute(SimulatedGateway):
    """Does what it is asked, and says nothing of it once it is `mute`."""

    mute = False

    def answer_datagram(self, data: bytes, sender: IPAddress) -> list[bytes]:
        answers = super().answer_datagram(data, sender)
        return [] if self.mute else answers


@pytest.mark.parametrize(
    ("backend", "seconds"), [("pcp", 0.3), ("natpmp", 0.3), ("natpmp", 60.0)], ids=["pcp", "natpmp", "unanswered"]
)
async def test_who_joins_in_vain_leaves_the_port_to_the_other(backend: str, folder: Path, seconds: float) -> None:
    """What is asked for and not known to be granted is undone, else."""
    async with Mute(**ONLY[backend]) as simulated:
        async with (
            PortMapper(gateway=simulated.gateway, state=folder) as one,
            PortMapper(gateway=simulated.gateway, state=folder) as two,
        ):
            await one.map(4001, external_port=21305)
            await two.map(4002)  # which protocol it is, is known
            simulated.mute = True
            with anyio.move_on_after(seconds), pytest.raises(NoService):
                await two.map(4001, share=True)
            assert 21305 in ports(simulated)
            simulated.mute = False


async def test_who_shares_with_one_that_is_asking_waits_for_its_answer(folder: Path) -> None:
    async with SimulatedGateway(**ONLY["pcp"]) as simulated:
        async with (
            PortMapper(gateway=simulated.gateway, state=folder) as one,
            PortMapper(gateway=simulated.gateway, state=folder) as two,
            anyio.create_task_group() as tasks,
        ):
            for mapper in (one, two):
                tasks.start_soon(lambda mapper=mapper: mapper.map(4001, share=True))  # type: ignore[misc]
        assert ports(simulated) == []


async def test_a_port_that_is_just_given_back_is_waited_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a restart that does not wait for the old process."""
    async with SimulatedGateway(**ONLY["pcp"]) as simulated:
        async with (
            PortMapper(gateway=simulated.gateway, state=folder) as one,
            PortMapper(gateway=simulated.gateway, state=folder) as two,
            anyio.create_task_group() as tasks,
        ):
            old = await one.map(4001, external_port=21306)
            unmap = old.backend.unmap

            async def slow(lease: Any) -> None:
                await anyio.sleep(0.5)
                await unmap(lease)

            monkeypatch.setattr(old.backend, "unmap", slow)
            tasks.start_soon(old.close)
            await anyio.sleep(0.2)
            (note,) = [one.note for one in await noted(folder)]
            assert note.state is NoteState.LEAVING
            mapping = await two.map(4001, external_port=21306)
            assert mapping.external_port == 21306
            assert ports(simulated) == [21306]
