"""`portmapper watch` in a real terminal: one view that is kept up to date, whatever happens to the window."""

import re

import pytest

from tests.terminal.conftest import OpenWindow
from tests.terminal.terminals import Window, look

WATCH = "portmapper watch --simulate"
HEAD, LAST = r"^127\.0\.0\.1  \d\d:\d\d:\d\d", r"\d\d:\d\d:\d\d the external address"


def heads(window: Window) -> int:
    return sum(bool(re.match(HEAD, line)) for line in window.screen())


@pytest.mark.parametrize(("prefix", "columns"), [("NO_COLOR=1 ", 100), ("", 40)])
def test_ctrl_c_leaves_one_view_and_the_terminal_as_it_was(open_window: OpenWindow, prefix: str, columns: int) -> None:
    """In 40 columns the last line is cut, and ^C needs room behind it."""
    with open_window(columns) as window:
        before = look(window)
        window.start(prefix + WATCH)
        window.wait_for(LAST)
        assert window.state("cursor_flag") == "0"
        window.key("C-c")
        assert window.wait_for_prompt() == 130
        shown = window.lines()
        assert heads(window) == 1
        assert re.match(LAST, shown[-2])
        assert look(window) == before


def test_a_window_that_changes_shows_one_view(open_window: OpenWindow) -> None:
    """Narrower, every line is cut rather than broken; wider again, there is what there was."""
    with open_window(100, 30) as window:
        window.start(WATCH)
        window.wait_for(LAST)
        wide = window.screen()[-1]
        window.resize(40, 30)
        window.wait(lambda _: window.screen()[-1].startswith(wide[:36]) and max(map(len, window.screen())) <= 40)
        assert window.screen()[-1] != wide
        window.resize(100, 30)
        window.wait(lambda _: window.screen()[-1] == wide)
        window.key("C-c")
        assert window.wait_for_prompt() == 130
        assert window.state("cursor_flag") == "1"


def test_a_dumb_terminal_gets_a_line_for_each_change(open_window: OpenWindow) -> None:
    with open_window(100) as window:
        window.start(f"TERM=dumb {WATCH}")
        window.wait_for(LAST)
        window.key("C-c")
        assert window.wait_for_prompt() == 130
        assert b"\x1b" not in window.raw()
