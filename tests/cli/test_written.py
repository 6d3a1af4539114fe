"""--write: a file that says which external ports are open now."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import anyio
import click
import pytest

from portmapper.cli.hooks.attendant import Hooks
from portmapper.cli.keeping.written import Place, Written, content, place_for
from portmapper.errors import GatewayTimeout
from portmapper.model import Changed, Closed, Lost, Mapped, MappingState, Renewed
from tests.cli.leases import StandIn, lease
from tests.cli.test_hooks import until


@pytest.fixture
def umask() -> Iterator[None]:
    """Let others read, not write."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def test_the_ports_that_are_open_are_told_one_a_line_in_their_order() -> None:
    several = [StandIn(lease(8000, 9002)), StandIn(lease(8001, 9001)), StandIn(lease(8002, 9000))]
    several[1].state = MappingState.LOST
    assert content([one.mapping for one in several], as_json=False) == "9002\n9000\n"


def test_as_json_the_leases_are_told() -> None:
    found = json.loads(content([StandIn().mapping], as_json=True))
    assert [(one["internal"]["port"], one["external"]["port"], one["lifetime"]) for one in found] == [(8080, 80, 7200)]


@pytest.mark.usefixtures("umask")
@pytest.mark.parametrize(("before", "after"), [(None, 0o644), (0o640, 0o640), (0o600, 0o600)])
def test_the_mode_of_the_file_is_kept(tmp_path: Path, before: int | None, after: int) -> None:
    path = tmp_path / "ports"
    if before is not None:
        path.write_text("old")
        path.chmod(before)
    place = place_for(str(path))
    assert not path.exists()  # nothing is open yet
    place.write("80\n")
    assert path.stat().st_mode & 0o777 == after
    assert path.read_text() == "80\n"
    assert os.listdir(tmp_path) == ["ports"]


def test_a_reader_never_sees_half_of_it(tmp_path: Path) -> None:
    """What a reader opened before a change stays what it was."""
    place = place_for(str(tmp_path / "ports"))
    place.write("80\n" * 1000)
    with open(tmp_path / "ports") as reader:
        place.write("81\n")
        assert reader.read() == "80\n" * 1000


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there" / "ports")
    place_for(str(tmp_path / "link")).write("80\n")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "there" / "ports").read_text() == "80\n"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("missing/ports", "cannot be written: No such file or directory"),
        (".", "is no regular file"),
        ("/dev/null", "is no regular file"),
        ("/proc/ports", "cannot be written"),
        ("circle", "is no regular file"),
        ("circle/ports", "cannot be written: Too many levels of symbolic links"),
        ("x" * 300, "cannot be written: File name too long"),
    ],
)
def test_what_cannot_be_written_is_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("circle").symlink_to("circle")
    with pytest.raises(click.UsageError, match=says):
        place_for(name)


def test_a_disk_that_is_full_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = place_for(str(tmp_path / "ports"))
    place.write("80\n")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        place.write("81\n")
    assert os.listdir(tmp_path) == ["ports"]
    assert (tmp_path / "ports").read_text() == "80\n"


@pytest.mark.anyio
async def test_it_follows_the_mappings_and_is_gone_at_the_end(tmp_path: Path) -> None:
    path, told = tmp_path / "ports", list[str]()
    one, other = StandIn(lease(8000, 9000)), StandIn(lease(8001, 9001))
    written = Written(Place(path, None), told.append)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(written.run, [one.mapping, other.mapping])
        written.tell(one.mapping, Mapped(one.lease))
        await until(lambda: path.exists() and path.read_text() == "9000\n9001\n")
        one.state = MappingState.LOST
        written.tell(one.mapping, Lost(one.lease, GatewayTimeout("silent")))
        await until(lambda: path.read_text() == "9001\n")
        one.state, one.lease = MappingState.MAPPED, lease(8000, 9005)
        written.tell(one.mapping, Mapped(one.lease))
        await until(lambda: path.read_text() == "9005\n9001\n")
        for stand_in in (one, other):
            stand_in.state = MappingState.CLOSED
            written.tell(stand_in.mapping, Closed(stand_in.lease))
    assert os.listdir(tmp_path) == []
    assert told == []


@pytest.mark.anyio
async def test_those_that_come_later_are_added(tmp_path: Path) -> None:
    """As those of IPv6 do; and the file stays until all of both are closed."""
    path, told = tmp_path / "ports", list[str]()
    one, other = StandIn(lease(8000, 9000)), StandIn(lease(8001, 9001))
    written = Written(Place(path, None), told.append)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(written.run, [one.mapping])
        written.tell(one.mapping, Mapped(one.lease))
        await until(lambda: path.exists() and path.read_text() == "9000\n")
        tasks.start_soon(written.run, [other.mapping])
        written.tell(other.mapping, Mapped(other.lease))
        await until(lambda: path.read_text() == "9000\n9001\n")
        one.state = MappingState.CLOSED
        written.tell(one.mapping, Closed(one.lease))
        await until(lambda: path.read_text() == "9001\n")
        other.state = MappingState.CLOSED
        written.tell(other.mapping, Closed(other.lease))
    assert os.listdir(tmp_path) == []
    assert told == []


@pytest.mark.anyio
@pytest.mark.parametrize(("name", "count"), [("ports", 1), ("ports.json", 2)])
async def test_a_renewal_is_written_where_it_shows(tmp_path: Path, name: str, count: int) -> None:
    one, times = StandIn(), list[str]()

    class Counting(Place):
        def write(self, text: str) -> None:
            times.append(text)

    written = Written(Counting(tmp_path / name, None), times.append)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(written.run, [one.mapping])
        written.tell(one.mapping, Mapped(one.lease))
        await until(lambda: len(times) == 1)
        written.tell(one.mapping, Renewed(one.lease))
        await anyio.sleep(0.05)
        assert len(times) == count
        one.state = MappingState.CLOSED
        written.tell(one.mapping, Closed(one.lease))


@pytest.mark.anyio
async def test_what_cannot_be_written_later_is_told_and_harmless(tmp_path: Path) -> None:
    folder, told = tmp_path / "folder", list[str]()
    folder.mkdir()
    one = StandIn()
    written = Written(Place(folder / "ports", None), told.append)
    folder.rmdir()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(written.run, [one.mapping])
        written.tell(one.mapping, Mapped(one.lease))
        await until(lambda: bool(told))
        one.state = MappingState.CLOSED
        written.tell(one.mapping, Closed(one.lease))
    assert told[0] == f"--write: {folder}/ports does not say what is open now: No such file or directory"


class Slow(Place):
    def write(self, text: str) -> None:
        time.sleep(0.4)  # longer than a hook waits for more events
        super().write(text)


@pytest.mark.anyio
async def test_a_hook_finds_in_the_file_what_it_is_told_of(tmp_path: Path) -> None:
    path, told, one = tmp_path / "ports", list[str](), StandIn(lease(8000, 9000))
    written = Written(Slow(path, None), told.append)
    seen = tmp_path / "seen"
    running = Hooks(f"cat {path} >> {seen} || echo gone >> {seen}", told.append, ready=written.written)
    async with anyio.create_task_group() as tasks:
        for attendant in (written, running):
            tasks.start_soon(attendant.run, [one.mapping])
        for event in (Mapped(one.lease), Changed(one.lease, lease(8000, 9001))):
            one.lease = event.lease
            for attendant in (running, written):
                attendant.tell(one.mapping, event)
            await until(lambda: seen.exists() and f"{one.lease.external.port}\n" in seen.read_text())
        one.state = MappingState.CLOSED
        for attendant in (running, written):
            attendant.tell(one.mapping, Closed(one.lease))
    assert seen.read_text() == "9000\n9001\ngone\n"
    assert [line for line in told if "No such file" not in line] == []


@pytest.mark.anyio
async def test_a_file_that_hangs_does_not_silence_hooks(tmp_path: Path) -> None:
    told, one = list[str](), StandIn()
    running = Hooks("echo $PORTMAPPER_EVENT", told.append, ready=anyio.sleep_forever)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(running.run, [one.mapping])
        running.tell(one.mapping, Mapped(one.lease))
        await until(lambda: bool(told))
        running.tell(one.mapping, Closed(one.lease))
    assert told == ["--exec: mapped", "--exec: closed"]
