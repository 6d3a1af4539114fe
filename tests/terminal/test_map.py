"""`portmapper map` in a real terminal: seen, resized, interrupted, and the terminal is left as it was."""

import re
import time

import pytest

from tests.terminal.conftest import OpenWindow
from tests.terminal.terminals import Window, look

SIMULATED = "portmapper map 8080 5000/udp --simulate"
OPEN, UDP_OPEN = "is open at 127", "5000/udp is open at 127"
ROW = r"^5000/udp +(127\.0\.0\.1 +)?mapped +127"
TIME = r"\d\d:\d\d:\d\d  "  # which a table that is kept up to date leaves
NOBODY = "portmapper map 8080 --gateway 127.0.0.9"  # nothing answers there, and after 2.2 s that is said
ESCAPE = b"\x1b"


def interrupt(window: Window) -> list[str]:
    """Press Ctrl-C and return what the window shows then."""
    window.key("C-c")
    assert window.wait_for_prompt() == 130
    return window.lines()


@pytest.mark.parametrize(
    ("command", "stamp"),
    [(SIMULATED, TIME), (f"TERM=dumb {SIMULATED}", ""), (f"NO_COLOR=1 {SIMULATED}", TIME)],
)
def test_ctrl_c_leaves_the_last_lines_and_the_terminal_as_it_was(
    open_window: OpenWindow, command: str, stamp: str
) -> None:
    """The table goes, if there was one; what happened stays, each in a line of its own."""
    line = re.compile(rf"{stamp}127\.0\.0\.1:(8080/tcp|5000/udp) is (open|closed) at 127\.0\.0\.1:\d+( \(.*\))?")
    with open_window(100) as window:
        before = look(window)
        window.start(command)
        window.wait_for(UDP_OPEN)
        shown = [one for one in interrupt(window)[2:-1] if one != "^C"]
        assert [(match[1], match[2]) for one in shown if (match := line.fullmatch(one))] == [
            ("8080/tcp", "open"), ("5000/udp", "open"), ("8080/tcp", "closed"), ("5000/udp", "closed")
        ], shown  # fmt: skip
        assert len(shown) == 4
        assert look(window) == before


@pytest.mark.parametrize("prefix", ["", "NO_COLOR=1 "])
def test_a_table_says_what_is_open_now(open_window: OpenWindow, prefix: str) -> None:
    """What happens scrolls away above it."""
    with open_window(100) as window:
        window.start(prefix + SIMULATED)
        window.wait(
            lambda lines: lines[-4:-3] == [one for one in lines if UDP_OPEN in one] and re.match(ROW, lines[-1])
        )
        shown = window.screen()
        assert re.fullmatch("port +of +state +external +by +renewal +lease ends", shown[-3])
        assert [re.split(" {2,}", row)[:5] for row in shown[-2:]] == [
            ["8080/tcp", "127.0.0.1", "mapped", "127.0.0.1:8080", "pcp on 127.0.0.1"],
            ["5000/udp", "127.0.0.1", "mapped", "127.0.0.1:5000", "pcp on 127.0.0.1"],
        ]
        assert window.state("cursor_flag") == "0"
        assert ("\x1b[32mmapped" in window.coloured()) == (not prefix)
        interrupt(window)
        assert not any(re.match(ROW, one) for one in window.lines())


def test_a_table_drops_columns_and_gets_them_back(open_window: OpenWindow) -> None:
    """The terminal breaks the lines of the table that was there when it got narrow: one such rest may stay."""
    with open_window(100) as window:
        window.start(SIMULATED)
        window.wait_for(ROW)
        window.resize(40)
        window.wait(lambda _: window.screen()[-1] == "5000/udp  mapped  127.0.0.1:5000")
        assert max(map(len, window.screen()[-3:])) <= 38  # room for ^C
        time.sleep(1.2)  # another drawing
        assert sum(bool(re.match(ROW, one)) for one in window.screen()) <= 2
        window.resize(100)
        window.wait(lambda _: "lease ends" in window.screen()[-3])
        interrupt(window)
        assert window.state("cursor_flag") == "1"
        assert sum("is closed at" in one for one in window.lines()) == 2


@pytest.mark.parametrize("columns", [80, 36])
def test_a_narrow_terminal_shows_what_matters(open_window: OpenWindow, columns: int) -> None:
    with open_window(columns) as window:
        window.start(SIMULATED)
        window.wait_for(ROW)
        assert max(map(len, window.screen()[-3:])) <= columns - 2
        interrupt(window)
        assert window.state("cursor_flag") == "1"
        assert not any(one.startswith("5000/udp") for one in window.lines())


def test_what_is_typed_afterwards_is_seen(open_window: OpenWindow) -> None:
    with open_window(80) as window:
        window.start(SIMULATED)
        window.wait_for(UDP_OPEN)
        interrupt(window)
        window.start("echo back again")
        assert window.wait_for("^back again$")[-3].endswith("$ echo back again")


@pytest.mark.parametrize("prefix", ["TERM=dumb ", "NO_COLOR=1 TERM=dumb "])
def test_a_dumb_terminal_gets_no_escape_sequence(open_window: OpenWindow, prefix: str) -> None:
    with open_window(100) as window:
        window.start(prefix + SIMULATED)
        window.wait_for(OPEN)
        interrupt(window)
        assert ESCAPE not in window.raw()


def test_a_wait_is_shown_and_erased(open_window: OpenWindow) -> None:
    with open_window(100) as window:
        window.start(NOBODY)
        window.wait_for(r"Asking 127\.0\.0\.9 to open 8080/tcp")
        assert window.state("cursor_flag") == "0"
        assert window.wait_for_prompt() == 4
        assert window.state("cursor_flag") == "1"
        assert [line for line in window.lines() if "Asking" in line] == []


def test_a_wait_that_is_interrupted_leaves_the_cursor(open_window: OpenWindow) -> None:
    with open_window(100) as window:
        window.start(NOBODY)
        window.wait_for("Asking")
        shown = interrupt(window)
        assert re.match(r"^\[130\]\$ ?$", shown[-1])
        assert window.state("cursor_flag") == "1"


def test_a_wait_survives_a_terminal_that_gets_narrow(open_window: OpenWindow) -> None:
    with open_window(100) as window:
        window.start(NOBODY)
        window.wait_for("Asking")
        window.resize(20)
        assert window.wait_for_prompt() == 4
        window.resize(100)
        assert sum("Asking" in line for line in window.lines()) <= 1
        assert window.state("cursor_flag") == "1"
