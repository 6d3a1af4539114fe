"""The pictures show what the terminal showed, and can be made at any time."""

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.terminal import picture, screenshots
from tests.terminal.recording import Recording
from tests.terminal.screenshots import Still
from tests.terminal.terminals import Server

SVG = "{http://www.w3.org/2000/svg}"


def texts(svg: str) -> list[str]:
    """Return the lines of a still picture."""
    root = ElementTree.fromstring(svg)
    lines = {line.attrib["id"]: "".join(line.itertext()) for line in root.iter(f"{SVG}g") if "id" in line.attrib}
    return [lines[use.attrib["href"][1:]] for use in root.iter(f"{SVG}use")]


def test_a_picture_has_the_text_its_colours_and_its_columns() -> None:
    svg = picture.still("plain \x1b[31mred\x1b[0m <&>\n\n\x1b[7mother way\x1b[0m round\n\n", 40, "a title")
    assert texts(svg) == ["plain red <&>", "other way round"]
    assert (
        'x="50.4" y="14" textLength="25.2" lengthAdjust="spacingAndGlyphs" xml:space="preserve" fill="#cc555a"' in svg
    )
    assert "http" not in svg.replace("http://www.w3.org/2000/svg", "")


def test_a_moving_picture_has_every_screen_at_its_time() -> None:
    svg = picture.moving([(0.0, "one"), (1.0, "two"), (2.0, "one")], 40, "a title")
    assert texts(svg) == ["one", "two", "one"]
    assert re.findall(r"([\d.]+)%", svg) == ["0.000", "20.000", "40.000"]


def test_the_command_can_be_taken_in_a_picture(terminal_server: Server, tmp_path: Path) -> None:
    screenshots.take(terminal_server, Still("address", "portmapper address --simulate", r"^127\.0\.0\.1"), tmp_path)
    shown = texts((tmp_path / "address.svg").read_text())
    assert shown[0] == "$ portmapper address --simulate"
    assert shown[1].startswith("127.0.0.1")


def test_a_recording_has_all_that_came_and_when(terminal_server: Server) -> None:
    with terminal_server.window(60, 10, {"PS1": "$ "}) as window:
        recording = Recording(window, 60, 10)
        recording.type("echo é")
        recording.wait(1)
        head, *lines = map(json.loads, recording.cast("a title").splitlines())
    assert (head["version"], head["width"], head["height"]) == (2, 60, 10)
    assert "".join(text for _, _, text in lines) == "$ echo é\r\né\r\n$ "
    times = [when for when, _, _ in lines]
    assert times == sorted(times)
    assert recording.frames[0][1].startswith("$")
    assert recording.frames[-1][1].startswith("$ echo é\né\n$")


@pytest.mark.parametrize("name", [*(f"{one.name}.svg" for one in screenshots.STILLS), "map-session.svg"])
def test_each_picture_is_there_and_whole(name: str) -> None:
    assert any("portmapper" in line for line in texts((screenshots.ASSETS / name).read_text()))
