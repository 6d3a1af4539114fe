"""Which backends are asked: the built-in ones, and plug-ins when they are named."""

import pytest

from portmapper import registry
from portmapper.errors import UnknownBackend
from portmapper.registry import Candidate


@pytest.fixture(autouse=True)
def _two_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    found = tuple(Candidate(name, lambda: None) for name in ("carrier", "pigeon"))
    monkeypatch.setattr("portmapper.registry._plugins", lambda: found)


def names(wanted: list[str] | None) -> list[str]:
    return [candidate.name for candidate in registry.select(wanted)]


def test_a_plug_in_is_not_asked_unless_it_is_named() -> None:
    assert names(None) == ["pcp", "natpmp", "upnp"]


def test_plug_ins_are_not_even_looked_for_without_a_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("portmapper.registry._plugins")
    assert names(None) == ["pcp", "natpmp", "upnp"]


def test_the_order_is_that_of_the_names_and_each_counts_once() -> None:
    assert names(["pigeon", "upnp", "pigeon"]) == ["pigeon", "upnp"]


def test_all_that_there_are() -> None:
    assert [one.name for one in registry.candidates()] == ["pcp", "natpmp", "upnp", "carrier", "pigeon"]


@pytest.mark.parametrize("wanted", [["owl"], []])
def test_the_error_names_those_that_there_are(wanted: list[str]) -> None:
    with pytest.raises(UnknownBackend, match="pcp, natpmp, upnp, carrier, pigeon"):
        registry.select(wanted)
