"""What a device says about one mapping: read, and compared with what was asked for."""

from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portmapper.errors import ProtocolError
from portmapper.model import Endpoint, Gateway, Lease, MappingRequest, Protocol
from portmapper.upnp.attempts import Attempt
from portmapper.upnp.entries import Entry, decode_entry, granted_lifetime, was_lengthened
from portmapper.upnp.soap import Action, decode_result, encode_result
from tests.fuzz import examples

HOST = IPv4Address("192.168.1.10")
GET = Action("urn:schemas-upnp-org:service:WANIPConnection:1", "GetSpecificPortMappingEntry", {})
SAID = {
    "NewInternalPort": "8080",
    "NewInternalClient": "192.168.1.10",
    "NewEnabled": "1",
    "NewPortMappingDescription": "web & api <1>",
    "NewLeaseDuration": "3599",
}
ENTRY = Entry(client=HOST, port=8080, enabled=True, description="web & api <1>", lifetime=3599)


def entry_of(**changes: str | None) -> Entry:
    """Return what is read of the answer, over the wire, with some values changed or left out."""
    said = {name: value for name, value in {**SAID, **changes}.items() if value is not None}
    return decode_entry(decode_result(GET, 200, encode_result(GET, said)))


@pytest.mark.conforms("UP-89")
def test_an_entry_is_read_by_its_five_fields() -> None:
    assert entry_of() == ENTRY


@pytest.mark.conforms("UP-59", "UP-60", "UP-89")
def test_an_entry_in_another_dress() -> None:
    assert entry_of(NewInternalPort="+008080", NewEnabled="Yes", NewLeaseDuration="0003599") == ENTRY


@pytest.mark.conforms("UP-89", "UP-112")
@pytest.mark.parametrize(
    ("text", "enabled"),
    [("0", False), ("false", False), ("no", False), ("1", True), ("true", True), ("", True), (None, True)],
)
def test_an_entry_is_switched_off_only_where_the_device_says_so(text: str | None, enabled: bool) -> None:
    assert entry_of(NewEnabled=text).enabled is enabled


@pytest.mark.parametrize(
    ("text", "client"),
    [("nas.home", None), ("", None), (None, None), ("2001:db8::10", IPv6Address("2001:db8::10"))],
)
def test_a_client_that_is_no_address_is_not_ours(text: str | None, client: IPv6Address | None) -> None:
    assert entry_of(NewInternalClient=text).client == client


@pytest.mark.conforms("Q-36")
@pytest.mark.parametrize(
    ("text", "lifetime"),
    [("0", 0), ("4294967295", 2**32 - 1), ("", None), (None, None), ("-1", None), ("4294967296", None), ("long", None)],
)
def test_a_time_that_makes_no_sense_is_none(text: str | None, lifetime: int | None) -> None:
    """The mapping is there all the same."""
    assert entry_of(NewLeaseDuration=text).lifetime == lifetime


def test_an_entry_may_have_no_description() -> None:
    assert entry_of(NewPortMappingDescription=None).description == ""


@pytest.mark.conforms("UP-102", "UP-113")
@pytest.mark.parametrize("port", ["0", "65536", "", "x", "-1", None])
def test_an_entry_that_leads_to_no_port_is_refused(port: str | None) -> None:
    with pytest.raises(ProtocolError):
        entry_of(NewInternalPort=port)


@pytest.mark.conforms("UP-59")
def test_an_entry_that_may_be_on_or_off_is_refused() -> None:
    with pytest.raises(ProtocolError):
        entry_of(NewEnabled="2")


@given(st.dictionaries(st.sampled_from([name.lower() for name in SAID]), st.text(max_size=12)))
@examples(200)
def test_any_answer_is_an_entry_or_a_protocol_error(results: dict[str, str]) -> None:
    with suppress(ProtocolError):
        entry = decode_entry(results)
        assert 1 <= entry.port <= 65535
        assert entry.lifetime is None or 0 <= entry.lifetime < 2**32


# --- The lifetime that was granted


def granted(asked: int, told: int | None, version: int = 1) -> int:
    entry = Entry(client=HOST, port=8080, enabled=True, description="", lifetime=told)
    return granted_lifetime(entry, Attempt(8080, asked, ""), version)


@pytest.mark.conforms("UP-94", "UP-113")
@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(
    ("asked", "told", "lifetime"),
    [
        (3600, 3600, 3600),
        (3600, 3599, 3600),
        (3600, 3595, 3600),
        (3600, 3594, 3594),
        (3600, 1800, 1800),
        (3600, 3601, 3601),
        (3600, 604800, 604800),
        (3600, 1, 1),
        (3600, None, 3600),
        (6, 1, 6),
        (5, 0, 5),
        (5, 3, 5),
        (1, 0, 1),
        (0, None, 0),
        (0, 0, 0),
        (0, 604800, 604800),
        (0, 1, 1),
    ],
)
def test_the_lifetime_is_what_the_device_shows_but_for_the_seconds_since(
    asked: int, told: int | None, lifetime: int, version: int
) -> None:
    """So that a lease that is shorter than it was asked for is renewed in time."""
    assert granted(asked, told, version) == lifetime


@pytest.mark.conforms("UP-93", "UP-94")
@pytest.mark.parametrize(("version", "lifetime"), [(1, 0), (2, 3600), (3, 3600)])
def test_0_told_for_a_lease_is_without_end_in_version_1_only(version: int, lifetime: int) -> None:
    assert granted(3600, 0, version) == lifetime


@pytest.mark.conforms("UP-93")
@given(st.integers(1, 604800), st.none() | st.integers(0, 2**32 - 1))
@examples(200)
def test_version_2_grants_nothing_without_end_for_a_lease(asked: int, told: int | None) -> None:
    assert granted(asked, told, version=2) > 0


# --- Whether a renewal made it longer


def entry_with(lifetime: int | None) -> Entry:
    return Entry(client=HOST, port=8080, enabled=True, description="", lifetime=lifetime)


@pytest.mark.parametrize(
    ("before", "now", "lifetime"),
    [
        (5, 5, 5),  # half of a lease of 10 s: not as good as new
        (6, 5, 5),
        (4, 5, 10),  # a slow renewal
        (4, 9, 10),
        (9, 10, 10),
        (10, 10, 10),
        (5, None, 10),
        (None, 5, 10),
        (0, 5, 10),
    ],
)
def test_the_seconds_since_count_only_for_what_was_made_anew(
    before: int | None, now: int | None, lifetime: int
) -> None:
    assert granted_lifetime(entry_with(now), Attempt(8080, 10, ""), 2, entry_with(before)) == lifetime


def lease(lifetime: int) -> Lease:
    return Lease(
        request=MappingRequest(protocol=Protocol.TCP, internal_port=8080),
        gateway=Gateway(address=IPv4Address("192.168.1.1"), source=HOST),
        backend="upnp",
        internal=Endpoint(HOST, 8080),
        external=Endpoint(None, 8080),
        lifetime=lifetime,
    )


@pytest.mark.conforms("Q-72")
@pytest.mark.parametrize(
    ("before", "now", "lengthened"),
    [
        (3600, 3600, True),
        (3600, 2700, True),
        (3600, 2699, False),
        (3600, 1800, False),  # renewed at half time, and it did nothing
        (3600, 7200, True),
        (3600, 0, True),  # without end from now on
        (0, 1, True),
        (0, 0, True),
        (1, 1, True),
        (2, 1, True),
    ],
)
def test_a_renewal_that_left_the_old_end_is_seen(before: int, now: int, lengthened: bool) -> None:
    assert was_lengthened(now, lease(before)) is lengthened


@pytest.mark.conforms("Q-72", "UP-95")
@given(st.integers(2, 604800))
@examples(100)
def test_what_is_left_at_the_first_renewal_is_never_taken_for_a_new_lease(lifetime: int) -> None:
    """It comes after a half of the time at the earliest."""
    left = lifetime // 2
    assert was_lengthened(left, lease(lifetime)) == (left >= lifetime * 3 // 4)
    assert lifetime < 4 or not was_lengthened(left, lease(lifetime))
