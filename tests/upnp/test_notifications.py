"""What devices say unasked (UDA 2.0 clause 1.2), and what is dropped of it."""

from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portmapper import limits
from portmapper.errors import ProtocolError
from portmapper.upnp.ssdp import (
    Kind,
    Notification,
    decode_answer,
    decode_notification,
    decode_search,
    encode_notification,
)
from tests.fuzz import examples
from tests.wire import vectors as tv

GROUP = "239.255.255.250:1900"
BYEBYE = Notification(
    kind=Kind.BYEBYE,
    nt="upnp:rootdevice",
    usn="uuid:2fac1234-31f8-11b4-a222-08002b34c003::upnp:rootdevice",
    boot_id=7,
    config_id=1,
)
ALIVE = replace(BYEBYE, kind=Kind.ALIVE, location="http://192.168.1.1:5000/igd/rootDesc.xml", server="TestOS/1.0")
UPDATE = replace(BYEBYE, kind=Kind.UPDATE, location=ALIVE.location, next_boot_id=8)
BAD_NUMBERS = ["", "x", "-7", "+7", "7.0", "7 7", "0x7", "2147483648", "9" * 400, "\N{SUPERSCRIPT TWO}", "\uff17"]


def notify(*lines: str) -> bytes:
    """Return a NOTIFY of other lines."""
    return "\r\n".join(["NOTIFY * HTTP/1.1", f"HOST: {GROUP}", *lines, "", ""]).encode()


HEARD = {
    "byebye": (tv.TV20_BYEBYE, BYEBYE),
    "alive": (
        notify(
            "CACHE-CONTROL: max-age=1800",
            f"LOCATION: {ALIVE.location}",
            "NT: upnp:rootdevice",
            "NTS: ssdp:alive",
            f"SERVER: {ALIVE.server}",
            f"USN: {BYEBYE.usn}",
            "BOOTID.UPNP.ORG: 7",
            "CONFIGID.UPNP.ORG: 1",
        ),
        ALIVE,
    ),
    "update": (
        notify(
            f"LOCATION: {ALIVE.location}",
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


@pytest.mark.conforms("UP-24")
@pytest.mark.parametrize(("data", "notification"), HEARD.values(), ids=HEARD)
def test_a_notification_both_ways(data: bytes, notification: Notification) -> None:
    """TV-20 byebye, and three more."""
    assert encode_notification(notification, host=GROUP) == data
    assert decode_notification(data) == notification


@pytest.mark.conforms("UP-14", "UP-15", "UP-16", "UP-24", "UP-26")
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
    assert data != tv.TV20_BYEBYE
    assert decode_notification(data) == BYEBYE


@pytest.mark.conforms("UP-26")
@pytest.mark.parametrize(("digits", "number"), [("0", 0), ("00000000000000007", 7), ("2147483647", 2**31 - 1)])
def test_a_boot_id_has_31_bits(digits: str, number: int) -> None:
    data = tv.TV20_BYEBYE.replace(b"BOOTID.UPNP.ORG: 7", f"BOOTID.UPNP.ORG: {digits}".encode())
    assert decode_notification(data) == replace(BYEBYE, boot_id=number)


@pytest.mark.conforms("UP-26")
@pytest.mark.parametrize("number", BAD_NUMBERS)
def test_a_boot_id_that_is_none_hides_no_byebye(number: str) -> None:
    """As from a device of UDA 1.0."""
    data = tv.TV20_BYEBYE.replace(b"BOOTID.UPNP.ORG: 7", f"BOOTID.UPNP.ORG: {number}".encode())
    assert decode_notification(data) == replace(BYEBYE, boot_id=None)


@pytest.mark.conforms("UP-15", "UP-24")
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
    """An update without NEXTBOOTID says nothing."""
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
PARTS = {"nt": VALUES, "usn": VALUES, "location": st.just("") | VALUES, "server": st.just("") | VALUES, **IDS}
NOTIFICATIONS = st.builds(
    Notification, kind=st.sampled_from([Kind.ALIVE, Kind.BYEBYE]), next_boot_id=st.none() | NUMBERS, **PARTS
) | st.builds(Notification, kind=st.just(Kind.UPDATE), next_boot_id=NUMBERS, **PARTS)


@given(NOTIFICATIONS, st.sampled_from([GROUP, "239.255.255.250", "[FF02::C]:1900"]))
@examples(150)
def test_any_notification_survives_the_wire(notification: Notification, host: str) -> None:
    assert decode_notification(encode_notification(notification, host=host)) == notification


HEADS = [*(data for data, _ in HEARD.values()), tv.TV25_NOTIFY, tv.TV20_ANSWER, tv.TV20_SEARCH]


@pytest.mark.conforms("UP-15")
@given(st.binary(max_size=100) | tv.bytes_near(HEADS) | st.text(max_size=100).map(str.encode))
@examples(300)
def test_any_bytes_are_a_notification_or_a_protocol_error(data: bytes) -> None:
    with suppress(ProtocolError):
        notification = decode_notification(data)
        assert notification.nt
        assert notification.usn
        assert notification.next_boot_id is not None or notification.kind is not Kind.UPDATE
