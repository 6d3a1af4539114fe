"""Gateways that send rubbish: a mapping is made and told truthfully, or there are only documented reasons why not."""

import random
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address

import anyio
import pytest

from portmapper import limits
from portmapper.errors import GatewayTimeout, NoMapping, NoService, ProtocolError, RequestRefused, UnsupportedVersion
from portmapper.mapper import PortMapper
from portmapper.model import IPAddress, Lease, Protocol
from portmapper.testing import SimulatedGateway
from tests.cases import each
from tests.hostile.rude import HTML, a_port, outcome, reason_of, succeeds

pytestmark = pytest.mark.anyio

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


@pytest.mark.conforms("F22", "NP-11", "NP-12", "NP-15", "NP-28", "PC-32", "PC-36", "PC-39", "PC-40", "PC-41")
@both
async def test_answers_that_match_nothing_are_a_time_out_and_the_mapping_is_undone_s18(backend: str) -> None:
    async def check(mangle: Mangle) -> None:
        async with MangledAnswers(mangle) as gateway:
            reason = reason_of(await outcome(gateway, backend), backend)
        assert type(reason) is GatewayTimeout
        assert reason.sent == len(limits.FAST_WAITS)
        assert any(map(is_delete, gateway.datagrams))

    await each(IGNORED_BY[backend], check)


@pytest.mark.conforms("F22", "NP-11", "NP-12", "PC-40", "PC-41", "PC-45")
@both
async def test_the_good_answer_after_rubbish_is_taken_without_asking_again_s18(
    backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for waits in ("FAST_WAITS", "PROBE_WAITS", "RELEASE_WAITS"):
        monkeypatch.setattr(limits, waits, (5.0,))

    async def check(mangle: Mangle) -> None:
        def rubbish_first(request: bytes, answer: bytes) -> list[bytes]:
            return [*mangle(request, answer), answer]

        async with MangledAnswers(rubbish_first, when=lambda _: True) as gateway:
            await succeeds(gateway, backend)
        assert len(gateway.datagrams) == len(set(gateway.datagrams))

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


@pytest.mark.conforms("F16")
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


@pytest.mark.conforms("F22")
@both
async def test_duplicated_answers_are_one_answer(backend: str) -> None:
    async with MangledAnswers(lambda request, answer: [answer] * 5, when=lambda _: True) as gateway:
        await succeeds(gateway, backend)


def is_wanted(request: bytes) -> bool:
    return is_map(request) and not is_delete(request)


@pytest.mark.conforms("F16", "NP-35", "PC-46")
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


@pytest.mark.conforms("F20", "NP-71")
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


async def test_a_mapping_is_kept_when_only_its_address_stays_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ADDRESS_TRUST", -1.0)  # it is asked for again
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
