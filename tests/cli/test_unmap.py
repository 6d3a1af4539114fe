"""`unmap --all-mine`: it asks, it says what became of each, and it leaves other hosts alone."""

import io
import sys
from functools import partial
from ipaddress import IPv4Address

import pytest

from portmapper.cli.options import settings
from portmapper.model import Endpoint, Protocol
from portmapper.net import clock
from portmapper.testing import SimulatedGateway
from portmapper.testing.igd_switches import IgdSwitches
from portmapper.testing.table import Entry
from tests.cli.inside import Inside, inside, state
from tests.hostile.rude import a_port

__all__ = ["inside", "state"]

PORTS = [a_port() for _ in range(3)]
left: list[Entry] = []


class Full(SimulatedGateway):
    """Has two mappings of this host and one of another when it starts; notes what is left at its end."""

    def _start(self) -> None:
        super()._start()
        for port, host in zip(PORTS, ("127.0.0.1", "127.0.0.1", "127.0.0.9"), strict=True):
            self.table.add(Protocol.TCP, Endpoint(IPv4Address(host), port), port, clock.now() + 500, description="web")

    async def __aexit__(self, *exc: object) -> None:
        left[:] = list(self.table)
        await super().__aexit__(None, None, None)


@pytest.fixture(autouse=True)
def full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "SimulatedGateway", Full)
    left.clear()


def ports_left() -> list[int]:
    return [entry.external_port for entry in left]


class Terminal(io.StringIO):
    """Somebody who types."""

    def isatty(self) -> bool:
        return True


def type_in(answer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let somebody sit at a terminal and type; in the test itself, for pytest puts its own streams in place before."""
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)


def test_what_this_host_has_goes_and_each_is_told(inside: Inside) -> None:
    done = inside("unmap", "--all-mine", "--yes", "--simulate", "--json", "--backend", "upnp")
    assert (done.code, done.complaints) == (0, "")
    assert [(one["event"], one["external"]["port"], one["removed"]) for one in done.objects] == [
        ("cleared", PORTS[0], True),
        ("cleared", PORTS[1], True),
    ]
    assert ports_left() == PORTS[2:]


def test_what_nat_pmp_removes_unseen_is_told_by_protocol(inside: Inside) -> None:
    done = inside("unmap", "--all-mine", "--yes", "--simulate", "--backend", "natpmp")
    assert done.out.splitlines() == [
        "all/tcp is no longer mapped at 127.0.0.1 (confirmed by natpmp)",
        "all/udp is no longer mapped at 127.0.0.1 (confirmed by natpmp)",
    ]
    assert ports_left() == PORTS[2:]


@pytest.mark.parametrize("form", [(), ("--json",)], ids=["plain", "json"])
def test_without_a_terminal_it_takes_yes_and_sends_nothing(form: tuple[str, ...], inside: Inside) -> None:
    done = inside("unmap", "--all-mine", "--simulate", *form)
    assert (done.code, done.out) == (2, "")
    assert "--yes" in done.complaints
    assert ports_left() == []  # it did not even start


@pytest.mark.parametrize(("answer", "code", "stay"), [("n\n", 1, PORTS), ("", 1, PORTS), ("y\n", 0, PORTS[2:])])
def test_on_a_terminal_it_shows_them_and_asks(
    answer: str, code: int, stay: list[int], inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    type_in(answer, monkeypatch)
    done = inside("unmap", "--all-mine", "--simulate", "--backend", "upnp")
    assert done.code == code
    assert done.out.startswith(f"{PORTS[0]}/tcp to 127.0.0.1:{PORTS[0]} (this host, ")
    assert f"{PORTS[2]}/tcp" not in done.out
    assert "Remove all that this host has there? [y/N]" in done.out + done.complaints
    assert ports_left() == stay


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--all-mine", "8080"], "--all-mine goes without PORT"),
        (["--all-mine", "--stale"], "--stale goes without PORT, --all-mine"),
        ([], "Missing argument"),
    ],
)
def test_what_contradicts_itself_is_exit_2(arguments: list[str], says: str, inside: Inside) -> None:
    done = inside("unmap", *arguments)
    assert done.code == 2
    assert says in done.complaints


def test_what_stays_is_exit_1_and_told(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    refusing = IgdSwitches(refuses={"DeletePortMapping": 606})
    monkeypatch.setattr(settings, "SimulatedGateway", partial(Full, igd=refusing))
    done = inside("unmap", "--all-mine", "--yes", "--simulate", "--backend", "upnp")
    assert done.code == 1
    assert [" stays at 127.0.0.1: " in line for line in done.out.splitlines()] == [True, True]
    assert f"not removed: {PORTS[0]}/tcp, {PORTS[1]}/tcp" in done.complaints


def test_a_range_and_both_protocols_are_removed_one_by_one(inside: Inside) -> None:
    first = PORTS[0]
    done = inside("unmap", str(first), "9000-9001/both", "--simulate", "--json", "--backend", "natpmp")
    assert [(one["event"], one["protocol"], one["internal"]["port"]) for one in done.objects] == [
        ("unmapped", "tcp", first),
        ("unmapped", "tcp", 9000),
        ("unmapped", "udp", 9000),
        ("unmapped", "tcp", 9001),
        ("unmapped", "udp", 9001),
    ]
    assert ports_left() == PORTS[1:]
