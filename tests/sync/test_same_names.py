"""The classes without await are those with it: every public name, its kind, its arguments, their defaults and types."""

import inspect
from collections.abc import Callable
from typing import Any

import pytest

import portmapper
from portmapper import once, sync
from portmapper.once import Options
from portmapper.sync import once as sync_once

PAIRS = [
    (portmapper.PortMapper, sync.PortMapper),
    (portmapper.Mapping, sync.Mapping),
    (portmapper.EveryGateway, sync.EveryGateway),
]
WITHOUT_GATEWAY = {"close"}  # bounded by itself
INSTEAD = {"events": "Events", "__enter__": "Self"}


def public(cls: type) -> dict[str, Any]:
    ours = [one for one in reversed(cls.__mro__) if one.__module__.startswith("portmapper")]
    return {name: item for one in ours for name, item in vars(one).items() if not name.startswith("_")}


def written(annotation: object) -> str:
    """Return an annotation as text, the same for the class with await and its twin without."""
    text = annotation.__name__ if isinstance(annotation, type) else str(annotation)
    return text.replace("portmapper.sync.mapping.", "portmapper.mapping.").replace(
        "portmapper.sync.mapper.", "portmapper.mapper."
    )


def parameters(function: Callable[..., Any]) -> list[tuple[str, object, object, str]]:
    """Return name, kind, default and type of each."""
    found = inspect.signature(function).parameters.values()
    return [(one.name, one.kind, one.default, written(one.annotation)) for one in found]


def without_timeout(function: Callable[..., Any]) -> list[tuple[str, object, object, str]]:
    return [one for one in parameters(function) if one[0] != "timeout"]


def takes_timeout(item: Any) -> bool:
    return inspect.isfunction(item) and "timeout" in inspect.signature(item).parameters


@pytest.mark.parametrize(("asynchronous", "synchronous"), PAIRS)
def test_they_have_the_same_names_of_the_same_kind(asynchronous: type, synchronous: type) -> None:
    theirs, ours = public(asynchronous), public(synchronous)
    assert sorted(ours) == sorted(theirs)
    assert {name: isinstance(item, property) for name, item in ours.items()} == {
        name: isinstance(item, property) for name, item in theirs.items()
    }
    assert not any(inspect.iscoroutinefunction(item) for item in ours.values())


@pytest.mark.parametrize(("asynchronous", "synchronous"), PAIRS)
def test_they_take_the_same_arguments_and_return_the_same(asynchronous: type, synchronous: type) -> None:
    theirs, ours = public(asynchronous), public(synchronous)
    methods = [name for name, item in theirs.items() if inspect.isfunction(item)]
    assert methods
    for name in methods if asynchronous is portmapper.Mapping else ["__init__", *methods]:  # no user makes a Mapping
        their, our = getattr(asynchronous, name), getattr(synchronous, name)
        assert without_timeout(our) == parameters(their), name
        if name not in INSTEAD:
            returned = written(inspect.signature(our).return_annotation)
            assert returned == written(inspect.signature(their).return_annotation), name
    for name, item in theirs.items():
        if isinstance(item, property):
            returned = written(inspect.signature(ours[name].fget).return_annotation)
            assert returned == written(inspect.signature(item.fget).return_annotation), name  # type: ignore[arg-type]


@pytest.mark.parametrize(("asynchronous", "synchronous"), PAIRS)
def test_what_waits_for_a_gateway_can_be_bounded(asynchronous: type, synchronous: type) -> None:
    waits = {name for name, item in public(asynchronous).items() if inspect.iscoroutinefunction(item)}
    bounded = {name for name, item in public(synchronous).items() if takes_timeout(item)}
    assert bounded == waits - WITHOUT_GATEWAY


def test_open_mapping_takes_the_same() -> None:
    assert without_timeout(sync.open_mapping) == parameters(portmapper.open_mapping)


@pytest.mark.parametrize("name", ["external_address", "map_port", "refresh", "unmap", "unmap_all", "unmap_port"])
def test_the_single_calls_take_the_same(name: str) -> None:
    assert without_timeout(getattr(sync_once, name)) == parameters(getattr(once, name))
    assert "timeout" in inspect.signature(getattr(sync_once, name)).parameters


def test_the_options_are_those_of_the_mapper() -> None:
    wanted = {one.name: one.annotation for one in inspect.signature(portmapper.PortMapper).parameters.values()}
    assert Options.__annotations__ == wanted


def test_all_names_are_there() -> None:
    assert sync.__all__ == sorted(sync.__all__)
    assert all(getattr(sync, name).__doc__ for name in sync.__all__ if name != "Results")
