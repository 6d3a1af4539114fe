"""The published schema says what every command prints: each object is of it, and each kind in it is printed."""

import json
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, get_args

import jsonschema
import pytest

from portmapper.cli.commands.schema import schema_text
from portmapper.cli.words import objects
from portmapper.doctor.problem import Code
from portmapper.errors import NoService, UnknownBackend
from portmapper.model import Changed, Closed, Endpoint, Event, Feature, Gateway, Lease, Lost, Reachability
from portmapper.request import MappingRequest, Protocol
from portmapper.state.folder import StateFolder
from portmapper.state.journal import NoteState
from tests.cli.inside import Inside, inside, state
from tests.state.notes import note

__all__ = ["inside", "state"]

SCHEMA = json.loads(schema_text())
KINDS = {one["$ref"].rpartition("/")[2] for one in SCHEMA["oneOf"]}
HERE = IPv4Address("192.0.2.9")
NOWHERE = Gateway(address=IPv4Address("127.0.0.2"), source=IPv4Address("127.0.0.1"))
LEASE = Lease(
    request=MappingRequest(protocol=Protocol.TCP, internal_port=8080),
    gateway=NOWHERE,
    backend="pcp",
    internal=Endpoint(HERE, 8080),
    external=Endpoint(None, 9001),
    lifetime=0,
)


def check(one: dict[str, Any]) -> str:
    """Return the kind of an object. Raises ValidationError unless it is just as the schema says."""
    kind: str = one["event"]
    assert kind in KINDS
    wanted = {**SCHEMA, "oneOf": [{"$ref": f"#/$defs/{kind}"}]}
    jsonschema.validate(one, wanted, cls=jsonschema.Draft202012Validator)
    return kind


def test_it_is_a_schema_of_the_draft_that_it_names() -> None:
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_no_object_of_it_may_have_keys_that_it_does_not_name() -> None:
    open_ones = [one for one in _objects_in(SCHEMA) if one.get("additionalProperties") in (None, True)]
    assert open_ones == []


def _objects_in(part: Any) -> Iterable[dict[str, Any]]:
    if isinstance(part, dict):
        if part.get("type") == "object":
            yield part
        part = list(part.values())
    if isinstance(part, list):
        for one in part:
            yield from _objects_in(one)


MAPPED = {"event": "mapped", **objects.lease_object(LEASE)}


@pytest.mark.parametrize(
    "wrong",
    [{**MAPPED, "x": 1}, {**MAPPED, "lifetime": "long"}, {key: MAPPED[key] for key in MAPPED if key != "backend"}],
    ids=["a key too many", "a wrong type", "a key too few"],
)
def test_the_check_is_strict(wrong: dict[str, Any]) -> None:
    check(MAPPED)
    with pytest.raises(jsonschema.ValidationError):
        check(wrong)


def test_the_schema_is_printed(inside: Inside) -> None:
    assert json.loads(inside("schema").out) == SCHEMA


def _made(kind: type[Any]) -> Event:
    if kind is Changed:
        return Changed(LEASE, replace(LEASE, external=Endpoint(HERE, 80)))
    if kind is Lost:
        return Lost(LEASE, UnknownBackend("gone"))
    return kind(LEASE)  # type: ignore[no-any-return]


@pytest.mark.parametrize("kind", get_args(Event), ids=lambda kind: kind.__name__)
def test_every_event_of_the_library_has_its_schema(kind: type[Any]) -> None:
    assert check(objects.event_object(_made(kind))) == kind.__name__.lower()


@pytest.mark.parametrize("remaining", [0.0, 12.5, math.inf])
def test_what_is_not_released_has_its_schema(remaining: float) -> None:
    check(objects.event_object(Closed(LEASE, NoService("no", reasons={}), remaining)))


def test_the_words_of_the_schema_are_those_of_the_library() -> None:
    defs = SCHEMA["$defs"]
    assert defs["reachability"]["enum"] == list(Reachability)
    assert defs["note_state"]["enum"] == list(NoteState)
    assert defs["verdict"]["enum"] == list(Code)
    features = defs["backend"]["properties"]["features"]["items"]["enum"]
    assert features == sorted(one.name.lower().replace("_", "-") for one in Feature)


@pytest.fixture
def left(state: Path) -> None:
    """Let a program die that had one mapping of each kind of note, all on a gateway where nothing listens."""
    dead = StateFolder(state)
    dead.begin(time.time())
    more: dict[str, Any] = {"gateway": NOWHERE, "ends": round(time.time() + 600)}
    notes = [note(8000 + place, 9000 + place, state=one, **more) for place, one in enumerate(NoteState)]
    dead.save([*notes, note(7000, None, backend=None, gateway=NOWHERE, ends=None)])
    dead.abandon()


OTHER_KINDS = {"renewed", "restored", "changed", "lost", "closed", "watched"}
"""Only a command that goes on for long prints these: see the events of the library above, and test_watch."""


def test_everything_that_the_commands_print_is_of_the_schema_and_every_kind_is_printed(
    inside: Inside, left: None, survey: Callable[[], None]
) -> None:
    fast = ("--backend", "pcp")
    seen = set(OTHER_KINDS)
    for arguments in [
        ("map", "8080", "9000/udp", "--simulate", "--once"),
        ("map", "8080", "--gateway", "127.0.0.2", *fast),
        ("unmap", "8080", "--simulate"),
        ("unmap", "--stale", "--gateway", "127.0.0.2", *fast),
        ("list", "--mine"),
        ("list", "--gateway", "127.0.0.2", *fast),
        ("address", "--simulate"),
        ("gateway",),
        ("gateway", "--gateway", "127.0.0.2"),
        ("doctor", "--simulate"),
        ("backends",),
        ("doctor", "8080", "--simulate", "--backend", "natpmp"),
        ("backends", "--probe", "--simulate", "--backend", "upnp"),
    ]:
        found = inside(*arguments, "--json").objects
        assert found, arguments
        seen |= {check(one) for one in found}
    assert seen == KINDS


@pytest.fixture
def survey(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the routes lead to one router that can be asked and to a tunnel that has none."""
    from portmapper.cli.commands import show
    from portmapper.doctor.findings import Network
    from portmapper.gateway.tables.ranking import Candidate

    monkeypatch.setattr("portmapper.doctor.host.network", lambda _: Network())
    router = Candidate(NOWHERE.address, "eth0", None, NOWHERE.source, 0, ("the default route",), usable=True)
    tunnel = Candidate(None, "tun0", None, None, 1, ("no gateway: a tunnel",), usable=False)
    monkeypatch.setattr(show, "gateways", lambda interface: (NOWHERE,))
    monkeypatch.setattr("portmapper.doctor.host.source_towards", lambda address: NOWHERE.source)
    monkeypatch.setattr(show, "survey", lambda interface: ((router, NOWHERE), (tunnel, None)))
