"""`list`, `address` and `gateway`: what they say to people in a pipe and to programs."""

import json
import time
from collections.abc import Iterator
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from portmapper.cli.commands import show
from portmapper.cli.options import settings
from portmapper.cli.options.settings import Settings
from portmapper.cli.output import Output
from portmapper.errors import GatewayTimeout, NoService
from portmapper.model import Endpoint, Gateway, Protocol
from portmapper.net import clock
from portmapper.state.folder import StateFolder
from portmapper.state.journal import Note, NoteState
from portmapper.testing import SimulatedGateway
from portmapper.testing.igd_switches import IgdSwitches
from tests.cli.inside import Inside, inside, state
from tests.hostile.rude import a_port
from tests.state.notes import note

__all__ = ["inside", "state"]

HERE = IPv4Address("192.0.2.9")
GATEWAY = Gateway(address=HERE, source=HERE)
SILENT = GatewayTimeout("no answer")


# --- list
@pytest.fixture
def living(state: Path) -> Iterator[StateFolder]:
    """Begin the journal of a program that lives: this one."""
    folder = StateFolder(state)
    folder.begin(time.time())
    yield folder
    folder.end(())


def held(simulated: SimulatedGateway, port: int, external: int, **more: Any) -> Note:
    ends = round(time.time() + 600)
    return note(port, external, gateway=simulated.gateway, since=1_700_000_000.0, ends=ends, **more)


async def _shown(simulated: SimulatedGateway, folder: Path, *, as_json: bool) -> None:
    """List what is on a gateway that runs already."""
    output = Output(as_json=as_json)
    options = Settings(gateway=simulated.gateway, backends=None, simulate=False, output=output, state=folder)
    async with anyio.create_task_group() as tasks:
        await show._list(options, tasks)


def _add(simulated: SimulatedGateway, port: int, to: int, host: str = "127.0.0.1") -> None:
    simulated.table.add(Protocol.TCP, Endpoint(IPv4Address(host), to), port, clock.now() + 500)


@pytest.mark.parametrize("as_json", [False, True], ids=["plain", "json"])
def test_what_the_journal_knows_is_joined_to_what_the_gateway_lists(
    as_json: bool, state: Path, living: StateFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    """One is known from both, one from the journal only, one from the gateway only; of what was asked for: nothing."""
    ports = [a_port() for _ in range(4)]

    async def run() -> None:
        async with SimulatedGateway() as simulated:
            _add(simulated, ports[0], 8080)
            _add(simulated, ports[1], 22, host="127.0.0.9")
            noted = [
                held(simulated, 8080, ports[0]),
                held(simulated, 9000, ports[2], backend="pcp"),
                held(simulated, 9001, ports[3], state=NoteState.ASKED),
                note(9002, ports[3], ends=None),  # on another gateway
            ]
            await anyio.to_thread.run_sync(living.save, noted)
            await _shown(simulated, state, as_json=as_json)

    anyio.run(run)
    out = capsys.readouterr().out.splitlines()
    assert len(out) == 3
    if not as_json:
        assert [line.partition(" (")[0] for line in out] == [
            f"{ports[0]}/tcp to 127.0.0.1:8080",
            f"{ports[1]}/tcp to 127.0.0.9:22",
            f"{ports[2]}/tcp to 127.0.0.1:9000",
        ]
        assert ["this host" in line for line in out] == [True, False, True]
        assert ["journal only" in line for line in out] == [False, False, True]
    else:
        found = [json.loads(line) for line in out]
        assert [one["known_from"] for one in found] == [["gateway", "journal"], ["gateway"], ["journal"]]
        assert [one["own"] for one in found] == [True, False, True]
        assert [one["enabled"] for one in found] == [True, True, None]
        assert [one["noted"] and one["noted"]["living"] for one in found] == [True, None, True]
        assert 590 < found[2]["lifetime"] <= 600


def test_where_nothing_can_be_listed_the_journal_is_shown_and_the_failure_told(
    state: Path, living: StateFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    async def run() -> None:
        async with SimulatedGateway(upnp=False) as simulated:
            await anyio.to_thread.run_sync(living.save, [held(simulated, 9000, 9000)])
            with pytest.raises(ExceptionGroup) as caught:
                await _shown(simulated, state, as_json=False)
            assert isinstance(caught.value.exceptions[0], NoService)
            assert "PCP cannot list mappings" in str(caught.value.exceptions[0])

    anyio.run(run)
    assert capsys.readouterr().out.startswith("9000/tcp to 127.0.0.1:9000 (this host, ")


def test_an_empty_list_is_said_to_people_only(inside: Inside) -> None:
    assert inside("list", "--simulate").out == "the gateway 127.0.0.1 has no mappings\n"
    assert inside("list", "--simulate", "--json").out == ""


def test_a_list_that_nobody_can_give_is_exit_4_with_the_reasons(inside: Inside) -> None:
    done = inside("list", "--simulate", "--backend", "pcp")
    assert (done.code, done.out) == (4, "")
    assert "pcp: PCP cannot list mappings" in done.complaints


# --- address
def lines(capsys: pytest.CaptureFixture[str], answers: Any) -> list[str]:
    Output(as_json=False).address(answers, GATEWAY)
    return capsys.readouterr().out.splitlines()


@pytest.mark.conforms("F29")
@pytest.mark.parametrize(
    ("address", "verdict"),
    [
        ("192.168.1.2", "warning: pcp and upnp agree: 192.168.1.2 is a private address: another router stands between"),
        ("100.64.0.1", "warning: pcp and upnp agree: 100.64.0.1 is shared by your provider (carrier-grade NAT)"),
        ("8.8.8.8", "pcp and upnp agree: 8.8.8.8 is a public address"),
        ("203.0.113.7", "pcp and upnp agree: 203.0.113.7 is not an address of the Internet"),
    ],
)
def test_the_address_stands_alone_and_then_what_it_is_worth(
    address: str, verdict: str, capsys: pytest.CaptureFixture[str]
) -> None:
    told = IPv4Address(address)
    first, second, *rest = lines(capsys, {"pcp": told, "natpmp": SILENT, "upnp": told})
    assert first == address
    assert second.startswith(verdict)
    assert rest == [f"  pcp: {address}", "  natpmp: no answer", f"  upnp: {address}"]


def test_answers_that_differ_are_warned_of_and_the_best_protocol_counts(capsys: pytest.CaptureFixture[str]) -> None:
    first, second, *_ = lines(capsys, {"pcp": IPv4Address("8.8.8.8"), "upnp": IPv4Address("192.168.0.2")})
    assert first == "8.8.8.8"
    assert second == "warning: pcp and upnp differ: 8.8.8.8 is a public address"


def test_no_address_beside_one_is_a_difference(capsys: pytest.CaptureFixture[str]) -> None:
    first, second, *rest = lines(capsys, {"natpmp": None, "upnp": IPv4Address("8.8.8.8")})
    assert (first, second) == ("8.8.8.8", "warning: natpmp and upnp differ: 8.8.8.8 is a public address")
    assert rest[0] == "  natpmp: no external address now"


def test_one_answer_agrees_with_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    assert lines(capsys, {"natpmp": None, "upnp": SILENT})[:2] == [
        "the gateway 192.0.2.9 has no external address now",
        "natpmp says so: the gateway has no external address now",
    ]


@pytest.mark.conforms("PC-145")
def test_the_address_as_an_object(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    strange = IgdSwitches(external_address="100.64.0.1")
    monkeypatch.setattr(settings, "SimulatedGateway", partial(SimulatedGateway, igd=strange, natpmp=False))
    (found,) = inside("address", "--simulate", "--json", "--backend", "upnp", "--backend", "natpmp").objects
    assert "natpmp" in found["answers"]
    error = found["answers"]["natpmp"].pop("error")
    assert error
    assert found == {
        "event": "address",
        "address": "100.64.0.1",
        "reachability": "cgnat",
        "gateway": "127.0.0.1",
        "agree": None,
        "answers": {"upnp": {"address": "100.64.0.1", "error": None}, "natpmp": {"address": None}},
    }


def test_nobody_who_tells_the_address_is_exit_4(inside: Inside) -> None:
    done = inside("address", "--gateway", "127.0.0.2", "--backend", "pcp", "--backend", "natpmp")
    assert (done.code, done.out) == (4, "")
    assert [line.split(":")[0] for line in done.complaints.splitlines()[1:]] == ["  pcp", "  natpmp"]
