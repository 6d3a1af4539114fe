"""What is asked after a device said no: the ladder of forms, and that it ends."""

from dataclasses import replace
from ipaddress import IPv4Address
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portmapper import limits
from portmapper.model import Endpoint, Gateway, Lease, MappingRequest, Protocol
from portmapper.upnp.attempts import Attempt, first_attempt, next_attempt
from tests.fuzz import examples

ANY_PORT = MappingRequest(protocol=Protocol.TCP, internal_port=8080)
ONE_PORT = replace(ANY_PORT, external_port=443)
PLAIN = Attempt(8080, 7200)


def lease(port: int, lifetime: int) -> Lease:
    host = IPv4Address("192.168.1.10")
    return Lease(
        request=ANY_PORT,
        gateway=Gateway(address=IPv4Address("192.168.1.1"), source=host),
        backend="upnp",
        internal=Endpoint(host, 8080),
        external=Endpoint(None, port),
        lifetime=lifetime,
    )


def ladder(request: MappingRequest, *codes: int, version: int, ports: tuple[int, ...] = ()) -> list[Attempt | None]:
    """Return what is asked at first and after each of `codes`."""
    attempt: Attempt | None = first_attempt(request, renew=None)
    asked, left = [attempt], iter(ports)
    for code in codes:
        assert attempt is not None
        attempt = next_attempt(attempt, code, request, version=version, ports=left)
        asked.append(attempt)
    return asked


# --- The first attempt


def test_the_internal_port_is_tried_where_none_is_asked_for() -> None:
    """UP-101: port 0 would be a wildcard."""
    assert first_attempt(ANY_PORT, renew=None) == Attempt(8080, 7200, any_port=False)


def test_the_port_asked_for_is_tried_first() -> None:
    assert first_attempt(ONE_PORT, renew=None) == Attempt(443, 7200)


@pytest.mark.parametrize(
    ("lifetime", "asked"), [(1, 1), (604800, 604800), (604801, 604800), (limits.MAX_LIFETIME, 604800)]
)
def test_the_lifetime_is_never_more_than_a_week(lifetime: int, asked: int) -> None:
    """UP-92."""
    assert first_attempt(replace(ANY_PORT, lifetime=lifetime), renew=None).lifetime == asked


def test_a_renewal_repeats_what_was_granted() -> None:
    """UP-95, UP-97: its port, and a lease without end stays one."""
    assert first_attempt(ONE_PORT, renew=lease(50001, 3600)) == Attempt(50001, 7200)
    assert first_attempt(ONE_PORT, renew=lease(50001, 0)) == Attempt(50001, 0)


# --- Version 1


@pytest.mark.parametrize("code", [718, 729])
def test_version_1_tries_other_ports_on_a_conflict_until_there_are_none(code: int) -> None:
    """UP-75, UP-81, UP-114."""
    assert ladder(ANY_PORT, code, code, code, version=1, ports=(50001, 50002)) == [
        PLAIN,
        Attempt(50001, 7200),
        Attempt(50002, 7200),
        None,
    ]


# --- Version 2


@pytest.mark.parametrize("code", [718, 729])
@pytest.mark.parametrize("version", [2, 3])
def test_version_2_is_asked_to_choose_after_a_conflict(code: int, version: int) -> None:
    """UP-75, UP-81, UP-86."""
    assert ladder(ONE_PORT, code, version=version, ports=(50001,)) == [
        Attempt(443, 7200),
        Attempt(443, 7200, any_port=True),
    ]


def test_a_device_that_cannot_choose_is_offered_other_ports() -> None:
    """UP-64, UP-114: whatever it says to AddAnyPortMapping."""
    for code in (401, 501, 602, 606, 718, 728, 729):
        assert ladder(ANY_PORT, 718, code, version=2, ports=(50001,))[2:] == [Attempt(50001, 7200)]
        assert ladder(ANY_PORT, 718, code, version=2)[2:] == [None]


# --- Both


@pytest.mark.parametrize("version", [1, 2])
def test_a_device_that_knows_only_permanent_leases_gets_one(version: int) -> None:
    """UP-77: once; a second 725 is final."""
    assert ladder(ANY_PORT, 725, 725, version=version, ports=(50001,)) == [PLAIN, Attempt(8080, 0), None]


def test_a_permanent_lease_stays_permanent_on_the_other_steps() -> None:
    assert ladder(ANY_PORT, 725, 718, version=1, ports=(50001,))[-1] == Attempt(50001, 0)
    assert ladder(ANY_PORT, 725, 718, version=2, ports=(50001,))[-1] == Attempt(8080, 0, any_port=True)
    assert ladder(ONE_PORT, 725, 724, version=1)[-1] == Attempt(8080, 0)


def test_a_device_may_refuse_the_lifetime_of_the_port_it_chooses() -> None:
    assert ladder(ANY_PORT, 718, 725, version=2)[-1] == Attempt(8080, 0, any_port=True)


@pytest.mark.parametrize("version", [1, 2])
def test_a_device_that_wants_equal_ports_gets_them(version: int) -> None:
    """UP-76."""
    assert ladder(ONE_PORT, 724, version=version, ports=(50001,)) == [Attempt(443, 7200), Attempt(8080, 7200)]


@pytest.mark.parametrize("version", [1, 2])
def test_where_the_ports_are_equal_724_is_final(version: int) -> None:
    assert ladder(ANY_PORT, 724, version=version, ports=(50001,)) == [PLAIN, None]


def test_equal_ports_are_added_and_not_chosen() -> None:
    assert ladder(ONE_PORT, 718, 724, version=2)[-1] == Attempt(8080, 7200, any_port=False)


@pytest.mark.parametrize("version", [1, 2])
def test_other_refusals_are_final(version: int) -> None:
    """UP-68: never loop on 606, nor on what nobody knows."""
    codes = (401, 402, 501, 606, 713, 714, 715, 716, 726, 727, 728, 0, -1, 899)
    assert [ladder(ANY_PORT, code, version=version, ports=(50001,)) for code in codes] == [[PLAIN, None]] * len(codes)


def test_no_port_is_taken_that_is_not_tried() -> None:
    ports = iter([50001])
    for code in (606, 724, 725, 501):
        next_attempt(PLAIN, code, ANY_PORT, version=1, ports=ports)
    assert next(ports) == 50001


CODES = st.sampled_from([718, 729, 724, 725, 606, 501, 402, 714])


@given(
    st.lists(CODES, min_size=60, max_size=60),
    st.sampled_from([ANY_PORT, ONE_PORT]),
    st.sampled_from([1, 2, 3]),
    st.integers(0, limits.UPNP_PORT_TRIES),
)
@examples(300)
def test_any_refusals_come_to_an_end(codes: list[int], request: MappingRequest, version: int, tries: int) -> None:
    """Each port is asked for in at most four forms, and the lifetime is dropped once."""
    ports = iter(range(50001, 50001 + tries))
    attempt: Attempt | None = first_attempt(request, renew=None)
    for asked in count():
        if attempt is None:
            break
        assert asked < 4 * (tries + 1) + 1
        assert attempt.external_port
        assert attempt.lifetime in {0, 7200}
        following = next_attempt(attempt, codes[asked], request, version=version, ports=ports)
        assert following != attempt
        attempt = following
