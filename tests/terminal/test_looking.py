"""The commands that look, in a real terminal: drawn to its width, and plain where they are not to draw."""

import pytest

from tests.terminal.conftest import OpenWindow
from tests.terminal.terminals import look

DOCTOR, BACKENDS = "portmapper doctor 8080 --simulate", "portmapper backends"
ESCAPE, COLOUR = b"\x1b", b"\x1b[3"


def test_the_doctor_breaks_lines_between_words(open_window: OpenWindow) -> None:
    with open_window(40, 100) as window:
        assert window.run(DOCTOR) == 1  # nobody listens there
        shown = window.lines()
    text = " ".join(line.strip() for line in shown)
    assert "Start the program that is to be reached, and see in its settings that it uses port 8080." in text
    assert "no host outside was asked, and no name looked up" in text


def test_the_doctor_shows_that_it_is_at_work_and_can_be_interrupted(open_window: OpenWindow) -> None:
    with open_window(100) as window:
        before = look(window)
        window.start(DOCTOR)
        window.wait_for("Looking around")
        window.key("C-c")
        assert window.wait_for_prompt() == 130
        assert look(window) == before


@pytest.mark.parametrize("columns", [30, 100])
def test_a_table_has_room(open_window: OpenWindow, columns: int) -> None:
    with open_window(columns) as window:
        assert window.run(BACKENDS) == 0
        shown = window.lines()
        names = [line.split()[0] for line in shown if line.startswith(("pcp", "natpmp", "upnp"))]
        assert names == ["pcp", "natpmp", "upnp"]
        assert ESCAPE in window.raw()
    assert ("built-in" in "".join(shown)) == (columns == 100)


@pytest.mark.parametrize(
    ("prefix", "drawn", "coloured"), [("", True, True), ("NO_COLOR=1 ", True, False), ("TERM=dumb ", False, False)]
)
def test_a_table_is_drawn_only_where_it_can_be(
    open_window: OpenWindow, prefix: str, drawn: bool, coloured: bool
) -> None:
    with open_window(120) as window:
        assert window.run(f"{prefix}{BACKENDS} --probe --simulate") == 0
        assert any(line.startswith("name ") for line in window.lines()) == drawn
        assert (ESCAPE in window.raw()) == drawn
        assert (COLOUR in window.raw()) == coloured


def test_what_goes_into_a_pipe_is_plain(open_window: OpenWindow) -> None:
    with open_window(40) as window:
        assert window.run(f"{BACKENDS} | cat") == 0
        assert ESCAPE not in window.raw()
        assert b"pcp" in window.raw()
