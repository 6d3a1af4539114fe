"""Gateways that send rubbish: a mapping is made and told truthfully, or there are only documented reasons why not."""

import random
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Any, TypeVar

import anyio
import pytest

from portmapper import limits
from portmapper.errors import (
    GatewayTimeout,
    GatewayUnreachable,
    NoMapping,
    NoService,
    PortMapperError,
    ProtocolError,
    RequestRefused,
    UnsupportedVersion,
)
from portmapper.mapper import PortMapper
from portmapper.model import Endpoint, IPAddress, Lease, Protocol
from portmapper.testing import SimulatedGateway
from portmapper.upnp import soap, ssdp

pytestmark = pytest.mark.anyio

C = TypeVar("C")

BAR = 12.0  # seconds within which there is an answer, whatever the gateway does
HTML = b"<!DOCTYPE html><html><head><title>Router login</title></head><body>Please log in.</body></html>"


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same schedule, faster, and no multicast."""
    for name, value in {
        "FAST_WAITS": (0.2, 0.2, 0.2),
        "RELEASE_WAITS": (0.1, 0.1),
        "SEARCH_OFFSETS": (0.0, 0.05, 0.1),
        "DISCOVERY": 0.5,
        "HEAD_START": 0.05,
        "SSDP_GROUP": "127.0.0.77",
    }.items():
        monkeypatch.setattr(limits, name, value)


def a_port() -> int:
    """Return a port of this host that nobody has bound."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp:
        tcp.bind(("127.0.0.1", 0))
        return int(tcp.getsockname()[1])


async def each(cases: Mapping[str, C], check: Callable[[C], Awaitable[None]]) -> None:
    """Check the cases side by side; fail with the names of those that fail."""
    failures: dict[str, Exception] = {}
    at_once = anyio.CapacityLimiter(30)

    async def one(name: str, case: C) -> None:
        async with at_once:
            try:
                await check(case)
            except Exception as error:  # noqa: BLE001 - collected
                failures[name] = error

    async with anyio.create_task_group() as tasks:
        for name, case in cases.items():
            tasks.start_soon(one, name, case)
    if failures:
        raise ExceptionGroup(f"in the cases {', '.join(failures)}", list(failures.values()))


def named(*cases: str) -> dict[str, str]:
    return {repr(case[:40]): case for case in cases}


async def outcome(gateway: SimulatedGateway, *backends: str) -> Lease | NoService:
    """Map a port; check what holds for every gateway, and return the lease or the error."""
    port = a_port()
    async with PortMapper(gateway=gateway.gateway, backends=backends or None) as mapper:
        try:
            with anyio.fail_after(BAR):
                lease = (await mapper.map(port)).lease
        except NoService as error:
            failure = error
        else:
            assert lease.internal == Endpoint(IPv4Address("127.0.0.1"), port)
            assert 1 <= lease.external.port <= 65535
            return lease
    assert list(failure.reasons) == list(backends or ("pcp", "natpmp", "upnp"))
    assert all(isinstance(reason, PortMapperError) for reason in failure.reasons.values())
    assert str(failure).replace("\n", "").isprintable()
    assert not list(gateway.table)
    return failure


def reason_of(result: Lease | NoService, backend: str) -> PortMapperError:
    assert isinstance(result, NoService), result
    return result.reasons[backend]


async def succeeds(gateway: SimulatedGateway, *backends: str) -> Lease:
    """Map a port, and compare the lease with the gateway's table; nothing may be left in the end."""
    async with PortMapper(gateway=gateway.gateway, backends=backends or None) as mapper:
        with anyio.fail_after(BAR):
            lease = (await mapper.map(a_port())).lease
        (entry,) = gateway.table
        assert (entry.external_port, entry.internal) == (lease.external.port, lease.internal)
        assert lease.lifetime == limits.DEFAULT_LIFETIME
    assert not list(gateway.table)
    return lease


# --- PCP and NAT-PMP --------------------------------------------------------------------------------------------------

Mangle = Callable[[bytes, bytes], list[bytes]]
"""(request, honest answer) to the datagrams that are sent instead."""

NATPMP, PCP = "natpmp", "pcp"
_FIELDS = {  # offset and length in the answer to a MAP request
    NATPMP: {"result": (2, 2), "internal": (8, 2), "external": (10, 2), "lifetime": (12, 4)},
    PCP: {
        "result": (3, 1), "lifetime": (4, 4), "nonce": (24, 12), "protocol": (36, 1), "internal": (40, 2),
        "external": (42, 2), "address": (44, 16),
    },
}  # fmt: skip


def with_field(backend: str, name: str, value: int) -> Mangle:
    at, size = _FIELDS[backend][name]

    def mangle(request: bytes, answer: bytes) -> list[bytes]:
        return [answer[:at] + value.to_bytes(size, "big") + answer[at + size :]]

    return mangle


def with_flipped(backend: str, name: str) -> Mangle:
    at, size = _FIELDS[backend][name]

    def mangle(request: bytes, answer: bytes) -> list[bytes]:
        return [answer[:at] + bytes(octet ^ 0x55 for octet in answer[at : at + size]) + answer[at + size :]]

    return mangle


def with_octet(at: int, change: Callable[[int], int]) -> Mangle:
    return lambda request, answer: [answer[:at] + bytes([change(answer[at]) & 255]) + answer[at + 1 :]]


def random_datagrams(request: bytes, answer: bytes) -> list[bytes]:
    # The same ones in every run: one in 512 would be an answer to PCP, "unsupported version".
    dice = random.Random(8)
    return [dice.randbytes(size) for size in (1, 2, 4, 8, 12, 16, 24, 60, 64, 1100, 1101)]


# Nothing that matches the request: heard, thrown away, asked again, and a time-out in the end.
IGNORED: dict[str, Mangle] = {
    "silence": lambda request, answer: [],
    "empty": lambda request, answer: [b""],
    "prefixes": lambda request, answer: [answer[:size] for size in (0, 1, 2, 3)],
    "random": random_datagrams,
    "echo": lambda request, answer: [request],
    "echoes": lambda request, answer: [request] * 30,
    "html": lambda request, answer: [HTML],
    "version-255": with_octet(0, lambda version: 255),
    "opcode-of-a-request": with_octet(1, lambda opcode: opcode & 127),
    "other-opcode": with_octet(1, lambda opcode: opcode ^ 3),
    "unknown-opcode": with_octet(1, lambda opcode: opcode | 0x70),
    "oversize": lambda request, answer: [b"\xff" + bytes(2040), answer[:1] + bytes(3000)],
}
IGNORED_BY = {
    NATPMP: {
        **IGNORED,
        "head-only": lambda request, answer: [answer[:8]],
        "one-octet-short": lambda request, answer: [answer[:15]],
        "other-port": with_flipped(NATPMP, "internal"),
        "port-0": with_field(NATPMP, "internal", 0),
    },
    PCP: {
        **IGNORED,
        "head-only": lambda request, answer: [answer[:24]],
        "one-octet-short": lambda request, answer: [answer[:59]],
        "one-octet-more": lambda request, answer: [answer + b"\0"],
        "too-long": lambda request, answer: [answer + bytes(1104 - 60)],
        "bad-option": lambda request, answer: [answer + b"\1\0\xff\xff"],
        "other-nonce": with_flipped(PCP, "nonce"),
        "nonce-0": with_field(PCP, "nonce", 0),
        "other-protocol": with_flipped(PCP, "protocol"),
        "protocol-0": with_field(PCP, "protocol", 0),
        "other-port": with_flipped(PCP, "internal"),
        "version-0": with_octet(0, lambda version: 0),
    },
}
both = pytest.mark.parametrize("backend", [NATPMP, PCP])


def is_map(request: bytes) -> bool:
    return len(request) >= 12 and request[1] != 0


def is_delete(request: bytes) -> bool:
    at = 4 if request[0] == 2 else 8
    return is_map(request) and request[at : at + 4] == bytes(4)


class MangledAnswers(SimulatedGateway):
    """Does what it is asked, and answers requests for which `when` holds with what `mangle` makes of the answer."""

    def __init__(self, mangle: Mangle, when: Callable[[bytes], bool] = is_map) -> None:
        super().__init__(upnp=False)
        self._mangle, self._when = mangle, when

    def answer_datagram(self, data: bytes, sender: IPAddress) -> list[bytes]:
        answers = super().answer_datagram(data, sender)
        if not self._when(data):
            return answers
        return [mangled for answer in answers for mangled in self._mangle(data, answer)]


@pytest.mark.conforms("NP-11", "NP-12", "NP-15", "NP-28", "PC-32", "PC-36", "PC-39", "PC-40", "PC-41")
@both
async def test_answers_that_match_nothing_are_a_time_out_and_the_mapping_is_undone_s18(backend: str) -> None:
    async def check(mangle: Mangle) -> None:
        async with MangledAnswers(mangle) as gateway:
            reason = reason_of(await outcome(gateway, backend), backend)
        assert type(reason) is GatewayTimeout
        assert reason.sent == len(limits.FAST_WAITS)
        assert any(map(is_delete, gateway.datagrams))

    await each(IGNORED_BY[backend], check)


@pytest.mark.conforms("NP-11", "NP-12", "PC-40", "PC-41", "PC-45")
@both
async def test_the_good_answer_after_rubbish_is_taken_without_asking_again_s18(
    backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "FAST_WAITS", (5.0,))
    monkeypatch.setattr(limits, "RELEASE_WAITS", (5.0,))

    async def check(mangle: Mangle) -> None:
        def rubbish_first(request: bytes, answer: bytes) -> list[bytes]:
            return [*mangle(request, answer), answer]

        async with MangledAnswers(rubbish_first, when=lambda _: True) as gateway:
            await succeeds(gateway, backend)
        assert len(gateway.datagrams) == len(set(gateway.datagrams)) + (backend == NATPMP)  # asks the address twice

    await each(IGNORED_BY[backend], check)


@both
async def test_rubbish_to_the_first_request_leaves_the_second_its_answer_s18(backend: str) -> None:
    async def check(mangle: Mangle) -> None:
        seen: set[bytes] = set()

        def first_time(request: bytes) -> bool:
            new = request not in seen
            seen.add(request)
            return new

        async with MangledAnswers(mangle, when=first_time) as gateway:
            await succeeds(gateway, backend)

    await each(IGNORED_BY[backend], check)


@pytest.mark.conforms("NP-49", "PC-50", "PC-64")
@both
@pytest.mark.parametrize("code", [255, 27])
async def test_an_unknown_result_is_a_refusal_and_nothing_is_taken_for_granted_s22(backend: str, code: int) -> None:
    class Refusing(MangledAnswers):
        def answer_datagram(self, data: bytes, sender: IPAddress) -> list[bytes]:
            answers = super().answer_datagram(data, sender)
            self.table.clear()
            return answers

    async with Refusing(with_field(backend, "result", code)) as gateway:
        result = await outcome(gateway, backend)
    reason = reason_of(result, backend)
    assert isinstance(reason, RequestRefused)
    assert (reason.code, reason.name) == (code, f"RESULT_{code}")
    assert isinstance(result, NoService)
    assert result.refused


@both
@pytest.mark.parametrize("field", ["external", "lifetime"])
@pytest.mark.parametrize("undone", [False, True])
async def test_a_grant_of_port_or_lifetime_0_is_a_protocol_error_and_undone_s21_s42(
    backend: str, field: str, undone: bool
) -> None:
    class Nothing(MangledAnswers):
        def answer_datagram(self, data: bytes, sender: IPAddress) -> list[bytes]:
            answers = super().answer_datagram(data, sender)
            if not undone:
                self.table.clear()
            return answers

    async with Nothing(with_field(backend, field, 0)) as gateway:
        reason = reason_of(await outcome(gateway, backend), backend)
    assert type(reason) is ProtocolError
    assert "the gateway granted" in str(reason)


@both
async def test_duplicated_answers_are_one_answer(backend: str) -> None:
    async with MangledAnswers(lambda request, answer: [answer] * 5, when=lambda _: True) as gateway:
        await succeeds(gateway, backend)


def is_wanted(request: bytes) -> bool:
    return is_map(request) and not is_delete(request)


@pytest.mark.conforms("NP-35", "PC-46")
@both
async def test_any_lifetime_is_told_as_it_was_granted_s20(backend: str) -> None:
    async def check(lifetime: int) -> None:
        async with MangledAnswers(with_field(backend, "lifetime", lifetime), is_wanted) as gateway:
            lease = await outcome(gateway, backend)
            assert isinstance(lease, Lease)
            assert lease.lifetime == lifetime
            assert not list(gateway.table)

    await each({str(lifetime): lifetime for lifetime in (1, 2, 119, 2**31, 2**32 - 1)}, check)


async def test_a_lifetime_of_seconds_makes_no_hot_loop_s21() -> None:
    async def check(lifetime: int) -> None:
        async with (
            MangledAnswers(with_field(PCP, "lifetime", lifetime), is_wanted) as gateway,
            PortMapper(gateway=gateway.gateway, backends=[PCP]) as mapper,
        ):
            await mapper.map(a_port())
            await anyio.sleep(0.8)
            asked = sum(map(is_wanted, gateway.datagrams))
        # The grant, one renewal in a half to five eighths of the lifetime; then the next attempt to get it back.
        assert 1 <= asked <= 3

    await each({str(lifetime): lifetime for lifetime in (1, 2, 3)}, check)


async def test_any_external_address_of_pcp_is_told_as_it_was_said() -> None:
    async def check(address: IPAddress | None) -> None:
        if address is None:
            value = 0xFFFF_00000000
        elif isinstance(address, IPv4Address):
            value = 0xFFFF_00000000 + int(address)
        else:
            value = int(address)
        async with MangledAnswers(with_field(PCP, "address", value), is_wanted) as gateway:
            lease = await outcome(gateway, PCP)
            assert isinstance(lease, Lease)
            assert lease.external.address == (None if value == 0 else address)

    addresses: list[IPAddress | None] = [None, *map(IPv4Address, ("255.255.255.255", "224.0.0.1"))]
    addresses += map(IPv6Address, (0, 1, 2**128 - 1))
    await each({str(address): address for address in addresses}, check)


@pytest.mark.conforms("NP-71")
async def test_no_external_address_of_natpmp_is_told_as_none() -> None:
    def nowhere(request: bytes, answer: bytes) -> list[bytes]:
        return [answer[:8] + bytes(4)]

    async with (
        MangledAnswers(nowhere, when=lambda request: len(request) == 2) as gateway,
        PortMapper(gateway=gateway.gateway, backends=[NATPMP]) as mapper,
    ):
        mapping = await mapper.map(a_port())
        assert mapping.external is not None
        assert mapping.external.address is None
        with pytest.raises(NoMapping):
            mapping.external_address()


async def test_a_mapping_is_kept_when_only_its_address_stays_unknown() -> None:
    mapped = False

    def after_the_mapping(request: bytes) -> bool:
        nonlocal mapped
        mapped = mapped or is_map(request)
        return len(request) == 2 and mapped

    async with MangledAnswers(lambda request, answer: [b"rubbish"], when=after_the_mapping) as gateway:
        lease = await outcome(gateway, NATPMP)
        assert isinstance(lease, Lease)
        assert lease.external.address is None
        assert not list(gateway.table)


@pytest.mark.conforms("NP-17", "PC-14")
@pytest.mark.parametrize("version", [1, 3, 255])
async def test_a_gateway_of_another_version_is_named_s41(version: int) -> None:
    def other_version(request: bytes, answer: bytes) -> list[bytes]:
        return [bytes([version, 128 + request[1], 0, 1]) + bytes(20)]

    async with MangledAnswers(other_version, when=lambda _: True) as gateway:
        result = await outcome(gateway, PCP, NATPMP)
    for backend in (PCP, NATPMP):
        reason = reason_of(result, backend)
        assert type(reason) is UnsupportedVersion
        assert reason.version == version


# --- UPnP -------------------------------------------------------------------------------------------------------------


class RudeIgd(SimulatedGateway):
    """Speaks UPnP only; the hooks say otherwise."""

    def __init__(self, **options: Any) -> None:
        super().__init__(pcp=False, natpmp=False, **options)
        self.paths: list[tuple[str, str]] = []

    def answer_http(self, method: str, path: str, body: bytes, sender: IPAddress) -> tuple[int, bytes]:
        self.paths.append((method, path))
        return self.rude(method, body, super().answer_http(method, path, body, sender))

    def rude(self, method: str, body: bytes, honest: tuple[int, bytes]) -> tuple[int, bytes]:
        return honest

    @property
    def location(self) -> str:
        return self._igd.location


def an_answer(location: str, target: str = ssdp.TARGETS[0]) -> bytes:
    return b"\r\n".join(
        [b"HTTP/1.1 200 OK", b"LOCATION: " + location.encode(), b"ST: " + target.encode(), b"USN: x", b"", b""]
    )


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


@dataclass
class Trap:
    """TCP listeners that nobody may connect to."""

    port: int
    sockets: list[socket.socket]

    def caught(self) -> bool:
        for sock in self.sockets:
            try:
                connection, _ = sock.accept()
            except BlockingIOError:
                continue
            connection.close()
            return True
        return False


@pytest.fixture
def trap() -> Iterator[Trap]:
    """Listens on the same port of two addresses."""
    one, other = (socket.socket(socket.AF_INET, socket.SOCK_STREAM) for _ in range(2))
    with one, other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.2", one.getsockname()[1]))
        for sock in (one, other):
            sock.setblocking(False)
            sock.listen()
        yield Trap(one.getsockname()[1], [one, other])


class OddSearch(RudeIgd):
    """Answers every search with given datagrams, and then perhaps truthfully."""

    def __init__(self, *answers: bytes, honest: bool) -> None:
        super().__init__()
        self._answers, self._honest = answers, honest

    def answer_search(self, data: bytes) -> list[bytes]:
        return [*self._answers, *(super().answer_search(data) if self._honest else [])]


async def test_an_answer_to_the_search_that_is_none_is_not_heard() -> None:
    async def check(answer: bytes) -> None:
        async with OddSearch(answer, honest=False) as gateway:
            reason = reason_of(await outcome(gateway, "upnp"), "upnp")
        assert type(reason) is GatewayTimeout
        assert not gateway.paths

    await each(UNHEARD, check)


async def test_the_good_answer_after_every_kind_of_rubbish_is_taken_s18() -> None:
    async with OddSearch(*UNHEARD.values(), honest=True) as gateway:
        await succeeds(gateway, "upnp")


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


def a_description(service_type: str = "WANIPConnection:1", control: str = "/ctl", more: str = "") -> bytes:
    return (
        f"<root>{more}<device><serviceList><service><serviceType>urn:schemas-upnp-org:service:{service_type}"
        f"</serviceType><controlURL>{control}</controlURL></service></serviceList></device></root>"
    ).encode()


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
    "laughs": b'<!DOCTYPE r [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;">]><r>&b;</r>',
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


async def test_a_description_with_another_status_is_a_protocol_error() -> None:
    async def check(status: int) -> None:
        async with OddDescription(b"", status) as gateway:
            reason = reason_of(await outcome(gateway, "upnp"), "upnp")
        assert type(reason) is ProtocolError
        assert f"status {status}" in str(reason)

    await each({str(status): status for status in (204, 302, 401, 404, 500)}, check)


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


def a_fault(detail: str) -> bytes:
    return f"<s:Envelope xmlns:s='e'><s:Body><s:Fault>{detail}</s:Fault></s:Body></s:Envelope>".encode()


def with_code(code: str) -> bytes:
    return a_fault(f"<detail><UPnPError><errorCode>{code}</errorCode></UPnPError></detail>")


def no_result(content: str) -> bytes:
    return f"<Envelope><Body>{content}</Body></Envelope>".encode()


SOAP_RUBBISH: dict[str, tuple[int, bytes]] = {
    "empty": (200, b""),
    "html": (200, HTML),
    "html-500": (500, HTML),
    "nul": (200, bytes(100)),
    "random": (200, random.Random(6).randbytes(300)),
    "no-body": (200, b"<Envelope/>"),
    "empty-body": (200, no_result("")),
    "other-response": (200, no_result("<DeletePortMappingResponse/>")),
    "the-request": (200, no_result("<AddPortMapping/>")),
    "status-404": (404, no_result("<AddPortMappingResponse/>")),
    "status-302": (302, b""),
    "too-long": (200, no_result("<AddPortMappingResponse/>" + " " * 65536)),
    "too-deep": (200, b"<a>" * 65),
    "laughs": (200, DESCRIPTIONS["laughs"]),
    "fault-without-code": (500, a_fault("<faultstring>UPnPError</faultstring>")),
    "fault-empty": (500, a_fault("")),
    "code-empty": (500, with_code("")),
    "code-word": (500, with_code("Conflict")),
    "code-huge": (500, with_code("7" * 100_0)),
    "code-arabic": (500, with_code("\u0667\u0661\u0668")),
    "code-superscript": (500, with_code("\u00b2")),
    "code-minus": (500, with_code("-")),
    "code-plus": (500, with_code("+718")),
}


def is_action(body: bytes, name: str) -> bool:
    return f"#{name}".encode() in body or f"<u:{name} ".encode() in body


class OddAdd(RudeIgd):
    """Answers AddPortMapping with given rubbish; `obeys` says whether it makes the mapping all the same."""

    def __init__(self, answer: tuple[int, bytes], *, obeys: bool) -> None:
        super().__init__()
        self._answer, self._obeys = answer, obeys

    def rude(self, method: str, body: bytes, honest: tuple[int, bytes]) -> tuple[int, bytes]:
        if not is_action(body, "AddPortMapping"):
            return honest
        if not self._obeys:
            self.table.clear()
        return self._answer


async def test_an_answer_that_is_no_soap_is_a_protocol_error() -> None:
    async def check(answer: tuple[int, bytes]) -> None:
        async with OddAdd(answer, obeys=False) as gateway:
            assert type(reason_of(await outcome(gateway, "upnp"), "upnp")) is ProtocolError

    await each(SOAP_RUBBISH, check)


@pytest.mark.parametrize("code", ["--5", "---1"])
async def test_an_error_code_with_two_signs_is_a_protocol_error_s11(code: str) -> None:
    async with OddAdd((500, with_code(code)), obeys=False) as gateway:
        assert type(reason_of(await outcome(gateway, "upnp"), "upnp")) is ProtocolError


@pytest.mark.parametrize("name", ["html", "empty", "fault-without-code"])
async def test_a_mapping_that_is_answered_with_rubbish_is_undone_s45(name: str) -> None:
    async with OddAdd(SOAP_RUBBISH[name], obeys=True) as gateway:
        assert type(reason_of(await outcome(gateway, "upnp"), "upnp")) is ProtocolError


async def test_a_mapping_whose_answer_is_lost_with_the_connection_is_undone_s45() -> None:
    class HangingUp(RudeIgd):
        def rude(self, method: str, body: bytes, honest: tuple[int, bytes]) -> tuple[int, bytes]:
            if is_action(body, "AddPortMapping"):
                raise anyio.EndOfStream
            return honest

    async with HangingUp() as gateway:
        reason_of(await outcome(gateway, "upnp"), "upnp")


@pytest.mark.parametrize(
    ("code", "name"), [("501", "ActionFailed"), ("-1", "Error"), ("0", "Error"), ("99999", "Error")]
)
async def test_a_fault_with_any_number_is_a_refusal(code: str, name: str) -> None:
    async with OddAdd((500, with_code(code)), obeys=False) as gateway:
        reason = reason_of(await outcome(gateway, "upnp"), "upnp")
    assert isinstance(reason, soap.Fault)
    assert (reason.code, reason.name) == (int(code), name)


async def test_a_device_that_reports_conflicts_for_ever_is_given_up_s44() -> None:
    class AlwaysTaken(RudeIgd):
        def rude(self, method: str, body: bytes, honest: tuple[int, bytes]) -> tuple[int, bytes]:
            if is_action(body, "AddPortMapping") or is_action(body, "AddAnyPortMapping"):
                self.table.clear()
                return 500, soap.encode_fault(718)
            return honest

    async with AlwaysTaken() as gateway:
        reason = reason_of(await outcome(gateway, "upnp"), "upnp")
    assert isinstance(reason, soap.Fault)
    assert reason.code == 718
    posts = [path for path in gateway.paths if path[0] == "POST"]
    assert len(posts) == 2 + limits.UPNP_PORT_TRIES


class ChoosesOddly(RudeIgd):
    """Has every port taken, chooses another one itself and does not say which."""

    def __init__(self, granted: str, *, obeys: bool) -> None:
        super().__init__()
        self._granted, self._obeys = granted, obeys

    def rude(self, method: str, body: bytes, honest: tuple[int, bytes]) -> tuple[int, bytes]:
        if is_action(body, "AddPortMapping"):
            self.table.clear()
            return 500, soap.encode_fault(718)
        if is_action(body, "AddAnyPortMapping"):
            if not self._obeys:
                self.table.clear()
            return 200, soap.encode_result(soap.decode_action(body), {"NewReservedPort": self._granted})
        return honest


async def test_a_granted_port_that_is_none_is_a_protocol_error_s11_s42() -> None:
    async def check(granted: str) -> None:
        async with ChoosesOddly(granted, obeys=False) as gateway:
            assert type(reason_of(await outcome(gateway, "upnp"), "upnp")) is ProtocolError

    await each(named("0", "", "65536", "-1", "1e3", " ", "\u0661", "9" * 5000, "0x50"), check)


async def test_a_grant_of_a_port_that_is_none_is_undone_s42_s45() -> None:
    async with ChoosesOddly("0", obeys=True) as gateway:
        reason_of(await outcome(gateway, "upnp"), "upnp")


class Nowhere(RudeIgd):
    """Says that its external address is `address`."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self._address = address

    def rude(self, method: str, body: bytes, honest: tuple[int, bytes]) -> tuple[int, bytes]:
        if is_action(body, "GetExternalIPAddress"):
            return 200, soap.encode_result(soap.decode_action(body), {"NewExternalIPAddress": self._address})
        return honest


async def test_an_external_address_that_is_none_costs_the_address_and_not_the_mapping() -> None:
    async def check(address: str) -> None:
        async with Nowhere(address) as gateway:
            assert (await succeeds(gateway, "upnp")).external.address is None
            async with PortMapper(gateway=gateway.gateway, backends=["upnp"]) as mapper:
                with pytest.raises(NoService) as caught:
                    await mapper.external_address()
            assert type(caught.value.reasons["upnp"]) is ProtocolError
            assert str(caught.value).replace("\n", "").isprintable()

    rubbish = ("<script>", "999.1.1.1", "1.2.3", "::1", "127.0.0.1.", "1" * 5000, "\u0661.1.1.1", "\u202e")
    await each(named(*rubbish), check)


@pytest.mark.parametrize("address", ["0.0.0.0", ""])
async def test_no_external_address_is_told_as_none(address: str) -> None:
    async with Nowhere(address) as gateway:
        assert (await succeeds(gateway, "upnp")).external.address is None
        async with PortMapper(gateway=gateway.gateway, backends=["upnp"]) as mapper:
            assert await mapper.external_address() is None


async def test_text_of_a_fault_is_shown_without_its_control_characters_s50() -> None:
    payload = "\u009b31m\u202eevil\u2028next line" + "x" * 500
    detail = f"<UPnPError><errorCode>899</errorCode><errorDescription>{payload}</errorDescription></UPnPError>"
    async with OddAdd((500, a_fault(detail)), obeys=False) as gateway:
        reason = reason_of(await outcome(gateway, "upnp"), "upnp")
    assert isinstance(reason, RequestRefused)
    assert str(reason).isprintable()
    assert "evil" in str(reason)
    assert len(str(reason)) < 400


# --- All protocols at once --------------------------------------------------------------------------------------------


class RubbishEverywhere(SimulatedGateway):
    """Answers everything with random bytes."""

    def answer_datagram(self, data: bytes, sender: IPAddress) -> list[bytes]:
        return random_datagrams(data, b"")

    def answer_search(self, data: bytes) -> list[bytes]:
        return random_datagrams(data, b"")

    def answer_http(self, method: str, path: str, body: bytes, sender: IPAddress) -> tuple[int, bytes]:
        return 200, random.Random(body).randbytes(500)


class RubbishOnPorts(RubbishEverywhere):
    """Rubbish for PCP and NAT-PMP, an honest UPnP device."""

    def answer_search(self, data: bytes) -> list[bytes]:
        return SimulatedGateway.answer_search(self, data)

    def answer_http(self, method: str, path: str, body: bytes, sender: IPAddress) -> tuple[int, bytes]:
        return SimulatedGateway.answer_http(self, method, path, body, sender)


class RubbishOnMap(SimulatedGateway):
    """Promises PCP and NAT-PMP, and never grants a mapping in a way that can be understood."""

    def answer_datagram(self, data: bytes, sender: IPAddress) -> list[bytes]:
        answers = super().answer_datagram(data, sender)
        return [b"\0\0"] if is_map(data) else answers


async def test_rubbish_in_every_protocol_has_a_reason_for_each() -> None:
    async with RubbishEverywhere() as gateway:
        result = await outcome(gateway)
        assert isinstance(result, NoService)
        assert {type(reason) for reason in result.reasons.values()} == {GatewayTimeout}
        assert not result.refused


@pytest.mark.parametrize("kind", [RubbishOnPorts, RubbishOnMap])
async def test_upnp_gives_the_mapping_when_the_other_protocols_give_rubbish(
    kind: type[SimulatedGateway],
) -> None:
    async with kind() as gateway:
        lease = await succeeds(gateway)
    assert (lease.backend, lease.request.protocol) == ("upnp", Protocol.TCP)
