"""A renewal on a device from which some answers do not come: the mapping is there all the time."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import pytest

from portmapper import limits
from portmapper.backend import BackendOptions
from portmapper.errors import GatewayTimeout
from portmapper.model import Lease, MappingRequest, Protocol
from portmapper.net import http
from portmapper.testing import SimulatedGateway
from portmapper.testing.igd_switches import IgdSwitches
from portmapper.testing.table import Entry
from portmapper.upnp.backend import UpnpBackend

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("virtual_time")]

ADD, DELETE, GET = "AddPortMapping", "DeletePortMapping", "GetExternalIPAddress"
TEN_SECONDS = MappingRequest(protocol=Protocol.TCP, internal_port=4001, lifetime=10)
PASSED = 5.0  # of those


class Line:
    """Loses the first requests of a kind, or the answers to them."""

    def __init__(self) -> None:
        self._lost: tuple[str, int, bool] = ("", 0, False)
        self._ask = http._ask

    def lose(self, name: str, count: int, *, answers: bool = False) -> None:
        """Lose the next `count` requests of that name, or the `answers` to them."""
        self._lost = name, count, answers

    async def ask(self, request: Any, *rest: Any) -> Any:
        name, left, answers = self._lost
        action = dict(request.headers)[b"SOAPAction"].decode() if left else ""
        if not action.endswith(f'#{name}"'):
            return await self._ask(request, *rest)
        self._lost = name, left - 1, answers
        if answers:
            await self._ask(request, *rest)
        return await anyio.sleep_forever()


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> Line:
    line = Line()
    monkeypatch.setattr(http, "_ask", line.ask)
    return line


async def opened(simulated: SimulatedGateway) -> UpnpBackend:
    return await UpnpBackend.open(simulated.gateway, BackendOptions(timeout=2, key=bytes(32)))


async def begin(simulated: SimulatedGateway) -> tuple[UpnpBackend, Lease, Entry]:
    """Make a mapping and let half of its lease pass."""
    backend = await opened(simulated)
    lease = await backend.map(TEN_SECONDS)
    (entry,) = simulated.table
    await anyio.sleep(PASSED)
    return backend, lease, entry


@contextmanager
def takes(seconds: float) -> Iterator[None]:
    begin = anyio.current_time()
    yield
    assert anyio.current_time() - begin == pytest.approx(seconds, abs=0.1)


def made(simulated: SimulatedGateway) -> list[str]:
    return [call.name for call in simulated.calls if call.name in {ADD, DELETE}]


def device() -> SimulatedGateway:
    return SimulatedGateway(pcp=False, natpmp=False, igd=IgdSwitches())


@pytest.mark.parametrize("answers", [False, True], ids=["the request is lost", "the answer is lost"])
async def test_a_renewal_without_an_answer_is_asked_for_again(line: Line, answers: bool) -> None:
    """The old mapping shows meanwhile. Taken for the new one it is too short, and is deleted to be made anew."""
    async with device() as simulated:
        backend, lease, entry = await begin(simulated)
        line.lose(ADD, 1, answers=answers)
        with takes(limits.ASK_AGAIN):
            renewed = await backend.map(TEN_SECONDS, renew=lease)
        assert renewed.lifetime == 10
        assert entry.ends == pytest.approx(anyio.current_time() + 10, abs=0.1)
        assert made(simulated) == [ADD, ADD] + [ADD] * answers


async def test_a_renewal_that_nothing_answers_fails_and_leaves_what_is_there(line: Line) -> None:
    async with device() as simulated:
        backend, lease, entry = await begin(simulated)
        ends = entry.ends
        line.lose(ADD, 99)
        with takes(limits.HTTP_EXCHANGE), pytest.raises(GatewayTimeout):
            await backend.map(TEN_SECONDS, renew=lease)
        assert list(simulated.table) == [entry]
        assert (entry.ends, made(simulated)) == (ends, [ADD])
        line.lose(ADD, 0)
        assert (await backend.map(TEN_SECONDS, renew=lease)).lifetime == 10


async def test_a_renewal_that_was_carried_out_without_an_answer_is_seen(line: Line) -> None:
    """It has more time than before."""
    async with device() as simulated:
        backend, lease, _ = await begin(simulated)
        line.lose(ADD, 99, answers=True)
        with takes(limits.HTTP_EXCHANGE):
            renewed = await backend.map(TEN_SECONDS, renew=lease)
        assert renewed.lifetime == 10
        assert DELETE not in made(simulated)


async def test_the_question_for_the_external_address_takes_little_of_a_short_lease(line: Line) -> None:
    """The old one will do."""
    async with device() as simulated:
        backend, lease, _ = await begin(simulated)
        line.lose(GET, 99)
        with takes(0.5):
            assert (await backend.map(TEN_SECONDS, renew=lease)).external == lease.external


# --- What was there before


async def fail(backend: UpnpBackend, line: Line) -> None:
    """Ask for the mapping in vain and undo that, as the mapper does."""
    line.lose(ADD, 99)
    with pytest.raises(GatewayTimeout):
        await backend.map(TEN_SECONDS)
    line.lose(ADD, 0)
    await backend.undo(TEN_SECONDS)


async def test_what_another_program_has_is_not_undone(line: Line) -> None:
    """It is asked for once more to join it. Without an answer it is still the other's."""
    async with device() as simulated:
        await begin(simulated)
        before = list(simulated.table)
        await fail(await opened(simulated), line)
        assert list(simulated.table) == before


async def test_what_this_program_made_is_undone(line: Line) -> None:
    async with device() as simulated:
        backend, _, _ = await begin(simulated)
        await fail(backend, line)
        assert list(simulated.table) == []


async def test_what_this_program_may_have_made_is_undone_later_too(line: Line) -> None:
    """Nobody came to see whether it was made, or to undo it, when it was asked for."""
    async with device() as simulated:
        backend = await opened(simulated)
        line.lose(ADD, 1, answers=True)
        with anyio.move_on_after(0.1):
            await backend.map(TEN_SECONDS)
        assert len(list(simulated.table)) == 1
        await fail(backend, line)
        assert list(simulated.table) == []
