"""Every public name has a docstring that says what a caller needs: the contract, what it raises, the units of times."""

import ast
import dataclasses
import enum
import importlib
import inspect
import re
import textwrap
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from portmapper import errors, natpmp, pcp, sync

MODULES = [
    "portmapper",
    "portmapper.callback",
    "portmapper.natpmp",
    "portmapper.pcp",
    "portmapper.sync",
    "portmapper.testing",
]
ERRORS = {name for name, item in vars(errors).items() if isinstance(item, type)}
# Words that are numbers of seconds wherever they stand.
SECONDS = {"lifetime", "timeout", "check", "interval", "ttl", "epoch", "remaining", "since", "ends", "retry_after"}
_TEXT = re.compile(r"[A-Z`'\"0-9(].*[.:]", re.DOTALL)


def public() -> dict[str, Any]:
    """Return every public name with what it stands for: functions, classes, and the members of classes."""
    found: dict[str, Any] = {}
    for name in MODULES:
        module = importlib.import_module(name)
        for item in module.__all__:
            value = getattr(module, item)
            found[f"{name}.{item}"] = value
            if inspect.isclass(value):
                found |= {f"{name}.{item}.{member}": one for member, one in _members(value)}
    return {name: value for name, value in found.items() if inspect.isroutine(value) or _has_text(value)}


def _members(owner: type) -> Iterator[tuple[str, Any]]:
    """Return the public members that `owner` has of its own or of a class of this library."""
    for name, value in inspect.getmembers_static(owner):
        home = next((one for one in owner.__mro__ if name in vars(one)), object)
        if not name.startswith("_") and home.__module__.startswith("portmapper"):
            yield name, value


def _is_made_by_hand(value: Any) -> bool:
    return inspect.isclass(value) and "__init__" in vars(value) and not dataclasses.is_dataclass(value)


def _has_text(value: Any) -> bool:
    return inspect.isclass(value) or isinstance(value, property | classmethod | staticmethod)


def text_of(value: Any) -> str:
    """Return the docstring of a name, or that of what it overrides."""
    return inspect.getdoc(value) or ""


NAMES = public()


@pytest.mark.parametrize("name", NAMES)
def test_it_has_a_docstring_that_begins_with_a_sentence(name: str) -> None:
    text = text_of(NAMES[name])
    assert _TEXT.match(text.split("\n\n")[0]), f"{name}: {text!r}"
    assert not text.startswith(f"{name.rpartition('.')[2]}("), "that is what a dataclass writes by itself"


def functions() -> dict[str, Any]:
    """Return the public functions and methods, without what wraps them."""
    found = {
        name: getattr(value, "__func__", None) or getattr(value, "fget", None) or value for name, value in NAMES.items()
    }
    return {name: inspect.unwrap(value) for name, value in found.items() if inspect.isroutine(value)}


FUNCTIONS = functions()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_it_says_what_it_raises_itself(name: str) -> None:
    """What stands in a `raise` of its own body is in the docstring of it or of its class, by name or by a base's."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(FUNCTIONS[name])))
    raised = {_name(node.exc) for node in ast.walk(tree) if isinstance(node, ast.Raise) and node.exc is not None}
    said = text_of(FUNCTIONS[name]) + _text_of_owner(name)
    for error in raised & ERRORS:
        names = {one.__name__ for one in getattr(errors, error).__mro__ if one.__module__ == errors.__name__}
        assert names & set(re.findall(r"\w+", said)), f"{name} raises {error}"


# Asks a gateway, so that it may fail: each says how, or that it does not.
ASKING = [
    "portmapper.PortMapper.map", "portmapper.PortMapper.map_request", "portmapper.PortMapper.peer",
    "portmapper.PortMapper.unmap", "portmapper.PortMapper.unmap_stale", "portmapper.PortMapper.unmap_all",
    "portmapper.PortMapper.external_address", "portmapper.PortMapper.list_mappings", "portmapper.Mapping.refresh",
    "portmapper.Mapping.restrict", "portmapper.Mapping.close", "portmapper.EveryGateway.map",
    "portmapper.open_mapping", "portmapper.Conn.open", "portmapper.Conn.send", "portmapper.Conn.receive",
    "portmapper.gateways", "portmapper.gateway_at", "portmapper.noted_mappings", "portmapper.parse_message",
]  # fmt: skip


@pytest.mark.parametrize("name", ASKING)
def test_what_asks_a_gateway_says_how_it_fails(name: str) -> None:
    assert re.search(r"\braises?\b|\berrors\b", text_of(FUNCTIONS[name]), re.IGNORECASE), name


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_time_among_its_arguments_has_its_unit(name: str) -> None:
    timed = SECONDS & set(inspect.signature(FUNCTIONS[name]).parameters)
    assert not timed or _says_seconds(text_of(FUNCTIONS[name]) + _text_of_owner(name)), f"{name}: {timed}"


CLASSES = {name: value for name, value in NAMES.items() if _is_made_by_hand(value)}


@pytest.mark.parametrize("name", CLASSES)
def test_a_time_among_what_it_is_made_of_has_its_unit(name: str) -> None:
    words = {word for one in inspect.signature(CLASSES[name].__init__).parameters for word in one.split("_")}
    assert not words & SECONDS or _says_seconds(text_of(CLASSES[name]) + _text_of_owner(name)), (
        f"{name}: {words & SECONDS}"
    )


DATACLASSES = {name: value for name, value in NAMES.items() if dataclasses.is_dataclass(value)}


@pytest.mark.parametrize("name", DATACLASSES)
def test_a_time_among_its_fields_has_its_unit(name: str) -> None:
    timed = SECONDS & {one.name for one in dataclasses.fields(DATACLASSES[name])}
    assert not timed or _says_seconds(text_of(DATACLASSES[name])), f"{name}: {timed}"


def test_the_members_are_found() -> None:
    """The walk above sees methods, properties, inherited ones and those of the modules."""
    assert {
        "portmapper.Mapping.external", "portmapper.PortMapper.map", "portmapper.NoService.retry_after",
        "portmapper.testing.SimulatedGateway.reboot", "portmapper.natpmp.MapRequest.encode",
        "portmapper.Protocol.parse",
    } <= set(NAMES)  # fmt: skip
    assert not any(isinstance(value, ModuleType | enum.Enum) for value in NAMES.values())


def _says_seconds(text: str) -> bool:
    return re.search(r"\bseconds\b|\b\d+ s\b|\bdefault_lifetime\b", text) is not None


def _text_of_owner(name: str) -> str:
    """Return what else is said of a name: by its class, and for the doors without await by them and by its twin."""
    owners = [NAMES.get(name.rpartition(".")[0])]
    if name.startswith("portmapper.sync."):
        twin = name.replace(".sync.", ".")
        owners += [sync, NAMES.get(twin), NAMES.get(twin.rpartition(".")[0])]
    return "".join(text_of(owner) for owner in owners if owner is not None)


def _name(node: ast.expr) -> str:
    called = node.func if isinstance(node, ast.Call) else node
    return called.attr if isinstance(called, ast.Attribute) else called.id if isinstance(called, ast.Name) else ""


@pytest.mark.parametrize("module", [natpmp, pcp])
def test_every_message_and_option_names_its_section(module: ModuleType) -> None:
    """The source: who speaks the protocol wants to look it up."""
    named = {name: getattr(module, name) for name in module.__all__ if isinstance(getattr(module, name), type)}
    assert [name for name, one in named.items() if not re.search(r"RFC \d+", inspect.getdoc(one) or "")] == []
    assert named
