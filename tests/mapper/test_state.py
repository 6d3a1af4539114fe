"""What survives a program: the same port after a crash, and a way to what is left behind."""

import _thread
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from portmapper import (
    InvalidRequest,
    LocalError,
    NoService,
    Note,
    NotedMapping,
    NoteState,
    PortMapper,
    limits,
    noted_mappings,
)
from portmapper.testing import IgdSwitches, SimulatedGateway
from tests.mapper.test_main_path import ONLY

pytestmark = pytest.mark.anyio  # on real time: virtual time does not wait for the threads that write files


@pytest.fixture(params=list(ONLY))
def backend(request: pytest.FixtureRequest) -> str:
    """Name each protocol in turn."""
    name: str = request.param
    return name


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state"


async def noted(folder: Path) -> list[NotedMapping]:
    return [*await anyio.to_thread.run_sync(noted_mappings, folder)]


async def left(folder: Path) -> list[Note]:
    return [one.note for one in await noted(folder) if not one.living]


@asynccontextmanager
async def killed(simulated: SimulatedGateway, folder: Path, **options: Any) -> AsyncGenerator[PortMapper]:
    """A mapper that at the end of the block is as if killed: it gives nothing back, and the system frees its lock."""
    mapper = PortMapper(gateway=simulated.gateway, state=folder, **options)
    await mapper.__aenter__()
    try:
        yield mapper
    finally:
        assert mapper._record._folder is not None
        mapper._record._folder.abandon()
        mapper._record._folder = None
        for mapping in mapper.mappings:
            mapping.detach()
        await mapper.__aexit__(None, None, None)


def ports(simulated: SimulatedGateway) -> list[int]:
    return [entry.external_port for entry in simulated.table]


@pytest.mark.conforms("F41")
async def test_after_a_crash_the_port_is_got_again_at_the_same_external_port(backend: str, folder: Path) -> None:
    """F41. Without a wish: it was given by the gateway, and comes from the journal."""
    async with SimulatedGateway(**ONLY[backend]) as simulated:
        async with killed(simulated, folder) as mapper:
            first = (await mapper.map(4001, external_port=21300)).lease
        assert [note.state for note in await left(folder)] == [NoteState.HELD]
        async with PortMapper(gateway=simulated.gateway, state=folder) as mapper:
            second = await mapper.map(4001)
            assert second.external_port == first.external.port == 21300
            assert ports(simulated) == [21300]
            assert second.lease.token == first.token
            assert await left(folder) == []
        assert ports(simulated) == []
        assert await noted(folder) == []


async def test_a_program_with_another_text_takes_over_what_a_dead_one_left(folder: Path) -> None:
    """By UPnP a mapping with another text is another program's, and left alone; unless the journal knows better."""
    async with SimulatedGateway(**ONLY["upnp"]) as simulated:
        async with killed(simulated, folder) as mapper:
            await mapper.map(4001, external_port=21301, description="one")
        async with PortMapper(gateway=simulated.gateway, state=folder) as mapper:
            assert (await mapper.map(4001, description="two")).external_port == 21301
            assert ports(simulated) == [21301]


@pytest.mark.conforms("F46")
async def test_a_mapping_of_another_program_is_left_alone_as_ever(folder: Path) -> None:
    async with SimulatedGateway(**ONLY["upnp"]) as simulated:
        async with PortMapper(gateway=simulated.gateway) as other:
            await other.map(4001, external_port=21302, description="one")
            async with PortMapper(gateway=simulated.gateway, state=folder) as mapper:
                with pytest.raises(NoService, match="for 'one'"):
                    await mapper.map(4001, external_port=21302, exact=True, description="two")


async def test_what_was_asked_for_when_the_program_died_is_found_again_wherever_it_came_to(folder: Path) -> None:
    """The intent is on the disk, the answer never was: by UPnP the device's list tells where the mapping is."""
    async with SimulatedGateway(**ONLY["upnp"]) as simulated:
        async with PortMapper(gateway=simulated.gateway, key=bytes(32)) as outside:
            mapping = await outside.map(4001, external_port=21303)  # where the dead program came to
            async with killed(simulated, folder) as dying:
                request = mapping.lease.request
                async with dying._record.claim(
                    type(request)(protocol=request.protocol, internal_port=4001), share=False
                ):
                    dying._record._folder.abandon()  # type: ignore[union-attr]
                    (note,) = await left(folder)
                    assert (note.state, note.external) == (NoteState.ASKED, None)
                    mapping.detach()
                    async with PortMapper(gateway=simulated.gateway, state=folder) as mapper:
                        assert (await mapper.map(4001)).external_port == 21303
                        assert ports(simulated) == [21303]
                        assert await left(folder) == []


async def test_the_intent_is_on_the_disk_when_the_gateway_is_asked(backend: str, folder: Path) -> None:
    seen: list[list[NotedMapping]] = []

    class Watching(SimulatedGateway):
        def answer_datagram(self, data: bytes, sender: Any) -> list[bytes]:
            if data[:2] in (b"\x02\x01", b"\x00\x02"):  # MAP, and the same of NAT-PMP for TCP
                self.look()
            return super().answer_datagram(data, sender)

        def answer_http(self, method: str, path: str, body: bytes, sender: Any) -> tuple[int, bytes]:
            if b"PortMapping" in body and b":Add" in body:
                self.look()
            return super().answer_http(method, path, body, sender)

        def look(self) -> None:
            # At this very moment; in another thread, for the loop's may not read files, nor wait for a thread.
            before = len(seen)
            _thread.start_new_thread(lambda: seen.append([*noted_mappings(folder)]), ())
            while len(seen) == before:
                pass

    async with Watching(**ONLY[backend]) as simulated, PortMapper(gateway=simulated.gateway, state=folder) as mapper:
        await mapper.map(4001)
        assert seen
        assert [(one.note.state, one.note.request.internal_port) for one in seen[0]] == [(NoteState.ASKED, 4001)]
        (now,) = await noted(folder)
        assert (now.note.state, now.note.backend, now.living, now.pid) == (NoteState.HELD, backend, True, os.getpid())


async def test_without_state_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    async with SimulatedGateway(**ONLY["pcp"]) as simulated, PortMapper(gateway=simulated.gateway) as mapper:
        await mapper.map(4001)
        assert list(tmp_path.iterdir()) == []
    async with SimulatedGateway(**ONLY["pcp"]) as simulated:
        async with PortMapper(gateway=simulated.gateway, state=True) as mapper:
            await mapper.map(4001)
            assert [path.name for path in tmp_path.iterdir()] == ["portmapper"]


def test_a_key_beside_the_state_is_a_contradiction(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="key and state exclude each other"):
        PortMapper(gateway="127.0.0.1", key=bytes(32), state=tmp_path)


@pytest.mark.conforms("UP-116")
async def test_what_could_not_be_given_back_is_noted_and_removed_later(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F17, F43: a mapping without end on a device that fails at the wrong moment."""
    switches = IgdSwitches(version=1, permanent_only=True)
    async with SimulatedGateway(**ONLY["upnp"], igd=switches) as simulated:
        async with PortMapper(gateway=simulated.gateway, state=folder) as mapper:
            mapping = await mapper.map(4001, external_port=21307)
            assert mapping.lease.permanent
            tries = 0

            async def fail(_: Any) -> None:
                nonlocal tries
                tries += 1
                raise LocalError("not now")

            monkeypatch.setattr(mapping.backend, "unmap", fail)
        assert tries == len(limits.RELEASE_PAUSES) == 3
        (note,) = await left(folder)
        assert (note.state, note.ends, note.external and note.external.port) == (NoteState.LEFT, None, 21307)
        async with PortMapper(gateway=simulated.gateway, state=folder) as mapper:
            (cleared,) = await mapper.unmap_stale()
            assert (cleared.note, cleared.error) == (note, None)
        assert ports(simulated) == []
        assert await noted(folder) == []


@pytest.mark.conforms("F17")
async def test_a_mapping_without_end_gets_a_second_try_at_the_end(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    switches = IgdSwitches(version=1, permanent_only=True)
    async with SimulatedGateway(**ONLY["upnp"], igd=switches) as simulated:
        async with PortMapper(gateway=simulated.gateway, state=folder) as mapper:
            backend = (await mapper.map(4001)).backend
            unmap, tries = backend.unmap, 0

            async def fail_once(lease: Any) -> None:
                nonlocal tries
                tries += 1
                if tries == 1:
                    raise LocalError("not now")
                await unmap(lease)

            monkeypatch.setattr(backend, "unmap", fail_once)
        assert (tries, ports(simulated)) == (2, [])
        assert await noted(folder) == []


async def test_what_is_left_on_purpose_is_noted_and_not_stale(backend: str, folder: Path) -> None:
    async with SimulatedGateway(**ONLY[backend]) as simulated:
        async with PortMapper(gateway=simulated.gateway, state=folder) as mapper:
            (await mapper.map(4001, external_port=21308)).detach()
        assert [note.state for note in await left(folder)] == [NoteState.DETACHED]
        async with PortMapper(gateway=simulated.gateway, state=folder, backends=[backend]) as mapper:
            assert await mapper.unmap_stale() == ()
            assert ports(simulated) == [21308]
            await mapper.unmap(4001, external_port=21308)
            assert await left(folder) == []
        assert ports(simulated) == []


async def test_what_dead_programs_left_is_removed(backend: str, folder: Path) -> None:
    async with SimulatedGateway(**ONLY[backend]) as simulated:
        async with killed(simulated, folder) as mapper:
            await mapper.map(4001, external_port=21309)
            await mapper.map(4002, "udp", external_port=21310)
        assert sorted(ports(simulated)) == [21309, 21310]
        async with PortMapper(gateway=simulated.gateway, state=folder) as mapper:
            cleared = await mapper.unmap_stale()
            assert [(one.note.request.internal_port, one.error) for one in cleared] == [(4001, None), (4002, None)]
            assert ports(simulated) == []
            assert await mapper.unmap_stale() == ()
        assert await noted(folder) == []


async def test_what_is_on_another_gateway_or_held_again_stays_and_is_said(folder: Path) -> None:
    async with SimulatedGateway(**ONLY["pcp"]) as home, SimulatedGateway(**ONLY["pcp"]) as away:
        async with killed(away, folder) as mapper:
            await mapper.map(4001, external_port=21311)
        async with killed(home, folder) as mapper:
            await mapper.map(4002, external_port=21312)
        async with (
            PortMapper(gateway=home.gateway, state=folder) as holder,
            PortMapper(gateway=home.gateway, state=folder) as mapper,
        ):
            await holder.map(4002)
            (cleared,) = await mapper.unmap_stale()
            assert cleared.note.request.internal_port == 4001
            assert str(cleared.error) == "it is on the gateway 127.0.0.1, for 127.0.0.1"
            assert (ports(home), ports(away)) == ([21312], [21311])


async def test_what_cannot_be_removed_is_said_and_still_noted(folder: Path) -> None:
    async with SimulatedGateway(**ONLY["natpmp"]) as simulated:
        async with killed(simulated, folder) as mapper:
            await mapper.map(4001)
        async with PortMapper(gateway=simulated.gateway, state=folder, backends=["pcp"]) as mapper:
            (cleared,) = await mapper.unmap_stale()
            assert cleared.error is not None
        assert [note.state for note in await left(folder)] == [NoteState.LEFT]


async def test_without_a_journal_nothing_stale_is_known() -> None:
    async with SimulatedGateway(**ONLY["pcp"]) as simulated, PortMapper(gateway=simulated.gateway) as mapper:
        with pytest.raises(LocalError, match="no journal"):
            await mapper.unmap_stale()


async def test_a_mapping_that_moves_to_another_gateway_is_noted_at_both(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that was left is told nothing; its lease goes on."""
    async with SimulatedGateway(**ONLY["pcp"]) as old, SimulatedGateway(**ONLY["pcp"]) as new:
        async with PortMapper(gateway=old.gateway, state=folder) as mapper:
            mapping = await mapper.map(4001, external_port=21313)
            events = mapping.events()
            monkeypatch.setattr(mapper._access, "_locate", lambda: new.gateway)
            mapper._access.relocate()
            async for event in events:
                if event.lease.gateway == new.gateway:
                    break
            await mapper._record.save()
            states = {one.note.gateway: one.note.state for one in await noted(folder)}
            assert states == {old.gateway: NoteState.LEFT, new.gateway: NoteState.HELD}
        assert [note.gateway for note in await left(folder)] == [old.gateway]


async def test_a_renewal_is_noted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "JOURNAL_GAP", 0.1)
    async with SimulatedGateway(**ONLY["pcp"]) as simulated:
        async with PortMapper(gateway=simulated.gateway, state=folder) as mapper:
            mapping = await mapper.map(4001, lifetime=600)
            (before,) = await noted(folder)
            await anyio.sleep(1.2)
            await mapping.refresh()
            await anyio.sleep(0.5)
            (after,) = await noted(folder)
            assert before.note.ends is not None
            assert after.note.ends is not None
            assert after.note.ends > before.note.ends
            assert after.note.since == before.note.since


async def test_an_outbound_mapping_is_not_noted(folder: Path) -> None:
    """It cannot be taken back (RFC 6887 section 12.1)."""
    async with SimulatedGateway(**ONLY["pcp"]) as simulated:
        async with PortMapper(gateway=simulated.gateway, state=folder) as mapper:
            await mapper.peer(4001, "127.0.0.9", 443)
            assert await noted(folder) == []
        assert await noted(folder) == []
