"""`portmapper run` and job control in a real terminal: the child has it, and everybody gives it back."""

import shlex

from tests.terminal.conftest import OpenWindow
from tests.terminal.terminals import look

CHILD = """trap 'echo trapped' INT; echo be''gun; sleep 9; read line; echo got $line; exit 7"""


def test_the_child_has_the_keyboard_and_ctrl_c(open_window: OpenWindow) -> None:
    """A child that goes on after Ctrl-C keeps its port, and its exit code is that of the command."""
    with open_window(120) as window:
        before = look(window)
        window.start(f"portmapper run 8080 --simulate -- sh -c {shlex.quote(CHILD)}")
        window.wait_for("^begun$")
        window.key("C-c")
        window.wait_for("trapped$")
        window.letters("hello")
        window.key("Enter")
        assert window.wait_for_prompt() == 7
        shown = [one.removeprefix("^C") for one in window.lines() if one.removeprefix("^C")]
        assert shown[-6:-2] == ["begun", "trapped", "hello", "got hello"]
        assert "is open at" in shown[-7]
        assert "is closed at" in shown[-2]
        assert look(window) == before


def test_a_command_that_is_stopped_goes_on(open_window: OpenWindow) -> None:
    with open_window(100) as window:
        before = look(window)
        window.start("portmapper map 8080 --simulate")
        window.wait_for("^8080/tcp +(127.0.0.1 +)?mapped")
        window.key("C-z")
        assert window.wait_for_prompt() == 148
        window.letters("fg")
        window.key("Enter")
        window.wait(lambda lines: "mapped" in lines[-1])
        window.key("C-c")
        assert window.wait_for_prompt() == 130
        assert "is closed at" in window.lines()[-2]
        assert look(window) == before
