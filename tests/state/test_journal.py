"""The codec of journals: every journal comes back as it was, and what is none is one typed error."""

import json
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portmapper import limits
from portmapper.errors import LocalError
from portmapper.model import Endpoint, Gateway, MappingRequest, Protocol, RemoteFilter
from portmapper.state.journal import Journal, Note, NoteState, Owner, decode_journal, encode_journal
from tests.fuzz import examples
from tests.state.notes import note

OWNER = Owner(4711, "httpd")
GOOD = encode_journal(Journal(OWNER, (note(), note(9000, None, state=NoteState.ASKED, ends=None, backend=None))))

ports = st.integers(1, limits.LAST_PORT)
texts = st.text(st.characters(min_codepoint=32, max_codepoint=0x17E, exclude_categories=["Cc", "Cf", "Zl", "Zp", "Cn"]))
times = st.floats(0, 2**33) | st.integers(0, 2**33)
addresses = st.ip_addresses()
gateways = st.builds(
    Gateway,
    address=addresses | st.just(IPv6Address("fe80::1%eth0")),
    source=addresses,
    interface=st.none() | st.just("eth0"),
    port=ports,
    ssdp_port=ports,
)
requests = st.builds(
    MappingRequest,
    protocol=st.sampled_from(["tcp", "udp", "sctp"]).map(Protocol.parse),
    internal_port=ports,
    external_port=ports,
    lifetime=st.integers(1, limits.MAX_LIFETIME),
    description=texts.filter(lambda text: len(text) <= limits.DESCRIPTION_TEXT and text.isprintable()),
    exact=st.booleans(),
    remote=st.lists(
        st.sampled_from(["198.51.100.0/24", "[2001:db8::/32]:443"]).map(RemoteFilter.parse), max_size=3
    ).map(tuple),
    internal_address=st.none() | st.just(IPv4Address("192.168.1.20")),
)
notes = st.builds(
    Note,
    request=requests,
    gateway=gateways,
    state=st.sampled_from(NoteState),
    since=times,
    ends=st.none() | times,
    backend=st.none() | st.just("natpmp"),
    external=st.none() | st.builds(Endpoint, st.none() | addresses, ports),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(notes, max_size=4))
@examples(200)
def test_a_journal_comes_back_as_it_was(wanted: list[Note]) -> None:
    journal = Journal(OWNER, tuple(wanted))
    decoded = decode_journal(encode_journal(journal))
    assert decoded == journal
    assert [one.gateway.interface for one in decoded.notes] == [one.gateway.interface for one in wanted]


@given(st.binary(max_size=200) | json_values.map(lambda value: json.dumps(value).encode()))
@examples(500)
def test_any_bytes_are_a_journal_or_one_typed_error(data: bytes) -> None:
    _decode(data)


@given(st.data())
@examples(500)
def test_a_good_journal_with_any_one_value_replaced_is_a_journal_or_one_typed_error(data: st.DataObject) -> None:
    facts: Any = json.loads(GOOD)
    path = data.draw(st.sampled_from(list(_paths(facts))))
    inner = facts
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = data.draw(json_values)
    _decode(json.dumps(facts).encode())


def _decode(data: bytes) -> None:
    try:
        journal = decode_journal(data)
    except LocalError:
        return
    assert decode_journal(encode_journal(journal)) == journal


def _paths(facts: Any, path: tuple[Any, ...] = ()) -> Any:
    for key in facts if isinstance(facts, dict) else range(len(facts)):
        yield (*path, key)
        if isinstance(facts[key], dict | list):
            yield from _paths(facts[key], (*path, key))


def test_a_journal_torn_at_any_byte_is_damaged() -> None:
    for length in range(len(GOOD)):
        with pytest.raises(LocalError, match="damaged"):
            decode_journal(GOOD[:length])


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "damaged"),
        (b"\xff\xfe", "damaged"),
        (b"[" * 100_000, "damaged"),
        (b"9" * 5000, "damaged"),
        (GOOD.replace(b'"version":1', b'"version":2'), "another version"),
        (GOOD.replace(b'"since":1000.0', b'"since":1e999'), "damaged"),
        (GOOD.replace(b'"since":1000.0', b'"since":NaN'), "damaged"),
        (GOOD.replace(b'"pid":4711', b'"pid":-1'), "damaged"),
        (GOOD.replace(b"httpd", b"x" * 65), "damaged"),
        (GOOD.replace(b"httpd", b"\\u001b[2J"), "damaged"),
        (GOOD + b" " * limits.JOURNAL_BYTES, "longer than"),
        (b'{"version":1,"mappings":[' + b"0," * limits.JOURNAL_NOTES + b"0]}", "more than 1024 mappings"),
    ],
)
def test_what_is_no_journal_is_said(data: bytes, says: str) -> None:
    with pytest.raises(LocalError, match=says):
        decode_journal(data)


def test_a_journal_has_an_end() -> None:
    full = tuple(note(port) for port in range(1, limits.JOURNAL_NOTES + 1))
    assert decode_journal(encode_journal(Journal(OWNER, full))).notes == full
    with pytest.raises(LocalError, match="no room"):
        encode_journal(Journal(OWNER, (*full, note(2000))))
    filters = tuple(RemoteFilter.parse(f"2001:db8:{number:x}::/48") for number in range(32))
    with pytest.raises(LocalError, match="no room"):
        encode_journal(
            Journal(OWNER, tuple(note(port, remote=filters, description="\U0001f6aa" * 64) for port in range(1, 1025)))
        )


def test_a_nonce_or_a_key_is_in_no_journal() -> None:
    """They follow from the key, which has a file of its own."""
    assert set(json.loads(GOOD)["mappings"][0]) == {
        "all_ports", "backend", "count", "description", "ends", "exact", "external", "external_port", "gateway",
        "internal_address", "internal_port", "lifetime", "protocol", "remote", "since", "state",
    }  # fmt: skip
