"""The reference pages name what there is: every command, option, event and exit code, and no other."""

import json
import re
from pathlib import Path

import click
import pytest

import portmapper
from portmapper import callback, natpmp, pcp, sync, testing
from portmapper.cli import app
from tests.docs.blocks import ROOT, blocks

DOCS = ROOT / "docs"
JSON = (DOCS / "reference/json.md").read_text("utf-8")
COMMAND = (DOCS / "reference/command.md").read_text("utf-8")
_CONTEXT = click.Context(app.app)
COMMANDS = {name: app.app.get_command(_CONTEXT, name) for name in app.app.list_commands(_CONTEXT)}
SCHEMA = json.loads((ROOT / "portmapper/cli/schema.json").read_text("utf-8"))


def first_cells(text: str, heading: str) -> list[str]:
    """Return the first cells of the tables below a heading."""
    section = text.partition(f"{heading}\n")[2].partition("\n## ")[0]
    return [line.split("|")[1].strip() for line in section.splitlines() if line.startswith("| ")]


def test_each_event_of_the_schema_is_explained() -> None:
    told = re.findall(r"^\| `(\w+)` \| (?:`|all)", JSON, re.MULTILINE)
    assert set(told) >= {reference["$ref"].rpartition("/")[2] for reference in SCHEMA["oneOf"]}
    assert set(told) <= set(SCHEMA["$defs"])


def test_the_exit_codes_are_those_of_the_help() -> None:
    codes = [cell for cell in first_cells(JSON, "## Exit codes") if cell not in {"exit code", "---"}]
    assert codes == re.findall(r"^  (\d(?: \+ n)?|128 \+ n)  ", app.app.epilog or "", re.MULTILINE)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_each_command_and_each_of_its_options_is_explained(name: str) -> None:
    assert f"## `{name}`" in COMMAND
    command = COMMANDS[name]
    assert command is not None
    options = [option for one in command.params if isinstance(one, click.Option) for option in one.opts]
    assert [option for option in options if f"`{option}" not in COMMAND and option != "--help"] == []


def test_no_option_is_explained_that_is_not_there() -> None:
    known = {option for command in COMMANDS.values() if command for one in command.params for option in one.opts}
    told = {option for path in DOCS.rglob("*.md") for option in re.findall(r"`(--[a-z0-9-]+)", path.read_text("utf-8"))}
    assert told - known - {"--version", "--help"} == set()


def test_each_command_is_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    assert [name for name in COMMANDS if f"`portmapper {name}" not in readme] == []


MODULES = {"": portmapper, "natpmp.": natpmp, "pcp.": pcp, "testing.": testing, "sync.": sync, "callback.": callback}


def test_each_public_name_is_in_the_reference() -> None:
    text = "".join(path.read_text("utf-8") for path in (DOCS / "reference").glob("*.md"))
    listed = {name for members in re.findall(r"members: \[(.*)\]", text) for name in members.split(", ")}
    directives = set(re.findall(r"^::: portmapper\.([\w.]+)$", text, re.MULTILINE))
    directives |= {one.rpartition(".")[0] for one in directives}  # a function may be in a module of its own name
    aliases = {"Event", "Message", "Results"}  # of types, told where they are used
    public = {f"{prefix}{name}" for prefix, module in MODULES.items() for name in module.__all__}
    missing = {one for one in public if one not in directives and one.rpartition(".")[2] not in listed | aliases}
    assert missing == set()


@pytest.mark.parametrize("path", [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))], ids=lambda path: path.stem)
def test_each_link_leads_somewhere(path: Path) -> None:
    text = path.read_text("utf-8")
    for block in blocks(path):
        text = text.replace(block.code, "")
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if not target.startswith("http"):
            assert (path.parent / target.partition("#")[0]).exists(), target


@pytest.mark.parametrize("path", [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))], ids=lambda path: path.stem)
def test_each_file_of_the_repository_that_is_named_is_there(path: Path) -> None:
    named = re.findall(r"`((?:backends|examples|portmapper|tests)/[\w./-]*|[A-Z]+\.md)`", path.read_text("utf-8"))
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_readme_is_no_longer_than_people_read() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) < 180
