"""NAT-PMP over a socket: one request at a time, how often it is sent, and what each answer means."""

import socket
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from ipaddress import IPv4Address

import anyio
import pytest
from anyio.abc import TaskGroup

from portmapper import PortMapper, limits
from portmapper.errors import GatewayTimeout, PortMapperError, RequestRefused, UnsupportedVersion
from portmapper.exchange import Exchange
from portmapper.model import Gateway, IPAddress, Protocol
from portmapper.natpmp import wire
from portmapper.natpmp.client import NatPmpClient, Turn
from portmapper.testing import SimulatedGateway

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("virtual_time")]

SEND_TIMES = [0, 0.25, 0.75, 1.75, 3.75, 7.75, 15.75, 31.75, 63.75]
GIVEN_UP = 127.75
LOOPBACK = IPv4Address("127.0.0.1")


def map_request(port: int = 4001, *, lifetime: int = 7200, protocol: Protocol = Protocol.TCP) -> wire.MapRequest:
    return wire.MapRequest(protocol=protocol, internal_port=port, external_port=0, lifetime=lifetime)


async def ask_address(client: NatPmpClient) -> object:
    return await client.address()


async def ask_tcp(client: NatPmpClient) -> object:
    return await client.map(map_request())


async def ask_udp(client: NatPmpClient) -> object:
    return await client.map(map_request(protocol=Protocol.UDP))


Ask = Callable[[NatPmpClient], Awaitable[object]]
each_opcode = pytest.mark.parametrize("ask", [ask_address, ask_udp, ask_tcp])


class Deaf(SimulatedGateway):
    """Answers nothing, and notes when it was asked."""

    def __init__(self) -> None:
        super().__init__(pcp=False, upnp=False)
        self.times: list[float] = []

    def answer_datagram(self, data: bytes, sender: IPAddress) -> list[bytes]:
        self.times.append(anyio.current_time())
        return []


class Refusing(SimulatedGateway):
    """Answers each request with `result` and `epoch`, in the first `size` bytes of the form."""

    def __init__(self, result: int, *, epoch: int = 0, size: int = 16) -> None:
        super().__init__(pcp=False, upnp=False)
        self.result, self.uptime, self.size = result, epoch, size

    def answer_datagram(self, data: bytes, sender: IPAddress) -> list[bytes]:
        answers = super().answer_datagram(data, sender)
        head = self.result.to_bytes(2, "big") + self.uptime.to_bytes(4, "big")
        return [(answer[:2] + head + answer[8:])[: self.size] for answer in answers]


def client_of(simulated: SimulatedGateway, epochs: list[int] | None = None) -> NatPmpClient:
    seen: list[int] = [] if epochs is None else epochs
    return NatPmpClient(simulated.gateway, seen.append)


async def failure_of(ask: Ask, client: NatPmpClient) -> PortMapperError:
    with pytest.raises(PortMapperError) as caught:
        await ask(client)
    return caught.value


# --- One at a time


class SlowServer:
    """Takes `delay` seconds for each request, and any number of them at once."""

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._unanswered = 0
        self.most_unanswered = 0
        self.arrivals: list[float] = []

    async def serve(self, sock: socket.socket, tasks: TaskGroup) -> None:
        while True:
            await anyio.wait_readable(sock)
            data, sender = sock.recvfrom(100)
            self.arrivals.append(anyio.current_time())
            self._unanswered += 1
            self.most_unanswered = max(self.most_unanswered, self._unanswered)
            tasks.start_soon(self._answer, sock, wire.decode_request(data), sender)

    async def _answer(self, sock: socket.socket, asked: wire.Request, sender: tuple[str, int]) -> None:
        await anyio.sleep(self._delay)
        self._unanswered -= 1
        sock.sendto(answer_to(asked).encode(), sender)


def answer_to(asked: wire.Request) -> wire.Response:
    """Grant what is asked."""
    if isinstance(asked, wire.AddressRequest):
        return wire.AddressResponse(result=0, epoch=0, address=LOOPBACK)
    return wire.MapResponse(
        protocol=asked.protocol,
        result=0,
        epoch=0,
        internal_port=asked.internal_port,
        external_port=asked.internal_port if asked.lifetime else 0,
        lifetime=asked.lifetime,
    )


@asynccontextmanager
async def running(server: SlowServer) -> AsyncGenerator[Gateway]:
    """Give the gateway that `server` is."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.bind((str(LOOPBACK), 0))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.serve, sock, tasks)
            yield Gateway(address=LOOPBACK, source=LOOPBACK, port=sock.getsockname()[1])
            tasks.cancel_scope.cancel()


@pytest.mark.conforms("NP-18", "NP-19")
async def test_of_five_requests_at_once_each_waits_for_the_answer_to_the_one_before() -> None:
    server = SlowServer(delay=0.2)
    async with running(server) as gateway:
        client = NatPmpClient(gateway, lambda _: None)
        begin = anyio.current_time()
        async with anyio.create_task_group() as asking:
            for port in range(4001, 4006):
                asking.start_soon(client.map, map_request(port))
    assert server.most_unanswered == 1
    assert [time - begin for time in server.arrivals] == pytest.approx([0, 0.2, 0.4, 0.6, 0.8])


@pytest.mark.conforms("NP-69")
async def test_what_is_asked_afresh_is_repeated_from_the_start_and_ends_as_it_would_have() -> None:
    """Announcements can be forged: nobody waits longer because of them."""
    turn = Turn()
    turn.ask_afresh()  # nothing is under way
    async with Deaf() as simulated, anyio.create_task_group() as tasks:
        client = NatPmpClient(simulated.gateway, lambda _: None, turn=turn)

        async def announce() -> None:
            await anyio.sleep(10)
            turn.ask_afresh()
            await anyio.sleep(GIVEN_UP - 10 - 1)
            while True:
                turn.ask_afresh()
                await anyio.sleep(0.6)

        begin = anyio.current_time()
        tasks.start_soon(announce)
        assert isinstance(await failure_of(ask_tcp, client), GatewayTimeout)
        assert anyio.current_time() - begin == pytest.approx(GIVEN_UP)
        tasks.cancel_scope.cancel()
        times = [time - begin for time in simulated.times]
        afresh = [10 + time for time in SEND_TIMES]
        near_the_end = [GIVEN_UP - wait for wait in (1, 0.75, 0.4, 0.15)]
        assert times == pytest.approx([*SEND_TIMES[:6], *afresh, *near_the_end])


@pytest.mark.conforms("NP-18")
async def test_a_mapper_has_one_request_unanswered_at_a_time() -> None:
    """Whatever its calls ask, be it only whether NAT-PMP is spoken."""
    server = SlowServer(delay=0.05)
    async with running(server) as gateway, PortMapper(gateway=gateway, backends=["natpmp"]) as mapper:
        async with anyio.create_task_group() as calls:
            for port in range(4001, 4006):
                calls.start_soon(mapper.map, port)
            calls.start_soon(mapper.external_address)
        assert len(mapper.mappings) == 5
    assert server.most_unanswered == 1


# --- How often


@pytest.mark.conforms("NP-20", "NP-21", "NP-22")
def test_the_send_times_and_the_end() -> None:
    exchange: Exchange[bytes] = Exchange(b"request", lambda _: None, limits.NATPMP_WAITS)
    now, times = 0.0, []
    while exchange.poll(now) is not None:
        times.append(now)
        now = exchange.deadline
        assert exchange.poll(now - 0.001) is None
        assert not exchange.spent
    assert (times, now, exchange.spent) == (SEND_TIMES, GIVEN_UP, True)


@pytest.mark.conforms("NP-20", "NP-21", "NP-22")
@pytest.mark.parametrize("ask", [ask_address, ask_udp, ask_tcp])
async def test_a_deaf_gateway_is_asked_nine_times_and_given_up_after_127_75_s(ask: Ask) -> None:
    async with Deaf() as simulated:
        begin = anyio.current_time()
        failure = await failure_of(ask, client_of(simulated))
        assert anyio.current_time() - begin == pytest.approx(GIVEN_UP)
    assert [time - begin for time in simulated.times] == pytest.approx(SEND_TIMES)
    assert isinstance(failure, GatewayTimeout)
    assert failure.sent == 9
    assert failure.seconds == pytest.approx(GIVEN_UP)


@pytest.mark.conforms("NP-22")
async def test_a_deaf_gateway_is_said_to_be_deaf_when_the_time_for_it_is_over() -> None:
    """Not to owe an answer to something else."""
    async with Deaf() as simulated:
        with pytest.raises(GatewayTimeout, match="no answer from") as caught:
            await client_of(simulated).address(timeout=2.2)
        assert caught.value.sent == len(simulated.times) == 4
        assert caught.value.seconds == pytest.approx(2.2)


@pytest.mark.parametrize("timeout", [1.0, 2.5])
async def test_the_time_for_an_address_counts_the_wait_for_the_turn(timeout: float) -> None:
    """A delete to a deaf gateway takes 1.75 s; nobody may wait for his turn and then for the answer as long again."""
    async with Deaf() as simulated, anyio.create_task_group() as tasks:
        client = client_of(simulated)
        tasks.start_soon(suppressed, client.map, map_request(lifetime=0))
        await anyio.wait_all_tasks_blocked()
        begin = anyio.current_time()
        with pytest.raises(GatewayTimeout, match="owes" if timeout < 1.75 else "no answer"):
            await client.address(timeout=timeout)
        assert anyio.current_time() - begin == pytest.approx(timeout)


async def suppressed(ask: Callable[[wire.MapRequest], Awaitable[object]], request: wire.MapRequest) -> None:
    with suppress(PortMapperError):
        await ask(request)


@pytest.mark.conforms("NP-27")
async def test_a_delete_is_given_up_after_two_retries() -> None:
    async with Deaf() as simulated:
        begin = anyio.current_time()
        with pytest.raises(GatewayTimeout):
            await client_of(simulated).map(map_request(lifetime=0))
        assert anyio.current_time() - begin == pytest.approx(sum(limits.RELEASE_WAITS))
    assert [time - begin for time in simulated.times] == pytest.approx([0, 0.25, 0.75])


# --- What an answer means


@pytest.mark.conforms("F24")
@each_opcode
@pytest.mark.parametrize(
    ("result", "name", "lasting"),
    [
        pytest.param(2, "NOT_AUTHORIZED", True, marks=pytest.mark.conforms("NP-48")),
        pytest.param(3, "NETWORK_FAILURE", False, marks=pytest.mark.conforms("NP-48")),
        pytest.param(4, "OUT_OF_RESOURCES", False, marks=pytest.mark.conforms("NP-48")),
        pytest.param(5, "UNSUPPORTED_OPCODE", True, marks=pytest.mark.conforms("NP-48")),
        pytest.param(6, "RESULT_6", True, marks=pytest.mark.conforms("NP-49")),
        pytest.param(255, "RESULT_255", True, marks=pytest.mark.conforms("NP-49")),
        pytest.param(65535, "RESULT_65535", True, marks=pytest.mark.conforms("NP-49")),
    ],
)
async def test_what_a_result_is_called_and_whether_it_lasts(ask: Ask, result: int, name: str, lasting: bool) -> None:
    async with Refusing(result) as simulated:
        failure = await failure_of(ask, client_of(simulated))
    assert isinstance(failure, RequestRefused)
    assert (failure.code, failure.name, failure.lasting) == (result, name, lasting)


@pytest.mark.conforms("F24", "NP-48")
@each_opcode
async def test_an_unsupported_version_has_an_error_of_its_own(ask: Ask) -> None:
    async with Refusing(1) as simulated:
        assert isinstance(await failure_of(ask, client_of(simulated)), UnsupportedVersion)


@pytest.mark.conforms("NP-50")
@each_opcode
@pytest.mark.parametrize("size", [16, 8], ids=["whole", "head only"])
@pytest.mark.parametrize("result", [1, 2, 3, 4, 5, 77])
async def test_after_an_error_nothing_is_sent_again(ask: Ask, size: int, result: int) -> None:
    async with Refusing(result, size=size) as simulated:
        begin = anyio.current_time()
        await failure_of(ask, client_of(simulated))
        assert anyio.current_time() == begin
        await anyio.sleep(GIVEN_UP)
        assert len(simulated.datagrams) == 1


@pytest.mark.conforms("NP-53")
@each_opcode
@pytest.mark.parametrize("result", [2, 3, 4, 77])
async def test_the_epoch_of_an_error_counts(ask: Ask, result: int) -> None:
    epochs: list[int] = []
    async with Refusing(result, epoch=3) as simulated:
        await failure_of(ask, client_of(simulated, epochs))
    assert epochs == [3]


@pytest.mark.conforms("NP-47")
@each_opcode
async def test_an_unsupported_opcode_has_no_epoch_that_could_count(ask: Ask) -> None:
    epochs: list[int] = []
    async with Refusing(5, epoch=3) as simulated:
        await failure_of(ask, client_of(simulated, epochs))
    assert epochs == []
