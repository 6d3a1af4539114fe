"""The table of `map` on a terminal: what is in it, when it is drawn, and what is left of it."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from math import inf
from typing import Any, cast

import anyio
import pyte
import pytest

from portmapper import limits
from portmapper.cli import main
from portmapper.cli.drawing import live, pane
from portmapper.cli.drawing.live import Board
from portmapper.cli.drawing.standing import standing_sheet
from portmapper.cli.drawing.tables import Sheet
from portmapper.cli.keeping.wanted import Wanted
from portmapper.cli.streams import takes_more
from portmapper.errors import GatewayTimeout
from portmapper.mapping import Mapping
from portmapper.model import Closed, Lost, Mapped, MappingState
from tests.cli.leases import StandIn, lease
from tests.cli.test_command import environment

__all__ = ["environment"]

GONE = GatewayTimeout("nothing came back")


def texts(*several: StandIn, width: int = 200, room: int = 20) -> list[list[str]]:
    sheet = standing_sheet([one.mapping for one in several], room).fitting(width)
    return [[column.title for column in sheet.columns], *([cell.text for cell in row] for row in sheet.rows)]


def test_a_row_says_all_there_is() -> None:
    assert texts(StandIn()) == [
        ["port", "of", "state", "external", "by", "renewal", "lease ends"],
        ["8080/tcp", "192.0.2.10", "mapped", "203.0.113.7:80", "pcp on 192.0.2.1", "1 h", "2 h"],
    ]


@pytest.mark.parametrize(
    ("stand_in", "state", "renewal", "end"),
    [
        (StandIn(next_attempt=0.2, remaining=0.2), "mapped", "1 s", "1 s"),
        (StandIn(remaining=inf), "mapped", "1 h", "no end"),
        (StandIn(problem=GONE), "at risk", "1 h", "2 h"),
        (StandIn(state=MappingState.LOST, next_attempt=29.1, remaining=0), "lost", "30 s", ""),
        (StandIn(state=MappingState.LOST, next_attempt=inf, remaining=0), "lost", "trying", ""),
        (StandIn(state=MappingState.CLOSED, next_attempt=inf, remaining=0), "closed", "", ""),
    ],
)
def test_each_state_is_told(stand_in: StandIn, state: str, renewal: str, end: str) -> None:
    row = texts(stand_in)[1]
    assert (row[2], row[5], row[6]) == (state, renewal, end)


@pytest.mark.parametrize(
    ("width", "titles"),
    [
        (100, ["port", "of", "state", "external", "by", "renewal", "lease ends"]),
        (75, ["port", "state", "external", "by", "renewal", "lease ends"]),
        (55, ["port", "state", "external", "renewal", "lease ends"]),
        (45, ["port", "state", "external", "lease ends"]),
        (36, ["port", "state", "external"]),
        (10, ["port", "state", "external"]),
    ],
)
def test_a_narrow_terminal_has_the_columns_that_matter(width: int, titles: list[str]) -> None:
    assert texts(StandIn(), width=width)[0] == titles


def test_where_there_is_no_room_for_all_the_lost_ones_come_first() -> None:
    several = [StandIn(lease(8000 + number)) for number in range(6)]
    several[4].state = MappingState.LOST
    shown = texts(*several, room=4)[1:]
    assert [row[0] for row in shown] == ["8004/tcp", "8000/tcp", "8001/tcp", "3 more"]
    assert len(texts(*several, room=6)) == 7


class Screen:
    """A stand-in for rich's Live: notes what would be drawn, and when."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.lines: list[str] = []
        self.console = self
        self.width, self.height = 100, 20
        self.broken = False

    def update(self, _table: object) -> None:
        pass

    def refresh(self) -> None:
        self.print()

    def print(self, *lines: object, **_: Any) -> None:
        if self.broken:
            raise OSError(5, "Input/output error")
        self.times.append(anyio.current_time())
        self.lines += [str(line) for line in lines]


class Terminal:
    """A terminal that a person looks at."""

    def __init__(self, rows: int, columns: int) -> None:
        self.screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self.screen)
        self.leader, self.follower = pty.openpty()
        self.closed = self.dropped = False
        self.resize(rows, columns)

    def resize(self, rows: int, columns: int) -> None:
        x, y = self.screen.cursor.x, self.screen.cursor.y
        self.screen.resize(rows, columns)  # which takes the cursor home, as no terminal does
        self.screen.cursor.x, self.screen.cursor.y = min(x, columns - 1), y
        fcntl.ioctl(self.leader, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    @property
    def lines(self) -> list[str]:
        return [line.rstrip() for line in self.screen.display if line.strip()]

    def until(self, condition: Callable[[], bool]) -> None:
        """Look until `condition` holds; fail after 5 s."""
        end = time.monotonic() + 5
        while not condition():
            assert time.monotonic() < end, self.lines
            self.read()

    def drop(self) -> None:
        """Read for a second without looking."""
        self.dropped, end = True, time.monotonic() + 1
        with suppress(OSError):
            while time.monotonic() < end and select.select([self.leader], [], [], 0.1)[0]:
                os.read(self.leader, 65536)

    def read(self) -> None:
        """Look at what comes within a moment."""
        while not self.closed and select.select([self.leader], [], [], 0.05)[0]:
            try:
                self._stream.feed(os.read(self.leader, 65536))
            except OSError:  # how a pseudo-terminal says that the other side is closed
                self.closed = True


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    found = Terminal(16, 110)
    yield found
    os.close(found.leader)


@contextmanager
def drawn_on(screen: Screen, monkeypatch: pytest.MonkeyPatch) -> Iterator[Board]:
    @contextmanager
    def no_live(*_: object, **__: object) -> Iterator[Screen]:
        yield screen

    monkeypatch.setattr("rich.live.Live", no_live)
    monkeypatch.setattr(pane, "takes_more", lambda _: True)
    yield Board()


@pytest.mark.anyio
@pytest.mark.usefixtures("virtual_time")
@pytest.mark.parametrize(("pause", "most", "least"), [(0.01, 2.0, 1.9), (1000.0, 1.0, 0.9)])
async def test_it_is_drawn_twice_a_second_at_most_and_once_at_least(
    monkeypatch: pytest.MonkeyPatch, pause: float, most: float, least: float
) -> None:
    """However much happens, or nothing."""
    screen, one, seconds = Screen(), StandIn(), 20.0
    with drawn_on(screen, monkeypatch) as board:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(board.run, [one.mapping])
            end = anyio.current_time() + seconds
            while anyio.current_time() < end:
                board.tell(one.mapping, Lost(one.lease, GONE))
                await anyio.sleep(min(pause, end - anyio.current_time()))
            assert least * seconds <= len(screen.times) <= most * seconds + 2
            board.tell(one.mapping, Closed(one.lease))
    assert screen.lines[-1].endswith("8080/tcp is closed at 203.0.113.7:80")


@pytest.mark.anyio
@pytest.mark.usefixtures("virtual_time")
async def test_a_terminal_that_takes_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """As after Ctrl-S: what happens is kept, up to a bound, and drawn when it goes on."""
    screen, one = Screen(), StandIn()
    with drawn_on(screen, monkeypatch) as board:
        monkeypatch.setattr(pane, "takes_more", lambda _: False)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(board.run, [one.mapping])
            for number in range(limits.UNDRAWN + 100):
                board.tell(one.mapping, Mapped(lease(external=1 + number)))
                await anyio.sleep(0.01)
            assert screen.times == []
            monkeypatch.setattr(pane, "takes_more", lambda _: True)
            await anyio.sleep(2)
            assert len(screen.lines) == limits.UNDRAWN
            assert f"203.0.113.7:{limits.UNDRAWN + 100} " in screen.lines[-1]
            board.tell(one.mapping, Closed(one.lease))


@pytest.mark.anyio
@pytest.mark.usefixtures("virtual_time")
async def test_a_terminal_that_nobody_reads_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, terminal: Terminal
) -> None:
    """It takes a part of a table before it takes nothing more; the rest comes when somebody reads."""
    several = [StandIn(lease(8000 + number)) for number in range(12)]
    for name, value in {"TERM": "xterm", "COLUMNS": "110", "LINES": "16"}.items():
        monkeypatch.setenv(name, value)
    with open(terminal.follower, "w") as stream, ExitStack() as stack:
        late = threading.Timer(5, terminal.drop)  # else a failure would wait for ever
        late.start()
        stack.callback(late.join)
        stack.callback(late.cancel)
        monkeypatch.setattr(sys, "stdout", stream)
        monkeypatch.setattr(sys, "__stdout__", stream)
        board = Board()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(board.run, [one.mapping for one in several])
            await anyio.sleep(100)  # longer than what it takes lasts
            assert not terminal.dropped
            for _ in range(4):
                terminal.read()
                await anyio.sleep(1)
            assert [line.split()[0] for line in terminal.lines] == [
                "port", *(f"{8000 + number}/tcp" for number in range(12))
            ]  # fmt: skip
            for one in several:
                board.tell(one.mapping, Closed(one.lease))


@pytest.mark.anyio
@pytest.mark.usefixtures("virtual_time")
async def test_a_terminal_that_is_gone_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    screen, one = Screen(), StandIn()
    with drawn_on(screen, monkeypatch) as board:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(board.run, [one.mapping])
            await anyio.sleep(3)
            screen.broken = True
            await anyio.sleep(3)
            board.tell(one.mapping, Closed(one.lease))
    assert screen.times


@pytest.mark.anyio
@pytest.mark.usefixtures("virtual_time")
async def test_those_that_come_later_are_drawn_with_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """In one table, which goes when all of both are closed."""
    screen, one, other = Screen(), StandIn(), StandIn(lease(8001, 81))
    drawn: list[int] = []

    def note(mappings: Sequence[Mapping], room: int) -> Sheet:
        drawn.append(len(mappings))
        return standing_sheet(mappings, room)

    monkeypatch.setattr(live, "standing_sheet", note)
    with drawn_on(screen, monkeypatch) as board:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(board.run, [one.mapping])
            await anyio.sleep(3)
            assert set(drawn) == {1}
            tasks.start_soon(board.run, [other.mapping])
            board.tell(other.mapping, Mapped(other.lease))
            await anyio.sleep(3)
            board.tell(one.mapping, Closed(one.lease))
            await anyio.sleep(3)
            assert drawn[-1] == 2
            board.tell(other.mapping, Closed(other.lease))
    assert "8001/tcp is closed at 203.0.113.7:81" in screen.lines[-1]


def test_whether_a_terminal_takes_more_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    leader, follower = pty.openpty()
    with open(follower, "w") as terminal:
        monkeypatch.setattr(sys, "__stdout__", terminal)
        assert takes_more("stdout")
        termios.tcflow(follower, termios.TCOOFF)
        assert not takes_more("stdout")
        termios.tcflow(follower, termios.TCOON)
        assert takes_more("stdout")
    os.close(leader)


@pytest.mark.parametrize(
    ("tty", "variables", "words", "is_live"),
    [
        (True, {}, [], True),
        (True, {"NO_COLOR": "1"}, [], True),  # it asks for a table without colours
        (True, {"TERM": "dumb"}, [], False),
        (True, {}, ["--plain"], False),
        (True, {}, ["--json"], False),
        (False, {}, [], False),
    ],
)
def test_lines_are_printed_where_no_table_is_wanted(
    monkeypatch: pytest.MonkeyPatch, tty: bool, variables: dict[str, str], words: list[str], is_live: bool
) -> None:
    asked: list[Wanted] = []

    def note(session: Any) -> int:
        asked.append(session.args[0])
        return 0

    monkeypatch.setattr("portmapper.cli.commands.map.run_session", note)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: tty)
    for name, value in {"TERM": "xterm", **variables}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit):
        main(["map", "--simulate", "--no-state", "8080", *words])
    assert asked[0].live is is_live


def test_on_a_terminal_the_table_is_kept_up_to_date_and_leaves_only_what_happened(
    environment: dict[str, str], terminal: Terminal
) -> None:
    for name in ("COLUMNS", "LINES", "NO_COLOR"):
        environment.pop(name, None)
    command = [sys.executable, "-m", "portmapper", "map", "--simulate", "8080:21740/both", "--lifetime", "100"]
    command += ["--exec", "test $PORTMAPPER_EVENT = mapped || exit 3"]
    with subprocess.Popen(
        command,
        stdin=terminal.follower,
        stdout=terminal.follower,
        stderr=terminal.follower,
        env={**environment, "TERM": "xterm"},
        start_new_session=True,
        preexec_fn=lambda: cast("None", fcntl.ioctl(0, termios.TIOCSCTTY, 0)),  # noqa: PLW1509
    ) as process:
        os.close(terminal.follower)
        terminal.until(lambda: any(re.search(r" 1 min 3[0-8] s$", line) for line in terminal.lines))
        assert [line.split("  ")[-1].split(" (")[0] for line in terminal.lines[:2]] == [
            "127.0.0.1:8080/tcp is open at 127.0.0.1:21740",
            "127.0.0.1:8080/udp is open at 127.0.0.1:21740",
        ]
        assert [line.split()[0] for line in terminal.lines[2:]] == ["port", "8080/tcp", "8080/udp"]
        assert "by" in terminal.lines[2]
        assert terminal.screen.cursor.hidden
        terminal.resize(16, 50)
        terminal.until(lambda: "lease ends" in terminal.lines[2])
        assert [line.split()[0] for line in terminal.lines[2:]] == ["port", "8080/tcp", "8080/udp"]
        os.write(terminal.leader, b"\x03")
        terminal.until(lambda: terminal.closed)
        assert process.wait(5) == 128 + signal.SIGINT
    shown = "".join(terminal.screen.display)
    words = ("is open at", "is closed at", "exit code 3", "lease ends")
    assert [shown.count(word) for word in words] == [2, 2, 2, 0], shown
    assert not terminal.screen.cursor.hidden
    assert not terminal.screen.display[terminal.screen.cursor.y].strip()  # the shell's prompt has a line of its own


def test_complaints_beside_the_table_go_where_standard_error_goes(
    environment: dict[str, str], terminal: Terminal
) -> None:
    command = [sys.executable, "-m", "portmapper", "map", "--simulate", "8080", "--exec", "echo told"]
    streams = {"stdin": terminal.follower, "stdout": terminal.follower, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, env={**environment, "TERM": "xterm"}, text=True, **streams) as process:  # type: ignore[call-overload]
        try:
            os.close(terminal.follower)
            terminal.until(lambda: any("lease ends" in line for line in terminal.lines))
            ready, _, _ = select.select([process.stderr], [], [], 5)
            assert ready
            assert process.stderr.readline() == "portmapper: --exec: told\n"
            process.send_signal(signal.SIGTERM)
            terminal.until(lambda: terminal.closed)
        finally:
            process.kill()
    assert not any("told" in line for line in terminal.lines)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_terminal_that_was_stopped_keeps_nobody_from_leaving(
    environment: dict[str, str], terminal: Terminal, number: signal.Signals
) -> None:
    """As by Ctrl-S: to take the table away, or the echo of a Ctrl-C, would be to wait for whoever goes on with it."""
    command = [sys.executable, "-m", "portmapper", "map", "--simulate", "8080"]
    streams = dict.fromkeys(("stdin", "stdout", "stderr"), terminal.follower)
    with subprocess.Popen(command, env={**environment, "TERM": "xterm"}, **streams) as process:  # type: ignore[call-overload]
        try:
            terminal.until(lambda: any("is open at" in line for line in terminal.lines))
            termios.tcflow(terminal.follower, termios.TCOOFF)
            time.sleep(2 * limits.REDRAW)
            process.send_signal(number)
            assert process.wait(5) == 128 + number
        finally:
            process.kill()
            os.close(terminal.follower)


def test_a_second_signal_ends_it_at_once_on_a_terminal_that_was_stopped(terminal: Terminal) -> None:
    termios.tcflow(terminal.follower, termios.TCOOFF)
    code = "import signal; from portmapper.cli.signals import _end_at_once; _end_at_once(signal.SIGTERM)"
    done = subprocess.run([sys.executable, "-c", code], stderr=terminal.follower, timeout=10)
    os.close(terminal.follower)
    assert done.returncode == -signal.SIGTERM


def test_the_cursor_is_shown_again_at_a_second_signal(terminal: Terminal) -> None:
    code = "import signal; from portmapper.cli.signals import _end_at_once; _end_at_once(signal.SIGTERM)"
    shown = b""
    done = subprocess.run([sys.executable, "-c", code], stderr=terminal.follower)
    os.close(terminal.follower)
    shown = os.read(terminal.leader, 100)
    assert (done.returncode, shown) == (-signal.SIGTERM, b"\x1b[?25h")
