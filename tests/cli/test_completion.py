"""What the shell is told to complete, asked as it asks; and the scripts, given to the shells that are here."""

import os
import shutil
import subprocess
import sys
from ipaddress import IPv4Address
from pathlib import Path

import click
import pytest
from click.shell_completion import CompletionItem, ShellComplete

from portmapper.cli.app import app
from portmapper.cli.options import completing
from portmapper.gateway.tables.ranking import Candidate
from portmapper.model import Gateway
from tests.cli.inside import Inside, inside, state

__all__ = ["inside", "state"]

ROUTER, OTHER, HERE = IPv4Address("192.0.2.1"), IPv4Address("192.0.3.1"), IPv4Address("192.0.2.9")


@pytest.fixture(autouse=True)
def routes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two routers that can be asked, by one interface each, and a tunnel."""
    found = tuple(
        (
            Candidate(address, interface, None, HERE, rank, (), usable=address is not None),
            None if address is None else Gateway(address=address, source=HERE),
        )
        for rank, (address, interface) in enumerate([(ROUTER, "eth0"), (OTHER, "wlan0"), (None, "tun0")])
    )
    monkeypatch.setattr(completing, "survey", lambda: found)


def completed(*words: str) -> list[CompletionItem]:
    *before, last = words
    return ShellComplete(app, {}, "portmapper", "_PORTMAPPER_COMPLETE").get_completions(before, last)


def values(*words: str) -> list[str]:
    return [one.value for one in completed(*words)]


def test_every_command_and_its_options_are_completed() -> None:
    assert {"map", "unmap", "list", "address", "gateway", "watch", "doctor", "backends"} < set(values(""))
    assert values("addr") == ["address"]
    assert {"--gateway", "--interface", "--backend", "--json"} <= set(values("list", "--"))


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("map", "--interface", ""), ["eth0", "tun0", "wlan0"]),
        (("map", "--interface", "w"), ["wlan0"]),
        (("list", "--gateway", ""), ["192.0.2.1", "192.0.3.1"]),
        (("address", "--gateway", "192.0.3"), ["192.0.3.1"]),
        (("address", "--backend", "p"), ["pcp"]),
        (("completion", ""), ["bash", "zsh", "fish"]),
    ],
)
def test_names_of_this_host_are_completed(words: tuple[str, ...], wanted: list[str]) -> None:
    assert values(*words) == wanted


def test_each_comes_with_a_word_about_it() -> None:
    assert {one.value: one.help for one in completed("map", "--gateway", "")}["192.0.2.1"] == "through eth0"
    assert {one.value: one.help for one in completed("map", "--backend", "")}["pcp"] == "built-in"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_one_that_its_shell_understands(shell: str, inside: Inside) -> None:
    done = inside("completion", shell)
    assert (done.code, done.complaints) == (0, "")
    assert f"_PORTMAPPER_COMPLETE={shell}_complete" in done.out
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=done.out, text=True, check=True, timeout=20)


ASKED = {
    "bash": """eval "$(portmapper completion bash)"
        asked() {
            COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
            _portmapper_completion portmapper
            echo "${COMPREPLY[@]}"
        }
        asked portmapper addr; asked portmapper map 8080 --exa""",
    "fish": """portmapper completion fish | source
        complete -C 'portmapper addr'; complete -C 'portmapper map 8080 --exa'""",
}
"""How a shell asks, whose script is loaded, without anybody who presses Tab."""


@pytest.mark.parametrize("shell", ASKED)
def test_a_shell_that_has_the_script_completes_by_the_real_command(shell: str) -> None:
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not here")
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        [shell, "-c", ASKED[shell]], env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["address", "--exact"], done
    assert done.stderr == ""


def test_the_name_of_a_file_is_left_to_the_shell() -> None:
    for words in (("map", "8080", "--write", "po"), ("doctor", "--bundle", "po")):
        assert [one.type for one in completed(*words)] == ["file"], words


def test_the_shell_in_use_is_taken_and_has_to_be_known(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL", "/usr/bin/fish")
    assert "fish_complete" in inside("completion").out
    monkeypatch.setenv("SHELL", "/bin/dash")
    done = inside("completion")
    assert (done.code, done.complaints) == (2, "portmapper: name the shell: bash, zsh, fish\n")


def test_every_command_is_where_it_is_looked_for_and_its_help_teaches_by_example() -> None:
    with click.Context(app) as context:
        for name in app.list_commands(context):
            command = app.get_command(context, name)
            assert command is not None
            assert command.name == name
            assert f"portmapper {name}" in (command.help or "").partition("\n")[2], name
        assert app.get_command(context, "fly") is None


def test_a_command_does_not_load_what_another_needs() -> None:
    code = "import sys; from portmapper.cli import main\ntry: main(['gateway', '--gateway', '127.0.0.2'])\n"
    code += "finally: sys.exit(bool({'portmapper.doctor', 'httpcore', 'rich'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL).returncode == 0


@pytest.mark.parametrize("words", [(), ("map",), ("run",)])
def test_help_is_asked_for_by_a_letter_too(inside: Inside, words: tuple[str, ...]) -> None:
    assert inside(*words, "-h").out == inside(*words, "--help").out


def test_the_list_of_commands_cuts_no_sentence(inside: Inside) -> None:
    commands = inside("--help").out.partition("Commands:\n")[2].partition("\n\n")[0]
    lines = commands.splitlines()
    assert len(lines) > 8
    assert not [line for line in lines if line.endswith("...")]
