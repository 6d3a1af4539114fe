"""The search for a device and the answers to it (UDA 2.0 clause 1.3); what is dropped."""

from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portmapper import limits
from portmapper.errors import ProtocolError
from portmapper.upnp.ssdp import (
    LAST_RESORT,
    TARGETS,
    TARGETS_6,
    Answer,
    decode_answer,
    decode_search,
    encode_answer,
    encode_search,
    is_gateway,
    rank,
)
from tests.fuzz import examples
from tests.wire import vectors as tv

IGD, SERVICE = "urn:schemas-upnp-org:device:InternetGatewayDevice", "urn:schemas-upnp-org:service:"
ANSWER = Answer(
    location="http://192.168.1.1:5000/igd/rootDesc.xml",
    target=f"{IGD}:2",
    usn=f"uuid:2fac1234-31f8-11b4-a222-08002b34c003::{IGD}:2",
    server="TestOS/1.0 UPnP/1.1 FakeIGD/1.0",
    boot_id=7,
    config_id=1,
)


def without(name: str) -> bytes:
    """Return the answer of TV-20 without one header."""
    lines = tv.TV20_ANSWER.split(b"\r\n")
    return b"\r\n".join(line for line in lines if not line.startswith(name.encode() + b":"))


@pytest.mark.conforms("UP-01", "UP-02", "UP-03", "UP-05", "Q-11")
def test_the_multicast_search_byte_for_byte() -> None:
    """TV-20."""
    assert encode_search(f"{IGD}:2", host="239.255.255.250:1900", max_wait=2) == tv.TV20_SEARCH


@pytest.mark.conforms("UP-12")
def test_a_unicast_search_has_no_mx() -> None:
    search = encode_search(f"{IGD}:1", host="192.168.1.1:1900", max_wait=None)
    assert search == (
        b'M-SEARCH * HTTP/1.1\r\nHOST: 192.168.1.1:1900\r\nMAN: "ssdp:discover"\r\nST: ' + IGD.encode() + b":1\r\n\r\n"
    )


def test_the_search_is_read_back() -> None:
    assert decode_search(tv.TV20_SEARCH) == f"{IGD}:2"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"M-SEARCH", b"NOTIFY"),
        (b'"ssdp:discover"', b"ssdp:discover"),
        (b"MAN:", b"WOMAN:"),
        (b"ST: urn", b"NT: urn"),
        (tv.TV20_SEARCH, b""),
    ],
)
def test_what_is_no_search_is_refused(old: bytes, new: bytes) -> None:
    assert old in tv.TV20_SEARCH
    with pytest.raises(ProtocolError):
        decode_search(tv.TV20_SEARCH.replace(old, new))


@pytest.mark.conforms("UP-05", "UP-06", "Q-03", "Q-20")
def test_gateways_are_searched_by_their_types_and_by_nothing_else_but_as_a_last_resort() -> None:
    """Version 2 first, devices before services."""
    kinds = [f"{IGD}:2", f"{IGD}:1", f"{SERVICE}WANIPConnection:2", f"{SERVICE}WANIPConnection:1"]
    assert [*TARGETS] == [*kinds, f"{SERVICE}WANPPPConnection:1"]
    assert LAST_RESORT == ("upnp:rootdevice", "ssdp:all")
    assert all(map(is_gateway, TARGETS))


@pytest.mark.conforms("Q-09", "UP-117")
def test_by_ipv6_only_version_2_is_searched() -> None:
    assert list(TARGETS_6) == [f"{IGD}:2", f"{SERVICE}WANIPv6FirewallControl:1"]
    assert all(map(is_gateway, TARGETS_6))


@pytest.mark.conforms("UP-44")
def test_answers_rank_in_the_order_of_the_search_and_all_others_last() -> None:
    assert [rank(target) for target in TARGETS] == [0, 1, 2, 3, 4]
    assert {rank(target) for target in ("upnp:rootdevice", "", f"{IGD}:3", TARGETS_6[1])} == {5}


@pytest.mark.conforms("UP-14")
def test_the_answer() -> None:
    """TV-20; headers nobody asked for are skipped."""
    assert decode_answer(tv.TV20_ANSWER) == ANSWER


def test_an_answer_byte_for_byte() -> None:
    """TV-20, with all that is required of it."""
    assert encode_answer(ANSWER) == tv.TV20_ANSWER


def test_a_device_of_version_1_0_has_no_boot_id() -> None:
    data = encode_answer(replace(ANSWER, boot_id=None, config_id=None))
    assert data == without("BOOTID.UPNP.ORG").replace(b"CONFIGID.UPNP.ORG: 1\r\n", b"")
    assert decode_answer(data) == replace(ANSWER, boot_id=None, config_id=None)


@pytest.mark.conforms("UP-14", "UP-15", "UP-16", "Q-13")
@pytest.mark.parametrize(
    "data",
    [
        tv.TV20_ANSWER.replace(b"\r\n", b"\n"),
        tv.TV20_ANSWER.replace(b"LOCATION: ", b"location:").replace(b"ST: ", b"st :  "),
        tv.TV20_ANSWER.replace(b"LOCATION: ", b"LoCaTiOn:\t").replace(b"HTTP/1.1 200 OK", b"HTTP/1.0 200"),
        without("EXT"),
        without("CACHE-CONTROL"),
        tv.TV20_ANSWER.replace(b"BOOTID.UPNP.ORG: 7", b"BootId.upnp.org:007"),
        tv.TV20_ANSWER.rstrip(b"\r\n"),
        tv.TV20_ANSWER.replace(b"EXT:", b"EXT"),
        tv.TV20_ANSWER + b"LOCATION: http://192.168.1.66/\r\n\r\n<a body/>",
    ],
    ids=["LF", "lower case", "odd case", "no EXT", "no CACHE-CONTROL", "zeros", "no end", "no colon", "body"],
)
def test_sloppy_answers_are_understood(data: bytes) -> None:
    assert data != tv.TV20_ANSWER
    assert decode_answer(data) == ANSWER


@pytest.mark.conforms("UP-16")
def test_headers_are_not_looked_for_in_a_body() -> None:
    with pytest.raises(ProtocolError):
        decode_answer(without("LOCATION") + b"LOCATION: http://192.168.1.66/\r\n\r\n")


@pytest.mark.conforms("Q-04")
@pytest.mark.parametrize(
    ("header", "answer"), [("USN", replace(ANSWER, usn="")), ("SERVER", replace(ANSWER, server=""))]
)
def test_an_answer_without_usn_or_server_is_usable(header: str, answer: Answer) -> None:
    """Or with an empty one."""
    assert decode_answer(without(header)) == answer
    assert decode_answer(without(header).rstrip(b"\r\n") + f"\r\n{header}:\r\n\r\n".encode()) == answer


BAD_NUMBERS = ["", "x", "-7", "+7", "7.0", "7 7", "0x7", "2147483648", "9" * 400, "\N{SUPERSCRIPT TWO}", "\uff17"]


@pytest.mark.conforms("UP-26")
@pytest.mark.parametrize("number", BAD_NUMBERS)
def test_an_answer_with_a_boot_id_that_is_none_is_usable(number: str) -> None:
    data = tv.TV20_ANSWER.replace(b"BOOTID.UPNP.ORG: 7", f"BOOTID.UPNP.ORG: {number}".encode())
    assert decode_answer(data) == replace(ANSWER, boot_id=None)


@pytest.mark.conforms("UP-17", "Q-15")
@pytest.mark.parametrize("header", ["LOCATION", "ST"])
def test_an_answer_without_location_or_st_is_dropped(header: str) -> None:
    with pytest.raises(ProtocolError):
        decode_answer(without(header))
    with pytest.raises(ProtocolError):
        decode_answer(without(header).rstrip(b"\r\n") + f"\r\n{header}: \r\n\r\n".encode())


@pytest.mark.conforms("Q-14")
def test_of_a_header_twice_the_first_counts() -> None:
    head = tv.TV20_ANSWER.rstrip(b"\r\n")
    assert decode_answer(head + b"\r\nLOCATION: http://192.168.1.66/\r\nST: x\r\n\r\n") == ANSWER


@pytest.mark.conforms("UP-14")
def test_the_case_of_values_is_kept() -> None:
    data = tv.TV20_ANSWER.replace(b"rootDesc.xml", b"RootDESC.XML")
    assert decode_answer(data).location.endswith("/RootDESC.XML")


@pytest.mark.conforms("UP-15")
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\r\n\r\n",
        b"\x00",
        b"\xff\xfe\xfd",
        tv.TV20_ANSWER.replace(b"TestOS", b"\xff\xff"),
        tv.TV20_ANSWER.replace(b"200 OK", b"404 Not Found"),
        tv.TV20_ANSWER.replace(b"HTTP/1.1 200 OK", b"HTTP/1.1"),
        tv.TV20_ANSWER.replace(b"HTTP/1.1 200 OK", b"HTTP/1.1 2000"),
        tv.TV20_ANSWER.replace(b"HTTP/1.1 200 OK", b"NOTIFY * HTTP/1.1"),
        tv.TV20_SEARCH,
        tv.TV22_REQ,
    ],
)
def test_what_is_no_answer_is_dropped(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_answer(data)


def test_an_answer_may_have_2048_bytes_and_no_more() -> None:
    fill = limits.SSDP_DATAGRAM - len(tv.TV20_ANSWER)
    assert decode_answer(tv.TV20_ANSWER + b"x" * fill) == ANSWER
    with pytest.raises(ProtocolError, match="longer"):
        decode_answer(tv.TV20_ANSWER + b"x" * (fill + 1))
    with pytest.raises(ProtocolError, match="longer"):
        decode_search(tv.TV20_SEARCH.ljust(limits.SSDP_DATAGRAM + 1, b"x"))


def test_an_answer_of_very_many_lines_is_dropped() -> None:
    with pytest.raises(ProtocolError):
        decode_answer(tv.TV20_ANSWER.replace(b"EXT:", b"\r\n".join([b"X: y"] * 100)))


@pytest.mark.conforms("UP-21")
@pytest.mark.parametrize(
    "target",
    [
        "upnp:rootdevice",
        f"{IGD}:1",
        f"{IGD}:3",
        f"{SERVICE}WANIPConnection:2",
        f"{SERVICE}WANPPPConnection:1",
        f"{SERVICE}WANIPv6FirewallControl:1",
    ],
)
def test_gateways_of_any_version_are_recognised(target: str) -> None:
    assert is_gateway(target)


@pytest.mark.parametrize(
    "target",
    [
        "",
        "ssdp:all",
        IGD,
        "urn:schemas-upnp-org:device:MediaRenderer:1",
        "urn:schemas-upnp-org:service:WANCommonInterfaceConfig:1",
        "uuid:2fac1234-31f8-11b4-a222-08002b34c003",
    ],
)
def test_other_devices_are_not(target: str) -> None:
    assert not is_gateway(target)


# --- Any text, any bytes

VALUES = st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S"]), min_size=1, max_size=60)
NUMBERS = st.integers(0, 2**31 - 1)
IDS = {"boot_id": st.none() | NUMBERS, "config_id": st.none() | NUMBERS}


@given(st.builds(Answer, location=VALUES, target=VALUES, usn=VALUES, server=VALUES, **IDS))
@examples(100)
def test_any_answer_survives_the_wire(answer: Answer) -> None:
    assert decode_answer(encode_answer(answer)) == answer


@given(VALUES, st.none() | st.integers(1, 5))
@examples(50)
def test_any_search_survives_the_wire(target: str, max_wait: int | None) -> None:
    assert decode_search(encode_search(target, host="239.255.255.250:1900", max_wait=max_wait)) == target


HEADS = [
    tv.TV20_SEARCH,
    tv.TV20_ANSWER,
    tv.TV20_BYEBYE,
    tv.TV25_NOTIFY,
    b"HTTP/1.1 200\r\nlocation:x\r\nst:y",
]


@pytest.mark.conforms("UP-15")
@given(st.binary(max_size=100) | tv.bytes_near(HEADS) | st.text(max_size=100).map(str.encode))
@examples(300)
def test_any_bytes_are_a_message_or_a_protocol_error(data: bytes) -> None:
    with suppress(ProtocolError):
        assert decode_search(data)
    with suppress(ProtocolError):
        answer = decode_answer(data)
        assert answer.location
        assert answer.target
