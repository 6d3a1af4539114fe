"""The terminal notices what a program would leave behind."""

import pytest

from tests.terminal.conftest import OpenWindow
from tests.terminal.terminals import look


@pytest.mark.parametrize(
    "damage",
    ["stty -echo", "printf '\\033[?25l'", "printf '\\033[?1049h'", "printf '\\033[?7l'", "printf '\\033[?1000h'"],
)
def test_damage_shows(open_window: OpenWindow, damage: str) -> None:
    with open_window(80) as window:
        before = look(window)
        assert look(window) == before
        assert window.run(f"{damage}; false") == 1
        assert look(window) != before


def test_escape_sequences_and_colours_show(open_window: OpenWindow) -> None:
    with open_window(80) as window:
        window.run("printf '\\033[31mred\\033[0m\\n'")
        assert b"\x1b[31m" in window.raw()
        assert "\x1b[31mred" in window.coloured()
        assert "red" in window.lines()
