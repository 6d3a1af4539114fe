"""Who may have a port, by the journals of all programs of this host."""

from typing import Any

import pytest

from portmapper.state.claims import Claim, Obstacle, decide, superseded
from portmapper.state.journal import Journal, Note, NoteState, Owner
from tests.state.notes import ELSEWHERE, note, wish

FIRST = Owner(4711, "httpd")


def asked(wanted: Note, *living: Note, share: bool = False, left: tuple[Note, ...] = ()) -> Claim | Obstacle:
    return decide(wanted, share=share, living=[Journal(FIRST, living)], left=left)


@pytest.mark.parametrize("state", [NoteState.ASKED, NoteState.HELD, NoteState.LEAVING])
def test_a_port_that_a_living_program_has_is_refused_and_that_is_named(state: NoteState) -> None:
    outcome = asked(wish(), note(external=9999, state=state))
    assert isinstance(outcome, Obstacle)
    error = outcome.error
    assert (error.program, error.pid, error.since, error.external_port) == ("httpd", 4711, 1000.0, 9999)
    assert "8080/tcp: httpd (process 4711) on this host" in str(error)
    assert outcome.passing == (state is NoteState.LEAVING)


@pytest.mark.parametrize(
    "other",
    [
        note(8081),
        note(protocol="udp"),
        note(gateway=ELSEWHERE),
        note(internal_address=ELSEWHERE.source),
        note(state=NoteState.LEFT),
        note(state=NoteState.DETACHED),
    ],
    ids=["port", "protocol", "gateway", "host", "left", "detached"],
)
def test_what_is_for_another_port_or_wanted_no_more_is_not_in_the_way(other: Note) -> None:
    assert asked(wish(), other) == Claim(wish().request)


@pytest.mark.parametrize(("first", "count", "free"), [(8070, 10, True), (8071, 10, False), (8081, 2, True)])
def test_sets_of_ports_are_in_the_way_where_they_overlap(first: int, count: int, free: bool) -> None:
    assert isinstance(asked(wish(), note(first, None, count=count)), Claim) == free


def test_who_shares_asks_for_the_port_and_the_lifetime_of_the_first() -> None:
    """With another lifetime each renewal of one would change when the lease of the other ends."""
    held = note(external=9999, lifetime=600)
    outcome = asked(wish(external_port=1234, description="mine"), held, share=True)
    assert isinstance(outcome, Claim)
    assert outcome.ours == (held,)
    got = outcome.request
    assert (got.external_port, got.lifetime, got.description, got.exact) == (9999, 600, "mine", False)


def test_who_shares_waits_for_the_first_to_hear_its_port() -> None:
    outcome = asked(wish(), note(external=None, state=NoteState.ASKED), share=True)
    assert isinstance(outcome, Obstacle)
    assert outcome.passing


@pytest.mark.parametrize(
    "options",
    [{"external_port": 1234, "exact": True}, {"count": 2}, {"lifetime": 9}],
    ids=["exact", "count", "lifetime"],
)
def test_what_differs_in_more_than_its_lifetime_cannot_be_shared(options: dict[str, Any]) -> None:
    outcome = asked(wish(**options), note(), share=True)
    assert isinstance(outcome, Claim) == ("lifetime" in options)


def test_a_port_that_a_dead_program_left_is_asked_for_at_its_old_external_port() -> None:
    left = note(external=9999, state=NoteState.LEFT)
    outcome = asked(wish(), left=(left,))
    assert outcome == Claim(wish(external_port=9999).request, (left,))


def test_a_wish_is_stronger_than_the_past() -> None:
    left = note(external=9999)
    assert asked(wish(external_port=1234), left=(left,)) == Claim(wish(external_port=1234).request, (left,))


def test_the_latest_of_several_that_were_left_counts() -> None:
    left = (note(external=1111, since=1.0), note(external=2222, since=3.0), note(external=3333, since=2.0))
    outcome = asked(wish(), left=left)
    assert isinstance(outcome, Claim)
    assert outcome.request.external_port == 2222


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        (note(external=9999), note(external=9999), True),
        (note(external=9999), note(external=1234), False),
        (note(external=None), note(external=1234), True),
        (note(external=9999), note(external=None), False),
        (note(external=9999), note(external=9999, gateway=ELSEWHERE), False),
        (note(external=9999), note(9000, external=9999), False),
    ],
)
def test_what_was_left_is_forgotten_when_its_place_is_held_again(before: Note, now: Note, expected: bool) -> None:
    assert superseded(before, now) == expected
