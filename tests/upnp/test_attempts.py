"""What is asked after a device said no: the ladder of forms for each code, and that it ends."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portmapper import limits
from portmapper.model import Endpoint, Gateway, Lease, MappingRequest, Protocol, RemoteFilter
from portmapper.upnp.attempts import Attempt, Habits, Ladder, renewal
from portmapper.upnp.memory import Memory
from tests.fuzz import examples

TEXT = "a text of more than eleven"
WANTED = MappingRequest(protocol=Protocol.TCP, internal_port=8080, external_port=40443, lifetime=3600, description=TEXT)
ANY_PORT = replace(WANTED, external_port=0)
LOW = replace(WANTED, external_port=443)
EXACT = replace(WANTED, exact=True)
TWO = (50001, 50002)


def first(request: MappingRequest, habits: Habits = Habits(), *, version: int = 1, permanent: bool = True) -> Attempt:  # noqa: B008 - frozen
    return Ladder(request, habits, version=version, permanent=permanent, ports=iter(())).attempt


def climbing(
    request: MappingRequest,
    *codes: int,
    version: int = 1,
    permanent: bool = True,
    ports: tuple[int, ...] = TWO,
    habits: Habits = Habits(),  # noqa: B008 - frozen
) -> tuple[list[Attempt], Ladder]:
    """Return what is asked when the device answers `codes` in turn, and the ladder, which may have ended before."""
    ladder = Ladder(request, habits, version=version, permanent=permanent, ports=iter(ports))
    asked = [ladder.attempt]
    for code in codes:
        if not ladder.climb(code):
            break
        asked.append(ladder.attempt)
    return asked, ladder


def asked_for(
    request: MappingRequest,
    *codes: int,
    version: int = 1,
    permanent: bool = True,
    habits: Habits = Habits(),  # noqa: B008 - frozen
) -> list[str]:
    asked, _ = climbing(request, *codes, version=version, permanent=permanent, habits=habits)
    return [form(one) for one in asked]


def form(attempt: Attempt) -> str:
    """Return an attempt in a few words; what is as in the request is left out."""
    words = [
        "any" if attempt.any_port else "",
        str(attempt.external_port),
        {0: "for ever", 3600: ""}[attempt.lifetime],
        {TEXT: "", TEXT[: limits.SHORT_DESCRIPTION]: "short"}[attempt.description],
    ]
    return " ".join(filter(None, words))


# --- The first attempt


@pytest.mark.conforms("UP-101", "Q-56", "Q-62")
@pytest.mark.parametrize("version", [1, 2])
def test_the_internal_port_is_tried_where_none_is_asked_for(version: int) -> None:
    """Port 0 would be a wildcard, and a lease without end is not for all."""
    assert first(ANY_PORT, version=version) == Attempt(8080, 3600, TEXT, any_port=False)


def test_the_port_asked_for_is_tried_first() -> None:
    assert first(WANTED) == Attempt(40443, 3600, TEXT)


@pytest.mark.conforms("UP-92")
@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(
    ("lifetime", "asked"), [(1, 1), (604800, 604800), (604801, 604800), (limits.MAX_LIFETIME, 604800)]
)
def test_the_lifetime_is_never_more_than_a_week(lifetime: int, asked: int, version: int) -> None:
    assert first(replace(ANY_PORT, lifetime=lifetime), version=version).lifetime == asked


@pytest.mark.conforms("UP-65", "UP-92")
def test_a_lifetime_that_is_tried_after_all_is_never_more_than_a_week() -> None:
    asked, _ = climbing(replace(WANTED, lifetime=604801), 402, habits=Habits(permanent=True))
    assert [one.lifetime for one in asked] == [0, 604800]


# --- Each code, said again and again. Two other ports are there to be tried.

P, Q, FOR_EVER = "40443", ["50001", "50002"], "40443 for ever"
ONCE = [P]
OTHERS = [P, *Q]
CHOSEN = [P, "any 50001", "50002"]
PERMANENT = [P, FOR_EVER]
NO_LEASE_OR_CONFLICT = [P, "50001", FOR_EVER, "50002 for ever"]

CODES = [
    pytest.param(401, ONCE, ONCE, marks=pytest.mark.conforms("UP-64")),
    pytest.param(402, PERMANENT, ONCE, marks=pytest.mark.conforms("UP-65", "Q-55")),
    pytest.param(403, ONCE, ONCE, marks=pytest.mark.conforms("UP-84")),
    pytest.param(404, ONCE, ONCE, marks=pytest.mark.conforms("UP-84")),
    pytest.param(501, NO_LEASE_OR_CONFLICT, CHOSEN, marks=pytest.mark.conforms("UP-66", "Q-58")),
    pytest.param(600, ONCE, ONCE, marks=pytest.mark.conforms("UP-67")),
    pytest.param(601, ONCE, ONCE, marks=pytest.mark.conforms("UP-67")),
    pytest.param(602, ONCE, ONCE, marks=pytest.mark.conforms("UP-67")),
    pytest.param(603, ONCE, ONCE, marks=pytest.mark.conforms("UP-67")),
    pytest.param(604, ONCE, ONCE, marks=pytest.mark.conforms("UP-67")),
    pytest.param(605, [P, "40443 short"], [P, "40443 short"], marks=pytest.mark.conforms("UP-67")),
    pytest.param(606, ONCE, ONCE, marks=pytest.mark.conforms("UP-68")),
    *(pytest.param(code, ONCE, ONCE, marks=pytest.mark.conforms("UP-69")) for code in (*range(607, 613), 700)),
    *(pytest.param(code, ONCE, ONCE, marks=pytest.mark.conforms("UP-70")) for code in range(701, 713)),
    pytest.param(713, ONCE, ONCE, marks=pytest.mark.conforms("UP-71")),
    pytest.param(714, ONCE, ONCE, marks=pytest.mark.conforms("UP-72")),
    pytest.param(715, ONCE, ONCE, marks=pytest.mark.conforms("UP-73")),
    pytest.param(716, OTHERS, OTHERS, marks=pytest.mark.conforms("UP-74")),
    pytest.param(718, OTHERS, CHOSEN, marks=pytest.mark.conforms("UP-75", "UP-86", "UP-114", "Q-59")),
    pytest.param(724, [P, "8080"], [P, "8080"], marks=pytest.mark.conforms("UP-76")),
    pytest.param(725, PERMANENT, PERMANENT, marks=pytest.mark.conforms("UP-77", "Q-54")),
    pytest.param(726, ONCE, ONCE, marks=pytest.mark.conforms("UP-78")),
    pytest.param(727, ONCE, ONCE, marks=pytest.mark.conforms("UP-79", "Q-63")),
    pytest.param(728, ONCE, ONCE, marks=pytest.mark.conforms("UP-80")),
    pytest.param(729, OTHERS, CHOSEN, marks=pytest.mark.conforms("UP-81", "UP-86", "UP-114", "Q-59")),
    pytest.param(730, ONCE, ONCE, marks=pytest.mark.conforms("UP-82")),
    *(pytest.param(code, ONCE, ONCE, marks=pytest.mark.conforms("UP-83")) for code in (731, 732, 733)),
    *(pytest.param(code, PERMANENT, ONCE, marks=pytest.mark.conforms("UP-84")) for code in (800, 899)),
    *(pytest.param(code, ONCE, ONCE, marks=pytest.mark.conforms("UP-84")) for code in (799, 900, 0, 1, 99999)),
    pytest.param(-911, PERMANENT, ONCE, marks=pytest.mark.conforms("UP-84", "Q-57")),
]


@pytest.mark.parametrize(("code", "one", "two"), CODES)
def test_what_is_asked_while_a_device_says_the_same(code: int, one: list[str], two: list[str]) -> None:
    """By version 1 and 2 of the service; then it is over."""
    again = [code] * 20
    assert asked_for(WANTED, *again, version=1) == one
    assert asked_for(WANTED, *again, version=2) == asked_for(WANTED, *again, version=3) == two


@pytest.mark.parametrize(("code", "one", "two"), CODES)
def test_an_exact_request_changes_neither_port_nor_action(code: int, one: list[str], two: list[str]) -> None:
    again = [code] * 20
    stays = [[form for form in forms if form.startswith(P)] for forms in (one, two)]
    assert [asked_for(EXACT, *again, version=version) for version in (1, 2)] == stays


@pytest.mark.parametrize(("code", "one", "two"), CODES)
def test_who_wants_no_mapping_without_end_gets_none(code: int, one: list[str], two: list[str]) -> None:
    asked = [asked_for(WANTED, *[code] * 20, version=version, permanent=False) for version in (1, 2)]
    expected = [[form for form in forms if "for ever" not in form] for forms in (one, two)]
    if code == 501:  # with no lease to drop, the other ports are all there is
        expected[0] = OTHERS
    assert asked == expected


@pytest.mark.conforms("Q-61", "UP-68", "UP-105")
@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("code", [401, 600, 601, 606, 715, 727, 728, 731, 1])
def test_a_low_port_that_is_refused_for_whatever_reason_gives_way_to_a_high_one(code: int, version: int) -> None:
    """Once: the code, said of a high port too, is meant."""
    assert asked_for(LOW, *[code] * 5, version=version) == ["443", "50001"]


@pytest.mark.conforms("Q-61")
@pytest.mark.parametrize(
    ("code", "forms"),
    [
        (-911, ["443", "443 for ever", "50001 for ever"]),
        (605, ["443", "443 short", "50001 short"]),
        (718, ["443", *Q]),
    ],
)
def test_a_low_port_is_first_asked_for_in_the_form_that_the_code_suggests(code: int, forms: list[str]) -> None:
    assert asked_for(LOW, *[code] * 5) == forms


@pytest.mark.conforms("Q-61")
def test_a_low_port_that_is_refused_as_an_argument_gives_way_to_a_high_one() -> None:
    assert asked_for(LOW, *[402] * 9) == ["443", "443 for ever", "50001 for ever"]


@pytest.mark.conforms("Q-61")
def test_a_low_port_that_is_refused_as_a_long_text_gives_way_to_a_high_one() -> None:
    low = replace(LOW, description="web")
    assert [one.external_port for one in climbing(low, 605)[0]] == [443, 50001]


@pytest.mark.conforms("UP-64", "UP-67", "UP-68", "UP-114")
@pytest.mark.parametrize("code", [401, 501, 602, 606, 715, 718, 728, 729])
def test_a_device_that_cannot_choose_is_offered_other_ports(code: int) -> None:
    """Whatever it says to AddAnyPortMapping."""
    assert asked_for(WANTED, 718, code, version=2) == [P, "any 50001", "50002"]


@pytest.mark.conforms("UP-86", "UP-114")
def test_a_device_is_asked_to_choose_once() -> None:
    asked, _ = climbing(WANTED, *[718] * 9, version=2, ports=(50001, 50002, 50003))
    assert [form(one) for one in asked] == [P, "any 50001", "50002", "50003"]


@pytest.mark.conforms("UP-86", "UP-98")
def test_the_device_is_not_asked_to_choose_at_the_port_that_is_taken() -> None:
    """It may take that for a change of what this host has there."""
    asked, _ = climbing(ANY_PORT, 718, version=2)
    assert asked[1:] == [Attempt(50001, 3600, TEXT, any_port=True)]
    assert len(climbing(ANY_PORT, 718, version=2, ports=())[0]) == 1


@pytest.mark.conforms("UP-77")
def test_a_lease_without_end_stays_one_on_the_other_steps() -> None:
    assert asked_for(WANTED, 725, 718)[-1] == "50001 for ever"
    assert asked_for(WANTED, 725, 718, version=2)[-1] == "any 50001 for ever"
    assert asked_for(WANTED, 725, 724)[-1] == "8080 for ever"
    assert asked_for(WANTED, 725, 605)[-1] == "40443 for ever short"
    assert asked_for(WANTED, 718, 725, 501) == [P, "50001", "50001 for ever", "50002 for ever"]


@pytest.mark.conforms("UP-77", "UP-86")
def test_a_device_may_refuse_the_lifetime_of_the_port_it_chooses() -> None:
    assert asked_for(WANTED, 718, 725, version=2)[-1] == "any 50001 for ever"


@pytest.mark.conforms("UP-76", "UP-101")
@pytest.mark.parametrize("version", [1, 2])
def test_where_the_ports_are_equal_724_is_final(version: int) -> None:
    assert asked_for(ANY_PORT, 724, version=version) == ["8080"]
    assert asked_for(ANY_PORT, 718, 724, version=2) == ["8080", "any 50001"]


@pytest.mark.conforms("UP-76")
def test_equal_ports_are_added_and_not_chosen() -> None:
    assert asked_for(WANTED, 718, 724, version=2) == [P, "any 50001", "8080"]


@pytest.mark.conforms("UP-67")
def test_a_text_that_is_short_already_is_not_sent_twice() -> None:
    brief = replace(WANTED, description=TEXT[: limits.SHORT_DESCRIPTION])
    assert len(climbing(brief, 605)[0]) == 1


@pytest.mark.conforms("UP-66", "Q-58")
def test_501_means_the_port_first_and_the_lease_only_when_another_port_makes_no_difference() -> None:
    assert asked_for(WANTED, 501, 0) == [P, "50001"]
    assert asked_for(WANTED, 718, 501) == [P, "50001", FOR_EVER]
    assert asked_for(EXACT, 501) == [P, FOR_EVER]


def test_no_port_is_taken_that_is_not_tried() -> None:
    ports = iter(TWO)
    for code in (606, 724, 725, 605, -911, 402):
        Ladder(WANTED, Habits(), version=1, permanent=True, ports=ports).climb(code)
    assert next(ports) == 50001


@pytest.mark.conforms("UP-75", "UP-114")
def test_a_port_that_is_drawn_twice_hides_no_other() -> None:
    asked, _ = climbing(WANTED, 718, 718, 718, ports=(50001, 50001, 50002))
    assert [one.external_port for one in asked] == [40443, 50001, 50002]


# --- What is remembered


@pytest.mark.conforms("UP-77", "Q-54", "Q-57")
@pytest.mark.parametrize(
    ("codes", "habits"),
    [
        ([], Habits()),
        ([725], Habits(permanent=True)),
        ([402], Habits(permanent=True)),
        ([-911], Habits(permanent=True)),
        ([718], Habits()),
        ([501], Habits()),
        ([718, 501], Habits(permanent=True)),
        ([724], Habits(same_port=True)),
        ([605], Habits(short_text=True)),
        ([725, 724, 605], Habits(permanent=True, same_port=True, short_text=True)),
    ],
)
def test_the_next_mapping_starts_with_the_form_that_this_one_needed(codes: list[int], habits: Habits) -> None:
    _, ladder = climbing(WANTED, *codes)
    assert ladder.habits == habits


@pytest.mark.parametrize(
    ("habits", "asked"),
    [
        (Habits(permanent=True), FOR_EVER),
        (Habits(same_port=True), "8080"),
        (Habits(short_text=True), "40443 short"),
        (Habits(permanent=True, same_port=True, short_text=True), "8080 for ever short"),
    ],
)
def test_what_was_remembered_is_asked_for_at_once(habits: Habits, asked: str) -> None:
    assert asked_for(WANTED, habits=habits) == [asked]


def test_an_exact_port_is_asked_for_whatever_was_remembered() -> None:
    assert asked_for(EXACT, 724, 718, habits=Habits(same_port=True)) == [P]


def test_no_mapping_without_end_is_asked_for_from_memory_where_none_is_wanted() -> None:
    assert asked_for(WANTED, habits=Habits(permanent=True), permanent=False) == [P]


@pytest.mark.conforms("Q-56", "UP-65")
def test_a_device_that_wants_leases_again_gets_them() -> None:
    """It had only mappings without end once; with newer firmware 402 to that means the opposite."""
    asked, ladder = climbing(WANTED, 402, 402, habits=Habits(permanent=True))
    assert [form(one) for one in asked] == [FOR_EVER, P]
    once = asked_for(WANTED, 402, 718, 725, 718, 402, habits=Habits(permanent=True))
    assert once == [FOR_EVER, P, "50001", "50001 for ever", "50002 for ever"]
    assert not climbing(WANTED, 402, habits=Habits(permanent=True))[1].habits.permanent
    assert ladder.attempt.lifetime


def test_16_makes_are_remembered_and_no_more() -> None:
    memory = Memory()
    makes = [("server", str(number), 1) for number in range(limits.MAKES + 1)]
    for make in makes:
        memory.learn(make, Habits(permanent=True))
    assert list(memory.habits) == makes[:-1]
    memory.learn(makes[0], Habits(same_port=True))
    assert memory.habits[makes[0]] == Habits(same_port=True)


# --- Renewals


def lease(port: int, lifetime: int) -> Lease:
    host = IPv4Address("192.168.1.10")
    return Lease(
        request=WANTED,
        gateway=Gateway(address=IPv4Address("192.168.1.1"), source=host),
        backend="upnp",
        internal=Endpoint(host, 8080),
        external=Endpoint(None, port),
        lifetime=lifetime,
    )


@pytest.mark.conforms("UP-95", "UP-97", "Q-72c")
@pytest.mark.parametrize("habits", [Habits(), Habits(permanent=True, same_port=True)])
def test_a_renewal_repeats_what_was_granted(habits: Habits) -> None:
    """Its external port, and a lease without end stays one; what is remembered matters no more."""
    assert renewal(WANTED, lease(50001, 1800), habits) == Attempt(50001, 3600, TEXT)
    assert renewal(WANTED, lease(50001, 0), habits) == Attempt(50001, 0, TEXT)


@pytest.mark.conforms("UP-92", "UP-67")
def test_a_renewal_asks_for_a_week_at_most_and_with_the_text_that_was_taken() -> None:
    wanted = replace(WANTED, lifetime=604801)
    asked = renewal(wanted, lease(50001, 604800), Habits(short_text=True))
    assert asked == Attempt(50001, 604800, TEXT[: limits.SHORT_DESCRIPTION])


# --- Any codes

ANY_CODES = st.sampled_from([402, 501, 605, 606, 716, 718, 724, 725, 729, -911, 800]) | st.integers(-1000, 1000)
REMOTE = replace(WANTED, remote=(RemoteFilter(IPv4Network("198.51.100.7/32")),))
ANY_HABITS = st.builds(Habits, permanent=st.booleans(), same_port=st.booleans(), short_text=st.booleans())


@pytest.mark.conforms("UP-68", "UP-92", "UP-93", "UP-101", "UP-114", "Q-59", "Q-62")
@given(
    st.lists(ANY_CODES, min_size=80, max_size=80),
    st.sampled_from([WANTED, ANY_PORT, LOW, EXACT, REMOTE]),
    st.sampled_from([1, 2, 3]),
    st.booleans(),
    ANY_HABITS,
)
@examples(500)
def test_any_refusals_come_to_an_end(
    codes: list[int], request_: MappingRequest, version: int, permanent: bool, habits: Habits
) -> None:
    """Nothing is asked twice, port 0 never, and version 2 for a lease without end only after it said 725."""
    ports = tuple(range(50001, 50001 + limits.UPNP_PORT_TRIES))
    asked, ladder = climbing(request_, *codes, version=version, permanent=permanent, habits=habits, ports=ports)
    assert len(asked) <= limits.UPNP_PORT_TRIES + 8
    assert not ladder.climb(codes[len(asked) - 1])
    assert len(set(asked)) == len(asked)
    allowed = {request_.external_port or 8080} if request_.exact else {request_.external_port, 8080, *ports} - {0}
    assert {one.external_port for one in asked} <= allowed
    assert {one.lifetime for one in asked} <= ({0, 3600} if permanent else {3600})
    assert {one.description for one in asked} <= {TEXT, TEXT[: limits.SHORT_DESCRIPTION]}
    assert not any(one.any_port for one in asked if version == 1 or request_.exact)
    if version > 1 and 725 not in codes[: len(asked) - 1] and not habits.permanent:
        assert all(one.lifetime for one in asked)


@pytest.mark.conforms("UP-65", "UP-114")
def test_the_lease_is_dropped_once_and_not_at_each_port() -> None:
    assert asked_for(WANTED, *[402, 718] * 9) == [P, FOR_EVER, "50001 for ever"]
    assert asked_for(WANTED, 402, 718, 718, 718) == [P, FOR_EVER, "50001 for ever", "50002 for ever"]
