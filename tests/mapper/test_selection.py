"""Which backend is used, how soon, and what is said when none is."""

from collections.abc import Callable
from ipaddress import ip_address
from typing import ClassVar, Self

import anyio
import pytest

from portmapper import (
    Backend,
    BackendOptions,
    Gateway,
    GatewayTimeout,
    Lease,
    MappingRequest,
    NoService,
    PortMapper,
    limits,
)
from portmapper.errors import GatewayUnreachable, RequestRefused, UnknownBackend
from portmapper.model import IPAddress
from portmapper.registry import Candidate
from portmapper.selection import Selection
from portmapper.testing import SimulatedGateway

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("virtual_time")]


class Scripted(Backend):
    """Opens after `delay`, or fails with `failure`."""

    delay: ClassVar[float] = 0.0
    failure: ClassVar[Exception | None] = None
    begun: ClassVar[list[tuple[str, float]]] = []
    closed: ClassVar[list[str]] = []

    @classmethod
    async def open(cls, gateway: Gateway, options: BackendOptions) -> Self:
        cls.begun.append((cls.name, anyio.current_time()))
        await anyio.sleep(cls.delay)
        if cls.failure is not None:
            raise cls.failure
        return cls()

    async def close(self) -> None:
        self.closed.append(self.name)

    async def map(self, request: MappingRequest, *, renew: Lease | None = None) -> Lease:
        raise AssertionError

    async def unmap(self, lease: Lease) -> None:
        raise AssertionError

    async def find(self, request: MappingRequest) -> Lease:
        raise AssertionError

    async def external_address(self) -> IPAddress | None:
        raise AssertionError


def scripted(title: str, delay: float = 0.0, failure: Exception | None = None) -> Candidate:
    """Return a candidate that behaves as said."""

    class Made(Scripted):
        name = title

    Made.delay, Made.failure = delay, failure
    return Candidate(title, lambda: Made)


@pytest.fixture(autouse=True)
def _fresh_lists() -> None:
    Scripted.begun.clear()
    Scripted.closed.clear()


MakeSelection = Callable[..., Selection]


@pytest.fixture
def select() -> MakeSelection:
    """Select among scripted backends."""
    gateway = Gateway(address=ip_address("127.0.0.1"), source=ip_address("127.0.0.1"))

    def make(*candidates: Candidate) -> Selection:
        return Selection(candidates, gateway, BackendOptions(timeout=limits.DISCOVERY, key=bytes(32)))

    return make


async def test_the_best_that_answers_comes_first_though_it_is_slower(select: MakeSelection) -> None:
    async with select(scripted("a", 0.2), scripted("b"), scripted("c")) as selection:
        first = await selection.next()
        assert first is not None
        assert first.name == "a"


@pytest.mark.conforms("F54")
async def test_a_silent_one_costs_its_head_start_only(select: MakeSelection) -> None:
    begin = anyio.current_time()
    async with select(scripted("a", 60), scripted("b")) as selection:
        first = await selection.next()
        assert first is not None
        assert first.name == "b"
        assert anyio.current_time() - begin == pytest.approx(limits.HEAD_START)


async def test_a_failed_one_costs_nothing(select: MakeSelection) -> None:
    begin = anyio.current_time()
    no = GatewayUnreachable("no")
    async with select(scripted("a", 0, no), scripted("b", 0, no), scripted("c")) as selection:
        first = await selection.next()
        assert first is not None
        assert first.name == "c"
        assert anyio.current_time() == begin


async def test_each_is_handed_out_once_and_then_none(select: MakeSelection) -> None:
    async with select(scripted("a"), scripted("b", 0, GatewayTimeout("silent")), scripted("c")) as selection:
        names = []
        while (backend := await selection.next()) is not None:
            names.append(backend.name)
        assert names == ["a", "c"]
        assert str(selection.reasons["b"]) == "silent"


async def test_what_is_not_kept_is_closed(select: MakeSelection) -> None:
    async with select(scripted("a"), scripted("b")) as selection:
        first = await selection.next()
        assert first is not None
        selection.keep(first)
        await selection.next()
    assert Scripted.closed == ["b"]


@pytest.mark.conforms("F54")
async def test_a_plug_in_that_cannot_be_imported_is_one_of_the_reasons(select: MakeSelection) -> None:
    def broken() -> object:
        raise ImportError("no such module\x1b[2J")

    async with select(Candidate("bad", broken), Candidate("worse", lambda: int), scripted("c")) as selection:
        first = await selection.next()
        assert first is not None
        assert first.name == "c"
        assert "no such module" in str(selection.reasons["bad"])
        assert "\x1b" not in str(selection.reasons["bad"])
        assert "not a subclass" in str(selection.reasons["worse"])


@pytest.mark.conforms("F54")
async def test_a_bug_in_a_backend_is_not_swallowed(select: MakeSelection) -> None:
    with pytest.raises(BaseExceptionGroup) as caught:
        async with select(scripted("a", 0, ZeroDivisionError())) as selection:
            await selection.next()
    assert caught.group_contains(ZeroDivisionError)


async def test_the_failure_names_each_reason_in_the_order_of_trying(select: MakeSelection) -> None:
    refused = RequestRefused("not you", code=2, name="NOT_AUTHORIZED")
    async with select(scripted("a", 0.1, GatewayTimeout("silent")), scripted("b", 0, refused)) as selection:
        assert await selection.next() is None
        failure = selection.failure()
    assert list(failure.reasons) == ["a", "b"]
    assert failure.refused
    assert str(failure).splitlines()[1:] == ["  a: silent", "  b: not you"]


@pytest.mark.conforms("PC-84")
async def test_a_gateway_that_is_silent_to_pcp_is_asked_by_natpmp_when_the_head_start_is_over() -> None:
    class DeafToPcp(SimulatedGateway):
        def answer_datagram(self, data: bytes, sender: IPAddress) -> list[bytes]:
            return super().answer_datagram(data, sender) if data[0] == 0 else []

    async with DeafToPcp() as simulated, PortMapper(gateway=simulated.gateway) as mapper:
        begin = anyio.current_time()
        mapping = await mapper.map(4001)
        assert mapping.backend.name == "natpmp"
        assert anyio.current_time() - begin == pytest.approx(limits.HEAD_START)


@pytest.mark.conforms("NP-76")
async def test_nobody_there_is_said_within_the_discovery_time_with_every_reason() -> None:
    async with SimulatedGateway(pcp=False, natpmp=False, upnp=False) as simulated:
        async with PortMapper(gateway=simulated.gateway) as mapper:
            begin = anyio.current_time()
            with pytest.raises(NoService) as caught:
                await mapper.map(4001)
            assert anyio.current_time() - begin <= limits.DISCOVERY + 0.001
    assert list(caught.value.reasons) == ["pcp", "natpmp", "upnp"]
    assert not caught.value.refused


def test_unknown_backends_are_refused_when_the_mapper_is_made() -> None:
    with pytest.raises(UnknownBackend, match="there are pcp, natpmp, upnp"):
        PortMapper(backends=["carrier-pigeon"])
    with pytest.raises(UnknownBackend):
        PortMapper(backends=[])
