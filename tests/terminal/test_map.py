"""`portmapper map` in a real terminal: seen, resized, interrupted, and the terminal is left as it was."""

import re

import pytest

from tests.terminal.conftest import OpenWindow
from tests.terminal.terminals import Window, look

SIMULATED = "portmapper map 8080 5000/udp --simulate"
OPEN, CLOSED = r"is open at 127\.0\.0\.1:\d+", r"is closed at 127\.0\.0\.1:\d+"
TIME = r"\d\d:\d\d:\d\d"  # which a table that is kept up to date leaves
NOBODY = "portmapper map 8080 --gateway 127.0.0.9"  # nothing answers there, and after 2.2 s that is said
ESCAPE = b"\x1b"


def interrupt(window: Window) -> list[str]:
    """Press Ctrl-C and return what the window shows then."""
    window.key("C-c")
    assert window.wait_for_prompt() == 130
    return window.lines()


@pytest.mark.parametrize("command", [SIMULATED, f"TERM=dumb {SIMULATED}", f"NO_COLOR=1 {SIMULATED}"])
def test_ctrl_c_leaves_the_last_lines_and_the_terminal_as_it_was(open_window: OpenWindow, command: str) -> None:
    with open_window(100) as window:
        before = look(window)
        window.start(command)
        window.wait_for("5000/udp .*127.0.0.1")
        shown = interrupt(window)
        assert [bool(re.fullmatch(f"({TIME}  )?127.0.0.1:\\d+/(tcp|udp) {CLOSED}", line)) for line in shown[-3:]] == [
            True,
            True,
            False,
        ]
        assert look(window) == before


def test_what_is_typed_afterwards_is_seen(open_window: OpenWindow) -> None:
    with open_window(80) as window:
        window.start(SIMULATED)
        window.wait_for("5000/udp .*127.0.0.1")
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
