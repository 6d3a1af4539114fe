"""Each exit code that is documented, met; 128 + n is in test_command."""

import re
import time
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path

import click
import pytest

from portmapper.cli import app as command
from portmapper.cli.commands import show
from portmapper.model import Gateway
from portmapper.state.folder import StateFolder
from tests.cli.inside import Inside, inside, state
from tests.state.notes import note

__all__ = ["inside", "state"]

ROOT = Path(__file__).parent.parent.parent
NOWHERE = Gateway(address=IPv4Address("127.0.0.2"), source=IPv4Address("127.0.0.1"))


@pytest.fixture
def in_use(state: Path) -> Iterator[None]:
    """Let another program have port 8080."""
    folder = StateFolder(state)
    folder.begin(time.time())
    folder.save([note(8080, gateway=NOWHERE, ends=None)])
    yield
    folder.end(())


@pytest.mark.parametrize(
    ("code", "arguments"),
    [
        (0, ["address", "--simulate"]),
        (2, ["map", "web"]),
        (2, ["address", "--backend", "carrier-pigeon"]),
        (3, ["address", "--interface", "nosuch0"]),
        (3, ["gateway", "--interface", "nosuch0"]),
        (4, ["address", "--gateway", "127.0.0.2", "--backend", "pcp"]),
        (5, ["map", "8080", "--simulate", "--backend", "pcp", "--third-party", "127.0.0.2"]),
        (6, ["map", "8080", "--gateway", "127.0.0.2"]),
    ],
)
@pytest.mark.usefixtures("in_use")
def test_each_code_is_met(code: int, arguments: list[str], inside: Inside) -> None:
    done = inside(*arguments)
    assert done.code == code, done.complaints
    assert bool(done.complaints) == bool(code)


def test_what_is_left_over_is_1(inside: Inside, state: Path) -> None:
    """What a dead program left and nobody can remove."""
    dead = StateFolder(state)
    dead.begin(time.time())
    dead.save([note(8081, gateway=NOWHERE, ends=None)])
    dead.abandon()
    assert inside("unmap", "--stale", "--gateway", "127.0.0.2", "--backend", "pcp").code == 1


@pytest.mark.parametrize(("interruption", "code"), [(KeyboardInterrupt, 130), (click.Abort, 1)])
def test_an_interruption_before_anything_began_is_130_and_no_to_a_question_is_1(
    inside: Inside, monkeypatch: pytest.MonkeyPatch, interruption: type[BaseException], code: int
) -> None:
    def interrupt(*_: object) -> None:
        raise interruption

    monkeypatch.setattr(show, "settings_of", interrupt)
    assert inside("address").code == code


def _documented() -> dict[str, str]:
    """Return the table in whichever page has it."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    for page in pages:
        _, found, table = page.read_text().partition("\n| exit code | meaning")
        if found:
            rows = re.findall(r"^\| (\S[^|]*?) +\| ([^|]+?) +\|$", table.partition("\n\n")[0], re.MULTILINE)
            return {code: meaning for code, meaning in rows if code != "---"}
    raise AssertionError("no page has the table of exit codes")


def test_the_help_and_the_pages_name_the_same_codes(inside: Inside) -> None:
    told = dict(re.findall(r"^ +(\d|128 \+ n) {2,}(\S.*)$", inside("--help").out, re.MULTILINE))
    documented = _documented()
    assert list(told) == list(documented)
    for code, meaning in told.items():
        words = meaning.partition(" (")[0].partition(",")[0]
        assert documented[code].startswith(words), code
    constants = {str(value) for name, value in vars(command).items() if name.startswith("EXIT_")}
    assert constants <= set(documented)
