"""The search for a device, the answers to it and what devices say unasked (UDA 2.0 clause 1); what is dropped."""

from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portmapper import limits
from portmapper.errors import ProtocolError
from portmapper.upnp.ssdp import (
    TARGETS,
    Answer,
    Kind,
    Notification,
    decode_answer,
    decode_notification,
    decode_search,
    encode_answer,
    encode_notification,
    encode_search,
    is_gateway,
)
from tests.fuzz import examples
from tests.wire import vectors as tv

IGD = "urn:schemas-upnp-org:device:InternetGatewayDevice"
ANSWER = Answer(
    location="http://192.168.1.1:5000/igd/rootDesc.xml",
    target=f"{IGD}:2",
    usn=f"uuid:2fac1234-31f8-11b4-a222-08002b34c003::{IGD}:2",
    server="TestOS/1.0 UPnP/1.1 FakeIGD/1.0",
    boot_id=7,
    config_id=1,
)
GROUP = "239.255.255.250:1900"
BYEBYE = Notification(
    kind=Kind.BYEBYE,
    nt="upnp:rootdevice",
    usn="uuid:2fac1234-31f8-11b4-a222-08002b34c003::upnp:rootdevice",
    boot_id=7,
    config_id=1,
)
ALIVE = replace(BYEBYE, kind=Kind.ALIVE, location=ANSWER.location, server=ANSWER.server)
UPDATE = replace(BYEBYE, kind=Kind.UPDATE, location=ANSWER.location, next_boot_id=8)


def without(name: str) -> bytes:
    """Return the answer of TV-20 without one header."""
    lines = tv.TV20_ANSWER.split(b"\r\n")
    return b"\r\n".join(line for line in lines if not line.startswith(name.encode() + b":"))


def test_the_multicast_search_byte_for_byte() -> None:
    """UP-01 to UP-05, TV-20."""
    assert encode_search(f"{IGD}:2", host="239.255.255.250:1900", max_wait=2) == tv.TV20_SEARCH


def test_a_unicast_search_has_no_mx() -> None:
    """UP-12."""
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


def test_version_2_gateways_are_searched_first() -> None:
    """UP-06."""
    assert TARGETS[:2] == (f"{IGD}:2", f"{IGD}:1")
    assert all(is_gateway(target) for target in TARGETS)


def test_the_answer() -> None:
    """UP-14, TV-20; headers nobody asked for are skipped."""
    assert decode_answer(tv.TV20_ANSWER) == ANSWER


def test_an_answer_byte_for_byte() -> None:
    """UP-17, TV-20: with all that is required of it."""
    assert encode_answer(ANSWER) == tv.TV20_ANSWER


def test_a_device_of_version_1_0_has_no_boot_id() -> None:
    data = encode_answer(replace(ANSWER, boot_id=None, config_id=None))
    assert data == without("BOOTID.UPNP.ORG").replace(b"CONFIGID.UPNP.ORG: 1\r\n", b"")
    assert decode_answer(data) == replace(ANSWER, boot_id=None, config_id=None)


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
    """UP-14 to UP-16."""
    assert data != tv.TV20_ANSWER
    assert decode_answer(data) == ANSWER


def test_headers_are_not_looked_for_in_a_body() -> None:
    """UP-16."""
    with pytest.raises(ProtocolError):
        decode_answer(without("LOCATION") + b"LOCATION: http://192.168.1.66/\r\n\r\n")


@pytest.mark.parametrize(
    ("header", "answer"), [("USN", replace(ANSWER, usn="")), ("SERVER", replace(ANSWER, server=""))]
)
def test_an_answer_without_usn_or_server_is_usable(header: str, answer: Answer) -> None:
    assert decode_answer(without(header)) == answer


BAD_NUMBERS = ["", "x", "-7", "+7", "7.0", "7 7", "0x7", "2147483648", "9" * 400, "\N{SUPERSCRIPT TWO}", "\uff17"]


@pytest.mark.parametrize("number", BAD_NUMBERS)
def test_an_answer_with_a_boot_id_that_is_none_is_usable(number: str) -> None:
    """UP-26."""
    data = tv.TV20_ANSWER.replace(b"BOOTID.UPNP.ORG: 7", f"BOOTID.UPNP.ORG: {number}".encode())
    assert decode_answer(data) == replace(ANSWER, boot_id=None)


@pytest.mark.parametrize("header", ["LOCATION", "ST"])
def test_an_answer_without_location_or_st_is_dropped(header: str) -> None:
    """UP-17."""
    with pytest.raises(ProtocolError):
        decode_answer(without(header))
    with pytest.raises(ProtocolError):
        decode_answer(without(header).rstrip(b"\r\n") + f"\r\n{header}: \r\n\r\n".encode())


def test_of_a_header_twice_the_first_counts() -> None:
    head = tv.TV20_ANSWER.rstrip(b"\r\n")
    assert decode_answer(head + b"\r\nLOCATION: http://192.168.1.66/\r\nST: x\r\n\r\n") == ANSWER


def test_the_case_of_values_is_kept() -> None:
    data = tv.TV20_ANSWER.replace(b"rootDesc.xml", b"RootDESC.XML")
    assert decode_answer(data).location.endswith("/RootDESC.XML")


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
    """UP-15."""
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


@pytest.mark.parametrize(
    "target",
    [
        "upnp:rootdevice",
        f"{IGD}:1",
        f"{IGD}:3",
        "urn:schemas-upnp-org:service:WANIPConnection:2",
        "urn:schemas-upnp-org:service:WANPPPConnection:1",
    ],
)
def test_gateways_of_any_version_are_recognised(target: str) -> None:
    """UP-21."""
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


# --- Notifications


def notify(*lines: str) -> bytes:
    """Return a NOTIFY of other lines."""
    return "\r\n".join(["NOTIFY * HTTP/1.1", f"HOST: {GROUP}", *lines, "", ""]).encode()


HEARD = {
    "byebye": (tv.TV20_BYEBYE, BYEBYE),
    "alive": (
        notify(
            "CACHE-CONTROL: max-age=1800",
            f"LOCATION: {ANSWER.location}",
            "NT: upnp:rootdevice",
            "NTS: ssdp:alive",
            f"SERVER: {ANSWER.server}",
            f"USN: {BYEBYE.usn}",
            "BOOTID.UPNP.ORG: 7",
            "CONFIGID.UPNP.ORG: 1",
        ),
        ALIVE,
    ),
    "update": (
        notify(
            f"LOCATION: {ANSWER.location}",
            "NT: upnp:rootdevice",
            "NTS: ssdp:update",
            f"USN: {BYEBYE.usn}",
            "BOOTID.UPNP.ORG: 7",
            "CONFIGID.UPNP.ORG: 1",
            "NEXTBOOTID.UPNP.ORG: 8",
        ),
        UPDATE,
    ),
    "UDA 1.0": (
        notify("NT: upnp:rootdevice", "NTS: ssdp:byebye", f"USN: {BYEBYE.usn}"),
        replace(BYEBYE, boot_id=None, config_id=None),
    ),
}


@pytest.mark.parametrize(("data", "notification"), HEARD.values(), ids=HEARD)
def test_a_notification_both_ways(data: bytes, notification: Notification) -> None:
    """UP-24, TV-20 byebye."""
    assert encode_notification(notification, host=GROUP) == data
    assert decode_notification(data) == notification


@pytest.mark.parametrize(
    "data",
    [
        tv.TV20_BYEBYE.replace(b":1900", b""),
        tv.TV20_BYEBYE.replace(b"239.255.255.250", b"[FF02::C]"),
        tv.TV20_BYEBYE.replace(f"HOST: {GROUP}\r\n".encode(), b""),
        tv.TV20_BYEBYE.replace(b"\r\n", b"\n"),
        tv.TV20_BYEBYE.replace(b"NTS: ", b"nts:").replace(b"NT: ", b"nt :\t").replace(b"USN", b"Usn"),
        tv.TV20_BYEBYE.replace(b"BOOTID.UPNP.ORG: 7", b"bootid.upnp.org:7"),
        tv.TV20_BYEBYE.replace(b"ID.UPNP.ORG: ", b"ID.UPNP.ORG: 00"),
        tv.TV20_BYEBYE.replace(b"HTTP/1.1", b"HTTP/1.0").rstrip(b"\r\n"),
        tv.TV20_BYEBYE + b"BOOTID.UPNP.ORG: 9",
        tv.TV20_BYEBYE.replace(b"NT: ", b"X-VENDOR: 1\r\nNT: "),
    ],
    ids=["no port", "IPv6", "no HOST", "LF", "case", "case of ids", "zeros", "1.0", "body", "unknown"],
)
def test_sloppy_notifications_are_understood(data: bytes) -> None:
    """UP-14 to UP-16, UP-24, UP-26, UP-30."""
    assert data != tv.TV20_BYEBYE
    assert decode_notification(data) == BYEBYE


@pytest.mark.parametrize(("digits", "number"), [("0", 0), ("00000000000000007", 7), ("2147483647", 2**31 - 1)])
def test_a_boot_id_has_31_bits(digits: str, number: int) -> None:
    """UP-26."""
    data = tv.TV20_BYEBYE.replace(b"BOOTID.UPNP.ORG: 7", f"BOOTID.UPNP.ORG: {digits}".encode())
    assert decode_notification(data) == replace(BYEBYE, boot_id=number)


@pytest.mark.parametrize("number", BAD_NUMBERS)
def test_a_boot_id_that_is_none_hides_no_byebye(number: str) -> None:
    """UP-26: as from a device of UDA 1.0."""
    data = tv.TV20_BYEBYE.replace(b"BOOTID.UPNP.ORG: 7", f"BOOTID.UPNP.ORG: {number}".encode())
    assert decode_notification(data) == replace(BYEBYE, boot_id=None)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"NOTIFY * HTTP/1.1",
        tv.TV20_BYEBYE.replace(b"ssdp:byebye", b"ssdp:hello"),
        tv.TV20_BYEBYE.replace(b"ssdp:byebye", b"upnp:propchange"),
        tv.TV20_BYEBYE.replace(b"ssdp:byebye", b""),
        tv.TV20_BYEBYE.replace(b"NTS:", b"X:"),
        tv.TV20_BYEBYE.replace(b"NT:", b"X:"),
        tv.TV20_BYEBYE.replace(b"USN:", b"X:"),
        tv.TV20_BYEBYE.replace(b"NT: upnp:rootdevice", b"NT: "),
        tv.TV20_BYEBYE.replace(b"ssdp:byebye", b"ssdp:update"),
        HEARD["update"][0].replace(b"NEXTBOOTID.UPNP.ORG: 8", b"NEXTBOOTID.UPNP.ORG: x"),
        tv.TV20_BYEBYE.replace(b"NOTIFY *", b"NOTIFY /evt"),
        tv.TV20_BYEBYE.replace(b"NOTIFY *", b"M-SEARCH *"),
        tv.TV20_BYEBYE.replace(b"NOTIFY * HTTP/1.1", b"HTTP/1.1 200 OK"),
        tv.TV20_BYEBYE.replace(b"uuid", b"\xff\xfe"),
        tv.TV20_BYEBYE.ljust(limits.SSDP_DATAGRAM + 1, b"x"),
        tv.TV20_SEARCH,
        tv.TV20_ANSWER,
    ],
)
def test_what_is_no_notification_is_dropped(data: bytes) -> None:
    """UP-15, UP-24; an update without NEXTBOOTID says nothing."""
    with pytest.raises(ProtocolError):
        decode_notification(data)


@pytest.mark.parametrize("data", [data for data, _ in HEARD.values()], ids=HEARD)
def test_a_notification_is_no_search_and_no_answer(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_search(data)
    with pytest.raises(ProtocolError):
        decode_answer(data)


# --- Any text, any bytes

VALUES = st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S"]), min_size=1, max_size=60)


NUMBERS = st.integers(0, 2**31 - 1)
IDS = {"boot_id": st.none() | NUMBERS, "config_id": st.none() | NUMBERS}


@given(st.builds(Answer, location=VALUES, target=VALUES, usn=VALUES, server=VALUES, **IDS))
@examples(100)
def test_any_answer_survives_the_wire(answer: Answer) -> None:
    assert decode_answer(encode_answer(answer)) == answer


PARTS = {"nt": VALUES, "usn": VALUES, "location": st.just("") | VALUES, "server": st.just("") | VALUES, **IDS}
NOTIFICATIONS = st.builds(
    Notification, kind=st.sampled_from([Kind.ALIVE, Kind.BYEBYE]), next_boot_id=st.none() | NUMBERS, **PARTS
) | st.builds(Notification, kind=st.just(Kind.UPDATE), next_boot_id=NUMBERS, **PARTS)


@given(NOTIFICATIONS, st.sampled_from([GROUP, "239.255.255.250", "[FF02::C]:1900"]))
@examples(150)
def test_any_notification_survives_the_wire(notification: Notification, host: str) -> None:
    assert decode_notification(encode_notification(notification, host=host)) == notification


@given(VALUES, st.none() | st.integers(1, 5))
@examples(50)
def test_any_search_survives_the_wire(target: str, max_wait: int | None) -> None:
    assert decode_search(encode_search(target, host="239.255.255.250:1900", max_wait=max_wait)) == target


HEADS = [
    tv.TV20_SEARCH,
    tv.TV20_ANSWER,
    *(data for data, _ in HEARD.values()),
    tv.TV25_NOTIFY,
    b"HTTP/1.1 200\r\nlocation:x\r\nst:y",
]


@given(st.binary(max_size=100) | tv.bytes_near(HEADS) | st.text(max_size=100).map(str.encode))
@examples(300)
def test_any_bytes_are_a_message_or_a_protocol_error(data: bytes) -> None:
    with suppress(ProtocolError):
        assert decode_search(data)
    with suppress(ProtocolError):
        answer = decode_answer(data)
        assert answer.location
        assert answer.target
    with suppress(ProtocolError):
        notification = decode_notification(data)
        assert notification.nt
        assert notification.usn
        assert notification.next_boot_id is not None or notification.kind is not Kind.UPDATE
