"""Devices that invite and describe themselves in a way that makes no sense, or leads elsewhere."""

import random

import pytest

from portmapper import limits
from portmapper.errors import GatewayTimeout, GatewayUnreachable, ProtocolError
from portmapper.model import IPAddress
from tests.cases import each, named
from tests.hostile.rude import (
    HTML,
    LAUGHS,
    RudeIgd,
    Trap,
    a_description,
    a_port,
    an_answer,
    outcome,
    reason_of,
    succeeds,
)

pytestmark = pytest.mark.anyio

UNHEARD: dict[str, bytes] = {
    "empty": b"",
    "short": b"H",
    "nul": bytes(200),
    "random": random.Random(4).randbytes(600),
    "html": HTML,
    "not-found": b"HTTP/1.1 404 Not Found\r\nLOCATION: http://127.0.0.1:9/\r\nST: upnp:rootdevice\r\n\r\n",
    "notify": b"NOTIFY * HTTP/1.1\r\nLOCATION: http://127.0.0.1:9/\r\nST: upnp:rootdevice\r\n\r\n",
    "no-location": b"HTTP/1.1 200 OK\r\nST: upnp:rootdevice\r\n\r\n",
    "no-target": b"HTTP/1.1 200 OK\r\nLOCATION: http://127.0.0.1:9/\r\n\r\n",
    "printer": an_answer("http://127.0.0.1:9/", "urn:schemas-upnp-org:device:Printer:1"),
    "location-of-60000": an_answer("http://127.0.0.1:9/" + "x" * 60000),
    "many-headers": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 300,
    "not-text": b"HTTP/1.1 200 OK\r\nLOCATION: \xff\xfe\r\nST: upnp:rootdevice\r\n\r\n",
}
REFUSED_LOCATIONS = [
    "http://127.0.0.2:{trap}/",
    "http://localhost:{trap}/",
    "http://127.1:{trap}/",
    "http://2130706433:{trap}/",
    "http://0x7f000001:{trap}/",
    "http://0177.0.0.1:{trap}/",
    "http://[::ffff:127.0.0.1]:{trap}/",
    "http://[::1]:{trap}/",
    "http://0.0.0.0:{trap}/",
    "http://127.0.0.1@127.0.0.2:{trap}/",
    "http://127.0.0.1:{trap}@127.0.0.2:{trap}/",
    "http://user@127.0.0.1:{trap}/",
    "http://127.0.0.2:{trap}\\@127.0.0.1/",
    "https://127.0.0.1:{trap}/",
    "ftp://127.0.0.1:{trap}/",
    "file:///etc/passwd",
    "//127.0.0.1:{trap}/",
    "/rootDesc.xml",
    "http:///",
    "http://[",
    "http://127.0.0.1:0/",
    "http://127.0.0.1:99999/",
    "http://127.0.0.1:{trap}/\u00e4",
    "http://127.0.0.1:{trap}/" + "x" * 1024,
]


class OddSearch(RudeIgd):
    """Answers every search with given datagrams, and then perhaps truthfully."""

    def __init__(self, *answers: bytes, honest: bool) -> None:
        super().__init__()
        self._answers, self._honest = answers, honest

    def answer_search(self, data: bytes) -> list[bytes]:
        return [*self._answers, *(super().answer_search(data) if self._honest else [])]


@pytest.mark.conforms("UP-15", "UP-17")
async def test_an_answer_to_the_search_that_is_none_is_not_heard() -> None:
    async def check(answer: bytes) -> None:
        async with OddSearch(answer, honest=False) as gateway:
            reason = reason_of(await outcome(gateway, "upnp"), "upnp")
        assert type(reason) is GatewayTimeout
        assert not gateway.paths

    await each(UNHEARD, check)


@pytest.mark.conforms("UP-15")
async def test_the_good_answer_after_every_kind_of_rubbish_is_taken_s18() -> None:
    async with OddSearch(*UNHEARD.values(), honest=True) as gateway:
        await succeeds(gateway, "upnp")


@pytest.mark.conforms("UP-32")
async def test_a_location_elsewhere_is_refused_and_not_contacted_s28(trap: Trap) -> None:
    async def check(location: str) -> None:
        async with OddSearch(an_answer(location.format(trap=trap.port)), honest=False) as gateway:
            assert type(reason_of(await outcome(gateway, "upnp"), "upnp")) is ProtocolError
            assert not trap.caught()

    await each(named(*REFUSED_LOCATIONS), check)


async def test_locations_elsewhere_do_not_hide_the_good_one_s28(trap: Trap) -> None:
    elsewhere = [an_answer(location.format(trap=trap.port)) for location in REFUSED_LOCATIONS[:3]]
    async with OddSearch(*elsewhere, honest=True) as gateway:
        await succeeds(gateway, "upnp")
        assert not trap.caught()


@pytest.mark.conforms("UP-31")
async def test_a_thousand_locations_are_not_all_fetched_s36() -> None:
    class Inviting(RudeIgd):
        def answer_search(self, data: bytes) -> list[bytes]:
            base = self.location.removesuffix("/rootDesc.xml")
            return [an_answer(f"{base}/{number}") for number in range(250)]

    async with Inviting() as gateway:
        reason = reason_of(await outcome(gateway, "upnp"), "upnp")
    assert type(reason) is ProtocolError
    assert len(gateway.paths) == len(set(gateway.paths)) == limits.DESCRIPTION_FETCHES


async def test_a_closed_http_port_is_unreachable() -> None:
    async with OddSearch(an_answer(f"http://127.0.0.1:{a_port()}/"), honest=False) as gateway:
        assert type(reason_of(await outcome(gateway, "upnp"), "upnp")) is GatewayUnreachable


DESCRIPTIONS: dict[str, bytes] = {
    "empty": b"",
    "html": HTML,
    "html-like": b"<html><body><p>hello<br></body></html>",
    "nul": bytes(1000),
    "random": random.Random(5).randbytes(1000),
    "json": b'{"device": null}',
    "cut": a_description()[:-20],
    "two-roots": a_description() * 2,
    "no-service": b"<root><device/></root>",
    "other-service": a_description("Printing:1"),
    "version-none": a_description("WANIPConnection"),
    "version-9": a_description("WANIPConnection:9"),
    "version-huge": a_description("WANIPConnection:" + "9" * 5000),
    "version-arabic": a_description("WANIPConnection:\u0661"),
    "too-long": a_description(more="x" * (256 * 1024)),
    "too-deep": a_description(more="<a>" * 64 + "</a>" * 64),
    "too-many": a_description(more="<a/>" * 4096),
    "doctype": b"<!DOCTYPE root>" + a_description(),
    "laughs": LAUGHS,
    "external-entity": b'<!DOCTYPE r [<!ENTITY a SYSTEM "file:///etc/passwd">]><r>&a;</r>',
    "charset-utf-7": b'<?xml version="1.0" encoding="utf-7"?>' + b"<root/>",
    "charset-unknown": b'<?xml version="1.0" encoding="x-nothing"?>' + b"<root/>",
    "utf-16": "<root/>".encode("utf-16"),
    "lone-surrogate": b"\xff\xfe\x00\xd8<\x00",
    "control-elsewhere": a_description(control="http://127.0.0.2:{trap}/"),
    "control-protocol-relative": a_description(control="//127.0.0.2:{trap}/"),
    "control-https": a_description(control="https://127.0.0.1:{trap}/"),
    "control-backslash": a_description(control="\\\\127.0.0.2:{trap}\\"),
    "control-userinfo": a_description(control="http://127.0.0.1@127.0.0.2:{trap}/"),
    "control-long": a_description(control="/" + "x" * 2000),
}


class OddDescription(RudeIgd):
    """Describes itself with the given body."""

    def __init__(self, body: bytes, status: int = 200) -> None:
        super().__init__()
        self._answer = (status, body)

    def rude(self, method: str, body: bytes, honest: tuple[int, bytes]) -> tuple[int, bytes]:
        return self._answer if method == "GET" else honest


@pytest.mark.conforms("UP-32", "UP-41")
async def test_a_description_that_is_none_is_a_protocol_error_s13_s15_s16_s30(trap: Trap) -> None:
    async def check(body: bytes) -> None:
        async with OddDescription(body.replace(b"{trap}", b"%d" % trap.port)) as gateway:
            assert type(reason_of(await outcome(gateway, "upnp"), "upnp")) is ProtocolError
            assert {method for method, _ in gateway.paths} == {"GET"}
            assert not trap.caught()

    await each(DESCRIPTIONS, check)


async def test_a_control_url_that_cannot_be_parsed_is_a_protocol_error_s30() -> None:
    async def check(control: str) -> None:
        async with OddDescription(a_description(control=control)) as gateway:
            assert type(reason_of(await outcome(gateway, "upnp"), "upnp")) is ProtocolError

    await each(named("http://[", "//[x", "http://127.0.0.1\uff0f"), check)


@pytest.mark.conforms("UP-32")
async def test_a_description_with_another_status_is_a_protocol_error() -> None:
    async def check(status: int) -> None:
        async with OddDescription(b"", status) as gateway:
            reason = reason_of(await outcome(gateway, "upnp"), "upnp")
        assert type(reason) is ProtocolError
        assert f"status {status}" in str(reason)

    await each({str(status): status for status in (204, 302, 401, 404, 500)}, check)


@pytest.mark.conforms("UP-36")
async def test_a_url_base_elsewhere_is_ignored_s30(trap: Trap) -> None:
    base = f"<URLBase>http://127.0.0.2:{trap.port}/</URLBase>"
    async with OddDescription(a_description(control="/ctl/IPConn", more=base)) as gateway:
        await succeeds(gateway, "upnp")
        assert not trap.caught()


async def test_a_service_with_a_bad_control_url_does_not_hide_a_good_one_s30(trap: Trap) -> None:
    bad = a_description(control=f"http://127.0.0.2:{trap.port}/").removeprefix(b"<root>").removesuffix(b"</root>")
    good = a_description(control="/ctl/IPConn", more=bad.decode())
    async with OddDescription(good) as gateway:
        await succeeds(gateway, "upnp")
        assert not trap.caught()


async def test_the_second_location_is_tried_when_the_first_gives_html() -> None:
    class TwoLocations(RudeIgd):
        def answer_search(self, data: bytes) -> list[bytes]:
            return [an_answer(self.location.replace("rootDesc", "login")), *super().answer_search(data)]

        def answer_http(self, method: str, path: str, body: bytes, sender: IPAddress) -> tuple[int, bytes]:
            return (200, HTML) if path == "/login.xml" else super().answer_http(method, path, body, sender)

    async with TwoLocations() as gateway:
        await succeeds(gateway, "upnp")
