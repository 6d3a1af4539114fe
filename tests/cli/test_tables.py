"""Tables: only on a terminal that can draw, in what room there is, in colour unless that is not wanted."""

import os
import re
import subprocess
import sys
import time
from ipaddress import IPv4Address

import pytest

from portmapper.cli.drawing.sheets import duration, listed_sheet
from portmapper.cli.drawing.tables import Column, Sheet, as_table, cell
from portmapper.cli.drawing.terminal import can_draw
from portmapper.cli.output import Output
from portmapper.gateway.tables.ranking import Candidate
from portmapper.known import KnownMapping
from portmapper.model import Gateway, ListedMapping, Protocol
from portmapper.state.folder import NotedMapping
from tests.hostile.test_shown_text import PAYLOADS, is_harmless
from tests.state.notes import GATEWAY, note

COLUMNS = [Column("port"), Column("to"), Column("why", rank=2), Column("left", rank=1)]
ROW = [cell("8080/tcp"), cell("192.168.1.10:80"), cell("because it is so"), cell("2 h")]
NOW = 1_700_000_000.0


def titles(width: int) -> list[str]:
    return [column.title for column in Sheet(COLUMNS, [ROW]).fitting(width).columns]


@pytest.mark.parametrize(
    ("width", "left"),
    [
        (49, ["port", "to", "why", "left"]),
        (48, ["port", "to", "left"]),
        (31, ["port", "to", "left"]),
        (30, ["port", "to"]),
        (5, ["port", "to"]),
    ],
)
def test_columns_go_by_their_rank_where_there_is_no_room_for_all(width: int, left: list[str]) -> None:
    assert titles(width) == left


def shown(sheet: Sheet, width: int) -> str:
    from rich.console import Console

    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        console.print(as_table(sheet, width))
    return capture.get()


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_no_line_is_wider_than_the_terminal_and_nothing_of_the_first_columns_is_cut(width: int) -> None:
    lines = shown(Sheet(COLUMNS, [ROW]), width).splitlines()
    assert max(map(len, lines)) <= width
    if width > 30:
        assert "8080/tcp  192.168.1.10:80" in lines[1]


def listed(description: str = "web", **more: object) -> ListedMapping:
    facts: dict[str, object] = {
        "remote_host": "",
        "external_port": 8080,
        "protocol": Protocol.TCP,
        "internal_port": 80,
        "internal_client": "192.168.1.10",
        "enabled": True,
        "description": description,
        "lifetime": 7260,
    }
    return ListedMapping(**{**facts, **more})  # type: ignore[arg-type]


def test_a_row_says_whose_it_is_how_long_it_lasts_and_where_that_is_known_from() -> None:
    noted = NotedMapping(note(80, 8080), "server", 42, living=False)
    row = shown(listed_sheet([KnownMapping(listed(), noted, NOW)], NOW), 200).splitlines()[1]
    cells = [one.strip() for one in row.split("  ") if one.strip()]
    assert cells == [
        "8080/tcp", "192.168.1.10:80", "yes", "2 h 1 min", "gateway + journal", "server (42, dead)", "web"
    ]  # fmt: skip


@pytest.mark.parametrize("name", PAYLOADS)
def test_no_text_of_a_router_steers_the_terminal(name: str) -> None:
    text = PAYLOADS[name]
    rude = listed(text, internal_client=text, remote_host=text)
    out = shown(listed_sheet([KnownMapping(rude, None, NOW)], NOW), 100)
    assert is_harmless(out)
    if name == "markup":
        assert "[bold red]x[/]" in "".join(out.split("\n"))


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "no end"), (59, "59 s"), (60, "1 min"), (7265, "2 h 1 min"), (90061, "1 d 1 h")]
)
def test_durations_are_read_by_people(seconds: int, words: str) -> None:
    assert duration(seconds) == words


class Terminal:
    def __init__(self, *, tty: bool) -> None:
        self._tty = tty

    def isatty(self) -> bool:
        return self._tty


@pytest.mark.parametrize(
    ("term", "tty", "draws"),
    [("xterm-256color", True, True), ("xterm", False, False), ("dumb", True, False), ("", True, False)],
)
def test_only_a_terminal_that_is_not_dumb_is_drawn_to(
    term: str, tty: bool, draws: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", term)
    assert can_draw(Terminal(tty=tty)) == draws  # type: ignore[arg-type]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(("variable", "colours"), [("", True), ("NO_COLOR", False)])
@pytest.mark.usefixtures("terminal")
def test_what_is_drawn_has_colours_unless_they_are_not_wanted(
    variable: str, colours: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    if variable:
        monkeypatch.setenv(variable, "1")
    Output(as_json=False).listed([KnownMapping(listed(own=True), None, NOW)], GATEWAY)
    out = capsys.readouterr().out
    assert "8080/tcp" in out
    assert ("\x1b[32m" in out) == colours


@pytest.mark.usefixtures("terminal")
def test_routers_and_notes_are_tables_there_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("NO_COLOR", "1")
    here = IPv4Address("192.0.2.9")
    router = Candidate(here, "eth0", None, here, 0, ("the default route",), usable=True)
    gone = Candidate(here, "tun0", None, None, 1, ("no gateway",), usable=False)
    output = Output(as_json=False)
    output.surveyed([(router, Gateway(address=here, source=here)), (gone, None)])
    output.noted([NotedMapping(note(ends=time.time() + 65), "server", 42, living=False)])
    plain = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)  # bold and faint are no colours
    lines = [line.split() for line in plain.splitlines()]
    assert lines[0] == ["gateway", "through", "from", "why"]
    assert lines[2][:3] == ["not", "192.0.2.9", "tun0"]
    assert lines[4][:3] == ["192.168.1.10:8080/tcp", "8080", "stale"]


def test_nothing_is_drawn_into_a_pipe_and_rich_is_not_even_loaded() -> None:
    code = (
        "import sys; from portmapper.cli import main\n"
        "try: main(['list', '--simulate', '--backend', 'upnp'])\n"
        "except SystemExit: pass\n"
        "sys.exit('rich' in sys.modules)"
    )
    environment = {**os.environ, "TERM": "xterm"}
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment)
    assert (done.returncode, done.stdout) == (0, "the gateway 127.0.0.1 has no mappings\n")
