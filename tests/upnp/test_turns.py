"""Requests to a device: one at a time, and finished once begun where they change something."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from ipaddress import IPv4Address

import anyio
import httpcore
import httpx
import pytest
import respx

from portmapper import limits
from portmapper.errors import GatewayTimeout, ProtocolError
from portmapper.net import http
from portmapper.upnp import soap
from portmapper.upnp.client import IgdClient
from portmapper.upnp.description import Service

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("virtual_time")]

HERE = http.Route(IPv4Address("127.0.0.1"))
WANIP = "urn:schemas-upnp-org:service:WANIPConnection:1"
CONTROL = "http://127.0.0.1:5000/ctl"
GET, ADD = "GetExternalIPAddress", "AddPortMapping"


def a_client(turn: anyio.CapacityLimiter | None = None) -> IgdClient:
    return IgdClient(Service(WANIP, CONTROL), HERE, turn=turn)


def a_result(**values: str) -> httpx.Response:
    return httpx.Response(200, content=soap.encode_result(soap.Action(WANIP, GET, {}), values))


@pytest.fixture
def device() -> Iterator[respx.MockRouter]:
    with respx.mock(assert_all_called=False) as router:
        yield router


# --- One at a time


class Busy:
    """A device that takes `seconds` for each answer and counts who waits."""

    def __init__(self, router: respx.MockRouter, seconds: float) -> None:
        self.active = self.most = self.begun = self.ended = 0
        self._seconds = seconds
        router.post(CONTROL).mock(side_effect=self._answer)

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        self.begun += 1
        self.active += 1
        self.most = max(self.most, self.active)
        try:
            await anyio.sleep(self._seconds)
        finally:
            self.active -= 1
        self.ended += 1
        return a_result(NewExternalIPAddress="192.0.2.7")


@pytest.mark.conforms("Q-21", "Q-51")
async def test_all_clients_of_a_device_have_one_request_out_at_a_time(device: respx.MockRouter) -> None:
    busy, turn = Busy(device, 0.1), anyio.CapacityLimiter(1)
    clients = [a_client(turn) for _ in range(3)]
    async with anyio.create_task_group() as tasks:
        for client in clients * 2:
            tasks.start_soon(client.call, GET)
    assert (busy.most, busy.ended) == (1, 6)


async def test_a_client_alone_has_a_turn_of_its_own(device: respx.MockRouter) -> None:
    busy = Busy(device, 0.1)
    one, other = a_client(), a_client()
    async with anyio.create_task_group() as tasks:
        for client in (one, one, other, other):
            tasks.start_soon(client.call, GET)
    assert (busy.most, busy.ended) == (2, 4)


# --- Cancellation


@asynccontextmanager
async def timed(seconds: float) -> AsyncIterator[None]:
    begin = anyio.current_time()
    yield
    assert anyio.current_time() - begin == pytest.approx(seconds)


async def test_a_request_that_was_begun_is_finished_when_it_is_cancelled(device: respx.MockRouter) -> None:
    """It may be carried out all the same, and then not later than the next."""
    busy = Busy(device, 0.5)
    async with timed(0.5):
        with anyio.move_on_after(0.1) as scope:
            await a_client().call(ADD)
    assert scope.cancelled_caught
    assert busy.ended == 1


async def test_a_request_that_hangs_is_given_up_a_little_after_it_is_cancelled(device: respx.MockRouter) -> None:
    busy, turn = Busy(device, 60), anyio.CapacityLimiter(1)
    async with timed(0.1 + limits.GRACE):
        with anyio.move_on_after(0.1):
            await a_client(turn).call(ADD)
    assert (busy.begun, busy.ended, busy.active) == (1, 0, 0)
    device.post(CONTROL).mock(return_value=a_result())
    async with timed(0):
        assert await a_client(turn).call(GET) == {}


async def test_a_request_that_waits_for_its_turn_is_never_sent_when_it_is_cancelled(device: respx.MockRouter) -> None:
    busy, turn = Busy(device, 0.9), anyio.CapacityLimiter(1)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(a_client(turn).call, GET)
        await anyio.wait_all_tasks_blocked()
        async with timed(0.1):
            with anyio.move_on_after(0.1):
                await a_client(turn).call(ADD)
    assert busy.begun == 1


@pytest.mark.parametrize("name", [GET, "GetSpecificPortMappingEntry", "CheckPinholeWorking"])
async def test_a_question_is_given_up_at_once_when_it_is_cancelled(name: str, device: respx.MockRouter) -> None:
    busy, turn = Busy(device, 60), anyio.CapacityLimiter(1)
    async with timed(0.1):
        with anyio.move_on_after(0.1):
            await a_client(turn).call(name)
    assert (busy.begun, busy.ended, busy.active) == (1, 0, 0)
    assert not turn.borrowed_tokens


async def test_a_failed_call_gives_the_turn_to_the_next(device: respx.MockRouter) -> None:
    turn = anyio.CapacityLimiter(1)
    device.post(CONTROL).mock(side_effect=[httpcore.RemoteProtocolError("x"), httpx.Response(503), a_result()])
    for _ in range(2):
        with pytest.raises(ProtocolError):
            await a_client(turn).call(GET)
    assert await a_client(turn).call(GET) == {}


# --- Questions with a time of their own


async def test_a_question_that_is_not_answered_in_its_time_is_a_timeout(device: respx.MockRouter) -> None:
    busy, turn = Busy(device, 60), anyio.CapacityLimiter(1)
    async with timed(2):
        with pytest.raises(GatewayTimeout, match="within 2 s") as caught:
            await a_client(turn).ask(GET, within=2.0)
    assert caught.value.seconds == 2
    assert (busy.active, turn.borrowed_tokens) == (0, 0)


async def test_the_wait_for_its_turn_does_not_count(device: respx.MockRouter) -> None:
    busy, turn = Busy(device, 0.9), anyio.CapacityLimiter(1)
    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(a_client(turn).call, GET)
        await anyio.wait_all_tasks_blocked()
        assert await a_client(turn).ask(GET, within=2.0) == {"newexternalipaddress": "192.0.2.7"}
    assert (busy.most, busy.ended) == (1, 4)


async def test_the_callers_own_deadline_is_not_taken_for_that_of_the_question(device: respx.MockRouter) -> None:
    Busy(device, 60)
    async with timed(1):
        with anyio.move_on_after(1) as scope:
            await a_client().ask(GET, within=2.0)
    assert scope.cancelled_caught
