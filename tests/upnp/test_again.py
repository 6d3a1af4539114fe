"""What is done while a device does not answer: questions are asked again, requests are looked for first."""

from collections.abc import Iterator
from ipaddress import IPv4Address

import anyio
import httpx
import pytest
import respx

from portmapper import GatewayTimeout, PortMapper, ProtocolError, limits
from portmapper.net import http
from portmapper.testing import IgdSwitches, SimulatedGateway
from portmapper.upnp import soap
from portmapper.upnp.client import IgdClient
from portmapper.upnp.description import Service
from portmapper.upnp.faults import Fault

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("virtual_time")]

HERE = http.Route(IPv4Address("127.0.0.1"))
WANIP = "urn:schemas-upnp-org:service:WANIPConnection:1"
CONTROL = "http://127.0.0.1:5000/ctl"
GET, ADD = "GetExternalIPAddress", "AddPortMapping"


class Device:
    """Answers the n-th request after `seconds[n]`, and notes when it was asked."""

    def __init__(self, *seconds: float) -> None:
        self.name = GET
        self.seconds = list(seconds)
        self.times: list[float] = []

    async def answer(self, request: httpx.Request) -> httpx.Response:
        self.times.append(anyio.current_time())
        await anyio.sleep(self.seconds.pop(0))
        return httpx.Response(200, content=soap.encode_result(soap.Action(WANIP, self.name, {}), {}))

    def asked_after(self) -> list[float]:
        """The seconds after the first request at which each came."""
        return [round(time - self.times[0], 3) for time in self.times]


@pytest.fixture
def router() -> Iterator[respx.MockRouter]:
    with respx.mock(assert_all_called=False) as router:
        yield router


def ask(router: respx.MockRouter, *seconds: float) -> tuple[Device, IgdClient]:
    device = Device(*seconds)
    router.post(CONTROL).mock(side_effect=device.answer)
    return device, IgdClient(Service(WANIP, CONTROL), HERE)


async def test_a_question_without_an_answer_is_asked_again(router: respx.MockRouter) -> None:
    device, client = ask(router, 60, 60, 0.1)
    begin = anyio.current_time()
    assert await client.call(GET) == {}
    assert device.asked_after() == [0, 1, 2]
    assert anyio.current_time() - begin == pytest.approx(2.1)


async def test_a_device_that_is_known_to_be_fast_is_asked_again_sooner(router: respx.MockRouter) -> None:
    device, client = ask(router, 0.01, 60, 0.01)
    await client.call(GET)
    device.times.clear()
    await client.call(GET)
    assert device.asked_after() == [0, 0.5]


async def test_a_slow_device_is_not_asked_twice_once_it_is_known(router: respx.MockRouter) -> None:
    """It may do one thing after the other; then each question would have to wait for the answer to a copy."""
    device, client = ask(router, 1.2, 60, *[1.2] * 5)
    await client.call(GET)
    for _ in range(5):
        device.times.clear()
        device.seconds = [1.2, 60]
        await client.call(GET)
        assert device.asked_after() == [0]


async def test_a_silent_device_is_asked_a_few_times_and_given_up(router: respx.MockRouter) -> None:
    device, client = ask(router, *[60] * 20)
    begin = anyio.current_time()
    with pytest.raises(GatewayTimeout):
        await client.call(GET)
    assert anyio.current_time() - begin == pytest.approx(limits.HTTP_EXCHANGE)
    assert len(device.times) <= limits.ASK_TIMES


async def test_a_request_that_changes_something_is_sent_once(router: respx.MockRouter) -> None:
    device, client = ask(router, 3.0, 60)
    with pytest.raises(ProtocolError):  # this device gives the answer to another question
        await client.call(ADD)
    assert device.asked_after() == [0]


@pytest.mark.parametrize("carried_out", [True, False], ids=["the answer is lost", "the request is lost"])
async def test_a_mapping_without_an_answer_is_looked_for_and_asked_for_again_only_if_it_is_not_there(
    carried_out: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    post = http.post

    async def lossy(url: str, route: http.Route, headers: dict[str, str], body: bytes, **rest: object) -> object:
        name = headers["SOAPAction"].partition("#")[2].rstrip('"')
        sent.append(name)
        if name != ADD or sent.count(ADD) > 1:
            return await post(url, route, headers, body, **rest)  # type: ignore[arg-type]
        if carried_out:
            await post(url, route, headers, body, **rest)  # type: ignore[arg-type]
        await anyio.sleep(limits.HTTP_EXCHANGE)
        raise GatewayTimeout("lost")

    monkeypatch.setattr(http, "post", lossy)
    async with (
        SimulatedGateway(pcp=False, natpmp=False, igd=IgdSwitches(version=1)) as simulated,
        PortMapper(gateway=simulated.gateway, backends=["upnp"]) as mapper,
    ):
        begin = anyio.current_time()
        mapping = await mapper.map(4001, external_port=4101)
        assert anyio.current_time() - begin < limits.ADD_AGAIN[0] + limits.GRACE + 0.5
        assert mapping.external is not None
        assert mapping.external.port == 4101
        assert len(list(simulated.table)) == 1
        after = sent[sent.index(ADD) + 1 :]
        assert after[0] == "GetSpecificPortMappingEntry"
        assert after.count(ADD) == (0 if carried_out else 1)


async def test_a_change_that_may_be_made_twice_is_asked_for_again_where_it_was_fast(router: respx.MockRouter) -> None:
    device, client = ask(router, 0.01, 60, 0.01)
    with pytest.raises(ProtocolError):  # this device gives the answer to another question
        await client.call(ADD)
    device.times.clear()
    with pytest.raises(ProtocolError):
        await client.repeat(ADD)
    assert device.asked_after() == [0, 0.5]


async def test_a_change_that_takes_its_time_is_asked_for_once_however_fast_questions_are(
    router: respx.MockRouter,
) -> None:
    """The device may write to its flash memory."""
    device, client = ask(router, 0.01, 2.0, 2.0, 60)
    await client.call(GET)
    for change in (client.call, client.repeat):
        device.times.clear()
        with pytest.raises(ProtocolError):  # this device gives the answer to another question
            await change(ADD)
        assert device.asked_after() == [0]


async def test_a_refusal_says_nothing_of_how_fast_a_change_is(router: respx.MockRouter) -> None:
    """It comes at once. What is written to the flash memory then would be written again for each copy."""
    device, client = ask(router)
    refused = httpx.Response(500, content=soap.encode_fault(718))
    router.post(CONTROL).mock(return_value=refused)
    with pytest.raises(Fault):
        await client.call(ADD)
    router.post(CONTROL).mock(side_effect=device.answer)
    for change in (client.call, client.repeat):
        device.times.clear()
        device.seconds = [2.0] * 6
        with pytest.raises(ProtocolError):  # this device gives the answer to another question
            await change(ADD)
        assert device.asked_after() == [0]


class OneAfterTheOther(Device):
    """Does what it is asked one after the other, also what nobody waits for any more."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.each = 0.01
        self._free = 0.0

    async def answer(self, request: httpx.Request) -> httpx.Response:
        self._free = max(self._free, anyio.current_time()) + self.each
        self.seconds = [self._free - anyio.current_time()]
        return await super().answer(request)


@pytest.mark.parametrize("name", [GET, ADD])
async def test_a_device_that_has_become_slow_is_asked_less_often(router: respx.MockRouter, name: str) -> None:
    """It would be busy with copies for good, and have no answer to whatever comes next."""
    device, client = OneAfterTheOther(name), IgdClient(Service(WANIP, CONTROL), HERE)
    router.post(CONTROL).mock(side_effect=device.answer)
    await client.repeat(name)
    device.each = 2.0
    for _ in range(limits.ASK_LATE + 2):
        await anyio.sleep(60)
        device.times.clear()
        await client.repeat(name)
    assert len(device.times) <= 2
    device.each = 0.01
    await anyio.sleep(60)
    await client.repeat(name)
    device.times.clear()
    device.each = 0.7
    await client.repeat(name)
    assert device.asked_after() == [0, 0.5]  # it was fast again


async def test_a_device_that_said_nothing_is_asked_less_often_until_it_answers(router: respx.MockRouter) -> None:
    device, client = ask(router, 0.01)
    device.name = ADD
    await client.repeat(ADD)
    for expected in (*[[0, 0.5, 1, 1.5, 2, 2.5]] * limits.ASK_LATE, [0, 1, 2, 3], [0, 2], [0]):
        device.times.clear()
        device.seconds = [60] * 6
        with pytest.raises(GatewayTimeout):
            await client.repeat(ADD)
        assert device.asked_after() == expected


async def test_a_few_late_answers_are_lost_packets(router: respx.MockRouter) -> None:
    device, client = ask(router, 0.01)
    await client.call(GET)
    for _ in range(3):
        for seconds in (0.7, 0.7, 0.01):
            device.times.clear()
            device.seconds = [seconds] * 6
            await client.call(GET)
            assert device.asked_after() == ([0, 0.5] if seconds > 0.5 else [0])


async def test_an_answer_to_a_copy_says_that_something_was_lost_not_that_the_device_is_slow(
    router: respx.MockRouter,
) -> None:
    device, client = ask(router, 0.01)
    await client.call(GET)
    for _ in range(3):
        device.times.clear()
        device.seconds = [60, 60, 0.01]
        await client.call(GET)
        assert device.asked_after() == [0, 0.5, 1]
