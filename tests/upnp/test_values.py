"""The simple types as devices write them: numbers, booleans and addresses."""

from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portmapper.errors import ProtocolError
from portmapper.model import Reachability, reachability
from portmapper.upnp.values import parse_client, parse_external, parse_number, parse_port, parse_truth
from tests.fuzz import examples

ROUTER, SIMULATED = IPv4Address("192.168.1.1"), IPv4Address("127.1.0.1")


def refusal(text: str) -> str | None:
    """Return the text of the refusal, None for a number of 32 bits."""
    try:
        parse_number(text, 0, 2**32 - 1)
    except ProtocolError as error:
        return str(error)
    return None


# --- Numbers


@pytest.mark.conforms("UP-60")
@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("7", 7),
        ("+7", 7),
        ("007", 7),
        ("+007", 7),
        ("+0", 0),
        ("00", 0),
        ("0" * 20 + "7", 7),
        ("4294967295", 4294967295),
        ("+0004294967295", 4294967295),
    ],
)
def test_a_number_may_begin_with_plus_or_with_zeros(text: str, number: int) -> None:
    assert parse_number(text, 0, 2**32 - 1) == number


NO_NUMBERS = [
    "", "+", "-", "-1", "-0", "--7", "++7", "7+", "0x7", "7.0", "7e1", "7 7", " 7", "7 ", "7\n", "\n7", "1_0", "seven",
    "\N{SUPERSCRIPT TWO}", "\N{FULLWIDTH DIGIT SEVEN}", "\N{ARABIC-INDIC DIGIT SEVEN}", "4294967296", "9" * 5000,
    "0" * 5000, "\x1b[2J", "None",
]  # fmt: skip


@pytest.mark.conforms("UP-60")
def test_what_is_no_number_is_refused_in_words_that_can_be_shown() -> None:
    refusals = {text: refusal(text) or "\n" for text in NO_NUMBERS}
    assert [text for text, words in refusals.items() if not words.isprintable() or len(words) > 300] == []


@pytest.mark.parametrize(("low", "high"), [(0, 0), (1, 65535), (5, 7)])
def test_both_ends_of_the_range_belong_to_it(low: int, high: int) -> None:
    assert [parse_number(str(number), low, high) for number in (low, high)] == [low, high]
    for number in (low - 1, high + 1):
        with pytest.raises(ProtocolError):
            parse_number(str(number), low, high)


@pytest.mark.conforms("UP-60", "UP-101")
@pytest.mark.parametrize(("text", "port"), [("1", 1), ("+00080", 80), ("65535", 65535)])
def test_a_port(text: str, port: int) -> None:
    assert parse_port(text) == port


@pytest.mark.parametrize("text", ["0", "+0", "000", "65536", "-1", ""])
def test_0_is_no_port(text: str) -> None:
    with pytest.raises(ProtocolError):
        parse_port(text)


@pytest.mark.conforms("UP-60")
@given(st.integers(0, 2**32 - 1), st.sampled_from(["", "+"]), st.integers(0, 10))
@examples(100)
def test_any_number_is_read_back(number: int, sign: str, zeros: int) -> None:
    assert parse_number(f"{sign}{'0' * zeros}{number}", 0, 2**32 - 1) == number


@given(st.text(max_size=20), st.integers(0, 9), st.integers(0, 99999))
@examples(300)
def test_any_text_is_a_number_in_the_range_or_refused(text: str, low: int, high: int) -> None:
    with suppress(ProtocolError):
        assert low <= parse_number(text, low, high) <= high


# --- Booleans


@pytest.mark.conforms("UP-59")
@pytest.mark.parametrize(
    ("text", "truth"),
    [
        *((text, True) for text in ("1", "true", "True", "TRUE", "yes", "Yes", "YES")),
        *((text, False) for text in ("0", "false", "False", "FALSE", "no", "No", "NO")),
    ],
)
def test_booleans_in_every_spelling(text: str, truth: bool) -> None:
    assert parse_truth(text) is truth


@pytest.mark.conforms("UP-59")
@pytest.mark.parametrize(
    "text", ["", "2", "-1", "01", "on", "off", "y", "n", "t", " 1", "yes ", "\N{FULLWIDTH DIGIT ONE}", "\x1b"]
)
def test_what_is_neither_true_nor_false_is_refused(text: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        parse_truth(text)
    assert str(caught.value).isprintable()


# --- Addresses


@pytest.mark.parametrize(
    ("text", "client"),
    [
        ("192.168.1.10", IPv4Address("192.168.1.10")),
        ("2001:db8::10", IPv6Address("2001:db8::10")),
        ("nas.home", None),
        ("", None),
        ("192.168.1.010", None),
        ("192.168.1.10/32", None),
        ("\x1b[2J", None),
    ],
)
def test_a_client_is_an_address_or_a_name_that_is_not_ours(text: str, client: IPv4Address | IPv6Address | None) -> None:
    assert parse_client(text) == client


@pytest.mark.conforms("UP-107")
@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("203.0.112.7", Reachability.PUBLIC),
        ("10.0.0.1", Reachability.DOUBLE_NAT),
        ("172.16.0.1", Reachability.DOUBLE_NAT),
        ("192.168.0.2", Reachability.DOUBLE_NAT),
        ("100.64.0.1", Reachability.CGNAT),
        ("169.254.0.1", Reachability.UNKNOWN),
    ],
)
def test_an_external_address_is_kept_and_a_second_nat_shows(text: str, what: Reachability) -> None:
    external = parse_external(text, ROUTER)
    assert external == IPv4Address(text)
    assert reachability(external) is what


@pytest.mark.conforms("UP-107", "Q-66")
@pytest.mark.parametrize("text", ["", "0.0.0.0", "127.0.0.1", "127.255.255.254"])
def test_an_address_that_leads_nowhere_is_none(text: str) -> None:
    assert parse_external(text, ROUTER) is None
    assert parse_external(text, IPv6Address("fe80::1")) is None


@pytest.mark.parametrize("text", ["", "0.0.0.0"])
def test_also_on_loopback_no_address_is_none(text: str) -> None:
    assert parse_external(text, SIMULATED) is None


def test_a_device_on_loopback_may_have_its_external_address_there() -> None:
    assert parse_external("127.9.0.1", SIMULATED) == IPv4Address("127.9.0.1")


@pytest.mark.conforms("UP-107")
@pytest.mark.parametrize(
    "text", ["2001:db8::1", "::", "::ffff:203.0.112.7", "router", "203.0.112", "203.0.112.7 ", "3405803783", "None"]
)
def test_what_is_no_ipv4_address_is_refused(text: str) -> None:
    with pytest.raises(ProtocolError):
        parse_external(text, ROUTER)
