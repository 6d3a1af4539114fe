"""`portmapper watch`: a line or an object for each change, and the view on a terminal."""

import json
import os
import re
import signal
import subprocess
import sys
from ipaddress import IPv4Address
from typing import Any, get_args

import jsonschema
import pytest

from portmapper import limits
from portmapper.announcements import Announcement, Source
from portmapper.cli.drawing.screen import Screen
from portmapper.cli.words.watched import sighting_line, sighting_object
from portmapper.errors import GatewayTimeout
from portmapper.known import KnownMapping
from portmapper.model import ListedMapping, Protocol
from portmapper.sightings import (
    AddressSeen,
    Announced,
    Answered,
    Answering,
    Appeared,
    Disappeared,
    FellSilent,
    Moved,
    Restarted,
    Sighting,
    View,
)
from tests.cli.inside import Inside, inside, state
from tests.cli.test_command import environment
from tests.cli.test_schema import SCHEMA, check
from tests.hostile.test_shown_text import PAYLOADS, is_harmless
from tests.state.notes import GATEWAY

__all__ = ["environment", "inside", "state"]

NOW = 1_700_000_000.0
CGNAT = IPv4Address("100.64.0.1")


def mapping(port: int, description: str = "web") -> KnownMapping:
    listed = ListedMapping(
        remote_host="",
        external_port=port,
        protocol=Protocol.TCP,
        internal_port=80,
        internal_client="192.168.1.20",
        enabled=True,
        description=description,
        lifetime=60,
    )
    return KnownMapping(listed, None, NOW)


SIGHTINGS: list[Sighting] = [
    Moved(GATEWAY, None),
    Announced(GATEWAY, Announcement(Source.NAT_PMP, "address")),
    Restarted(GATEWAY),
    Answered(GATEWAY, "pcp", Answering(0.0123, 3600)),
    FellSilent(GATEWAY, "upnp", GatewayTimeout("no answer")),
    AddressSeen(GATEWAY, CGNAT, None),
    Appeared(GATEWAY, mapping(8080)),
    Disappeared(GATEWAY, mapping(8080)),
    Moved(None, GATEWAY),
]
LINES = [
    "watching 192.168.1.1 through eth0, from 192.168.1.10",
    "announced in the name of 192.168.1.1: NAT-PMP address",
    "192.168.1.1 has lost its state: it restarted, or was reset",
    "pcp answers in 12.3 ms; it has had its state for 3600 s",
    "upnp does not answer: no answer",
    "the external address is 100.64.0.1; warning: 100.64.0.1 is shared by your provider (carrier-grade NAT): peers on",
    "+ 8080/tcp to 192.168.1.20:80 (60 s left, web)",
    "- 8080/tcp to 192.168.1.20:80 (60 s left, web)",
    "there is no gateway to watch now",
]


@pytest.mark.parametrize(("sighting", "line"), list(zip(SIGHTINGS, LINES, strict=True)))
def test_each_sighting_is_one_line_with_its_time(sighting: Sighting, line: str) -> None:
    shown = sighting_line(sighting, NOW)
    assert re.match(r"\d\d:\d\d:\d\d " + re.escape(line), shown)
    assert "\n" not in shown


def test_every_sighting_has_its_schema_and_every_schema_its_sighting() -> None:
    assert {type(one) for one in SIGHTINGS} == set(get_args(Sighting))
    found = [sighting_object(one, NOW) for one in SIGHTINGS]
    assert {check(one) for one in found} == {"watched"}
    kinds = [one["properties"]["what"]["const"] for one in SCHEMA["$defs"]["watched"]["oneOf"]]
    assert sorted({one["what"] for one in found}) == sorted(kinds)
    with pytest.raises(jsonschema.ValidationError):
        check({**found[2], "more": 1})


def test_the_words_for_announcements_are_those_of_the_schema() -> None:
    (announced,) = (
        one for one in SCHEMA["$defs"]["watched"]["oneOf"] if one["properties"]["what"]["const"] == "announced"
    )
    assert announced["properties"]["by"]["enum"] == list(Source)


def drawn(view: View, *sightings: Sighting, width: int = 120, height: int = 24) -> list[str]:
    from rich.console import Console

    screen, console = Screen(), Console(width=width, height=height, color_system=None)
    for one in sightings:
        screen.take(one, NOW)
    with console.capture() as capture:
        console.print(screen.draw(view, width, height, NOW))
    return capture.get().splitlines()


VIEW = View(
    GATEWAY, {"pcp": Answering(0.1, 5), "upnp": GatewayTimeout("no answer")}, CGNAT, (mapping(9090), mapping(8080))
)


def test_the_view_shows_what_there_is_and_below_it_what_happened_last() -> None:
    lines = drawn(VIEW, *SIGHTINGS[:8])
    assert lines[0].startswith("192.168.1.1 ")
    assert lines[1].startswith("100.64.0.1 is shared by your provider (carrier-grade NAT)")
    assert lines[2] == "pcp answers, upnp is silent"
    assert lines[4].split() == ["external", "to", "this", "host", "left", "known", "from", "program", "description"]
    assert lines[5].split() == ["9090/tcp", "192.168.1.20:80", "1", "min", "gateway", "web"]
    assert lines[-1].endswith("- 8080/tcp to 192.168.1.20:80 (60 s left, web)")


@pytest.mark.parametrize(("width", "height"), [(200, 50), (80, 24), (40, 24), (34, 16)])
def test_the_view_fits_into_any_terminal(width: int, height: int) -> None:
    many = View(GATEWAY, VIEW.backends, CGNAT, tuple(mapping(8000 + port) for port in range(100)))
    lines = drawn(many, *SIGHTINGS, *SIGHTINGS, width=width, height=height)
    assert max(map(len, lines)) <= width
    assert len(lines) <= max(height - 1, limits.WATCHED_LAST + 8)
    assert any(re.match(r"and \d+ more", line) for line in lines)
    assert any("8000/tcp" in line for line in lines)


def test_what_is_left_of_a_lease_goes_down_between_two_looks() -> None:
    from rich.console import Console

    console = Console(width=120, color_system=None)
    with console.capture() as capture:
        console.print(Screen().draw(VIEW, 120, 24, NOW + 20))
    assert capture.get().count("  40 s  ") == 2


def test_before_the_first_look_it_says_that_it_asks() -> None:
    assert [line for line in drawn(View()) if line][1:] == ["no external address is told", "asking ...", "no mappings"]


@pytest.mark.parametrize("name", PAYLOADS)
def test_no_text_of_a_router_steers_the_terminal(name: str) -> None:
    rude = mapping(8080, PAYLOADS[name])
    sighting = Appeared(GATEWAY, rude)
    assert is_harmless("\n".join(drawn(View(GATEWAY, {}, None, (rude,)), sighting)))
    assert is_harmless(sighting_line(sighting, NOW))
    assert json.dumps(sighting_object(sighting, NOW)).isascii()


def test_too_short_an_interval_is_exit_2(inside: Inside) -> None:
    done = inside("watch", "--interval", "1", "--simulate")
    assert (done.code, done.complaints.count("\n")) == (2, 1)
    assert done.complaints == "portmapper: interval must be at least 5 seconds\n"


def test_it_goes_on_until_interrupted_and_each_object_is_of_the_schema(environment: dict[str, str]) -> None:
    command = [sys.executable, "-W", "error", "-m", "portmapper", "watch", "--simulate", "--json"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        found: list[dict[str, Any]] = [json.loads(process.stdout.readline()) for _ in range(5)]
        process.send_signal(signal.SIGINT)
        assert process.wait(5) == 128 + signal.SIGINT
        assert process.stderr.read() == ""
    assert {check(one) for one in found} == {"watched"}
    assert [one["what"] for one in found] == ["gateway", "answering", "answering", "answering", "address"]


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")
@pytest.mark.parametrize("colour", [True, False])
def test_on_a_terminal_it_is_a_view_that_leaves_the_cursor_behind(environment: dict[str, str], colour: bool) -> None:
    import pty

    leader, follower = pty.openpty()
    more = {"TERM": "xterm", **({} if colour else {"NO_COLOR": "1"})}
    command = [sys.executable, "-m", "portmapper", "watch", "--simulate"]
    with subprocess.Popen(command, stdout=follower, stderr=follower, env={**environment, **more}) as process:
        os.close(follower)
        shown = b""
        while b"upnp answers" not in shown:
            shown += os.read(leader, 4096)
        process.send_signal(signal.SIGINT)
        try:
            while chunk := os.read(leader, 4096):
                shown += chunk
        except OSError:  # how a pseudo-terminal says that the other side is closed
            pass
        os.close(leader)
        assert process.wait(5) == 128 + signal.SIGINT
    assert shown.count(b"\x1b[?25l") == shown.count(b"\x1b[?25h") == 1
    assert (b"\x1b[32m" in shown) == colour
    assert b"Traceback" not in shown
