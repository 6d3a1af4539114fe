"""Which notifications mean that a gateway has started afresh (UDA 2.0 clause 1.2)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portmapper import limits
from portmapper.upnp.boot import BootWatch
from portmapper.upnp.ssdp import Kind, Notification, encode_notification
from tests.fuzz import examples
from tests.wire import vectors as tv

DEVICE, SERVICE = "urn:schemas-upnp-org:device:InternetGatewayDevice", "urn:schemas-upnp-org:service:"
ROOT = "upnp:rootdevice"
HOST = "239.255.255.250:1900"
UUID = "uuid:2fac1234-31f8-11b4-a222-08002b34c003"


def alive(boot_id: int | None, nt: str = ROOT, *, uuid: str = UUID, config_id: int | None = None) -> bytes:
    notification = Notification(
        kind=Kind.ALIVE,
        nt=nt,
        usn=f"{uuid}::{nt}",
        location="http://192.168.1.1/",
        boot_id=boot_id,
        config_id=config_id,
    )
    return encode_notification(notification, host=HOST)


def byebye(boot_id: int | None, nt: str = ROOT, *, uuid: str = UUID) -> bytes:
    return encode_notification(Notification(kind=Kind.BYEBYE, nt=nt, usn=f"{uuid}::{nt}", boot_id=boot_id), host=HOST)


def update(boot_id: int, following: int, nt: str = ROOT) -> bytes:
    notification = Notification(kind=Kind.UPDATE, nt=nt, usn=f"{UUID}::{nt}", boot_id=boot_id, next_boot_id=following)
    return encode_notification(notification, host=HOST)


def heard(*messages: bytes) -> list[bool]:
    """Return for each message whether it is a reason to look."""
    watch = BootWatch()
    return [watch.observe(message) for message in messages]


@pytest.mark.conforms("UP-24")
def test_a_device_that_is_heard_for_the_first_time_is_a_reason_to_look() -> None:
    """It may have restarted before anybody listened."""
    assert heard(alive(7), alive(7), alive(7)) == [True, False, False]


@pytest.mark.conforms("UP-25", "UP-26")
@pytest.mark.parametrize("now", [8, 6, 0, 2**31 - 1])
def test_another_boot_id_higher_or_lower_is_a_restart(now: int) -> None:
    assert heard(alive(7), alive(now), alive(now), alive(7)) == [True, True, False, True]


@pytest.mark.conforms("UP-26")
def test_leading_zeros_of_a_boot_id_mean_nothing() -> None:
    padded = alive(7).replace(b"BOOTID.UPNP.ORG: 7", b"BOOTID.UPNP.ORG: 0007")
    assert heard(alive(7), padded, alive(7)) == [True, False, False]


@pytest.mark.conforms("UP-26")
def test_a_boot_id_that_is_no_number_is_none_and_the_same_again_is_no_restart() -> None:
    odd = [alive(7).replace(b"BOOTID.UPNP.ORG: 7", b"BOOTID.UPNP.ORG: " + text) for text in (b"x", b"-1", b"9" * 20)]
    assert heard(*odd) == [True, False, False]


@pytest.mark.conforms("UP-27")
def test_an_update_changes_the_boot_id_and_nothing_is_lost() -> None:
    assert heard(alive(7), update(7, 8), alive(8)) == [True, False, False]
    assert heard(alive(7), update(7, 8), update(8, 3), alive(3)) == [True, False, False, False]


@pytest.mark.conforms("UP-25", "UP-27")
def test_another_boot_id_than_the_update_named_is_a_restart() -> None:
    assert heard(alive(7), update(7, 8), alive(9)) == [True, False, True]
    assert heard(alive(7), update(7, 8), alive(7)) == [True, False, True]


@pytest.mark.conforms("UP-27")
def test_an_update_of_a_device_that_was_not_heard_before_names_it() -> None:
    assert heard(update(7, 8), alive(8)) == [False, False]


@pytest.mark.conforms("UP-28")
def test_another_config_id_is_no_restart() -> None:
    """The description is read anew for each search; what is mapped stays."""
    assert heard(alive(7, config_id=1), alive(7, config_id=2)) == [True, False]


@pytest.mark.conforms("UP-20", "UP-29")
@pytest.mark.parametrize("boot_id", [None, 7])
def test_an_alive_after_a_byebye_is_a_restart(boot_id: int | None) -> None:
    """Also of a device without BOOTID, and of one that does not change it."""
    assert heard(alive(boot_id), byebye(boot_id), alive(boot_id), alive(boot_id)) == [True, False, True, False]


@pytest.mark.conforms("UP-29")
def test_a_byebye_before_the_first_alive_is_looked_at_when_the_device_is_up() -> None:
    """Nothing is asked while it goes down."""
    assert heard(byebye(None), byebye(None), alive(None), alive(None)) == [False, False, True, False]


@pytest.mark.conforms("UP-29")
def test_a_device_without_boot_id_that_only_repeats_itself_has_not_restarted() -> None:
    assert heard(alive(None), alive(None), alive(None)) == [True, False, False]


def test_a_device_that_begins_to_name_its_boot_id_has_restarted() -> None:
    assert heard(alive(None), alive(7), alive(None)) == [True, True, True]


PARTS = [ROOT, f"{DEVICE}:1", f"{DEVICE}:2", f"{SERVICE}WANIPConnection:1", f"{SERVICE}WANIPv6FirewallControl:1"]


@pytest.mark.conforms("UP-20")
@pytest.mark.parametrize("part", PARTS)
def test_a_byebye_of_whatever_part_ends_the_whole_device(part: str) -> None:
    assert heard(alive(7, ROOT), byebye(7, part), alive(7, f"{DEVICE}:1")) == [True, False, True]


@pytest.mark.conforms("UP-19", "UP-25")
def test_the_parts_of_a_device_are_one_device() -> None:
    """One restart, and not one for each part."""
    first, second = [alive(7, part) for part in PARTS], [alive(8, part) for part in PARTS]
    assert heard(*first, *second) == [True, *[False] * 4, True, *[False] * 4]


def test_two_devices_have_their_own_boot_ids() -> None:
    assert heard(alive(7), alive(3, uuid="uuid:b"), alive(7), alive(3, uuid="uuid:b")) == [True, True, False, False]


@pytest.mark.conforms("UP-22", "Q-12")
def test_the_name_of_a_device_need_not_be_a_uuid() -> None:
    assert heard(alive(7, uuid="my router"), alive(7, uuid="my router"), alive(8, uuid="my router")) == [
        True,
        False,
        True,
    ]


@pytest.mark.conforms("UP-24")
@pytest.mark.parametrize(
    "nt", ["urn:schemas-upnp-org:device:MediaServer:1", "ssdp:all", f"{SERVICE}Layer3Forwarding:1"]
)
def test_what_is_no_part_of_a_gateway_is_not_followed(nt: str) -> None:
    assert heard(alive(7, nt), byebye(7, nt), alive(8, nt)) == [False, False, False]


@pytest.mark.conforms("UP-15", "UP-149")
@pytest.mark.parametrize(
    "data", [b"", b"\xff\xfe", tv.TV20_SEARCH, tv.TV20_ANSWER, tv.TV25_NOTIFY, alive(7).replace(b"USN:", b"X:")]
)
def test_what_is_no_notification_changes_nothing(data: bytes) -> None:
    assert heard(alive(7), data, alive(7)) == [True, False, False]


def test_32_devices_are_followed_and_no_more() -> None:
    """A forger could name any number; what was followed before stays so."""
    watch = BootWatch()
    names = [f"uuid:{number}" for number in range(limits.DEVICES_HEARD)]
    assert all(watch.observe(alive(7, uuid=name)) for name in names)
    for _ in range(2):
        assert not watch.observe(alive(7, uuid="uuid:one too many"))
        assert not watch.observe(byebye(7, uuid="uuid:one too many"))
    assert [watch.observe(alive(8, uuid=name)) for name in names] == [True] * limits.DEVICES_HEARD


def test_byebyes_and_updates_fill_no_more_room_than_that() -> None:
    watch = BootWatch()
    for number in range(1000):
        watch.observe(byebye(7, uuid=f"uuid:{number}"))
    assert not watch.observe(alive(7, uuid="uuid:late"))
    assert watch.observe(alive(7, uuid="uuid:0"))


# --- Any notifications

BOOT_IDS = st.none() | st.integers(0, 3)
MESSAGES = st.one_of(
    st.builds(alive, BOOT_IDS, st.sampled_from(PARTS)),
    st.builds(byebye, BOOT_IDS, st.sampled_from(PARTS)),
    st.builds(update, st.integers(0, 3), st.integers(0, 3)),
)


@pytest.mark.conforms("UP-25", "UP-27", "UP-29")
@given(st.lists(MESSAGES, max_size=20))
@examples(200)
def test_only_an_alive_is_a_reason_and_never_the_same_again(messages: list[bytes]) -> None:
    watch = BootWatch()
    for message in messages:
        assert not watch.observe(message) or b"ssdp:alive" in message
        assert not watch.observe(message)


@given(st.lists(st.binary(max_size=60) | tv.bytes_near([alive(7), byebye(7), update(7, 8)]), max_size=5))
@examples(100)
def test_any_bytes_are_a_reason_to_look_or_none(messages: list[bytes]) -> None:
    assert len(heard(*messages)) == len(messages)


@pytest.mark.conforms("UP-20")
@pytest.mark.parametrize("part", ["urn:schemas-upnp-org:device:WANDevice:1", UUID, "urn:x:service:Other:1"])
def test_a_byebye_of_a_part_that_is_no_gateway_ends_a_known_device_too(part: str) -> None:
    assert heard(alive(7), byebye(7, part), alive(7)) == [True, False, True]
