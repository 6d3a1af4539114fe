"""What a person is told of events; no gateway is asked."""

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from portmapper.cli.words.sentences import EventSentences
from portmapper.model import Changed, Endpoint, Lease, Mapped
from tests.cli.leases import lease

SHARED, PRIVATE, PUBLIC = IPv4Address("100.64.0.1"), IPv4Address("192.168.7.2"), IPv4Address("8.8.8.8")


def at(address: IPv4Address, port: int) -> Lease:
    return replace(lease(port), external=Endpoint(address, port))


@pytest.mark.conforms("F29")
def test_what_is_wrong_with_an_address_is_said_once_for_all_mappings_that_have_it() -> None:
    sentences = EventSentences()
    first, warning = sentences.lines(Mapped(at(SHARED, 8080)))
    assert "is open at 100.64.0.1:8080" in first
    assert warning.startswith("warning: 100.64.0.1 is shared by your provider")
    assert len(sentences.lines(Mapped(at(SHARED, 8081)))) == 1
    moved, warning = sentences.lines(Changed(lease=at(PRIVATE, 8080), old=at(SHARED, 8080)))
    assert "has moved from 100.64.0.1:8080 to 192.168.7.2:8080" in moved
    assert warning.startswith("warning: 192.168.7.2 is a private address")
    assert len(sentences.lines(Changed(lease=at(PUBLIC, 8080), old=at(PRIVATE, 8080)))) == 1
