"""What a test on virtual time relies on: the clock jumps only when nothing can go on, and all share it."""

import socket
import time
from ipaddress import ip_address
from random import Random

import anyio
import pytest

from portmapper import MappingState, PortMapper
from portmapper.net import clock
from portmapper.net.datagram import Datagram
from portmapper.testing import SimulatedGateway

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("virtual_time")]


async def answer_one(sock: socket.socket, delay: float) -> None:
    """Answer one datagram, `delay` seconds late."""
    await anyio.wait_readable(sock)
    _, sender = sock.recvfrom(100)
    await anyio.sleep(delay)
    sock.sendto(b"answer", sender)


def peer() -> tuple[socket.socket, Datagram]:
    """Return a socket and another that is connected to it."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.bind(("127.0.0.1", 0))
    host, port = sock.getsockname()
    return sock, Datagram(ip_address(host), port)


async def test_an_hour_costs_less_than_a_second() -> None:
    begin, real = anyio.current_time(), time.perf_counter()
    await anyio.sleep(3600)
    assert anyio.current_time() - begin == pytest.approx(3600)
    assert time.perf_counter() - real < 1


async def test_the_library_has_the_clock_of_the_loop() -> None:
    for seconds in (0.1, 1000):
        await anyio.sleep(seconds)
        assert clock.now() == anyio.current_time()


async def test_the_clock_stands_still_while_something_can_go_on() -> None:
    begin = anyio.current_time()
    for _ in range(100):
        await anyio.lowlevel.checkpoint()
    time.sleep(0.01)
    assert anyio.current_time() == begin


async def test_a_datagram_on_its_way_comes_before_any_timer() -> None:
    sock, other = peer()
    with sock, other:
        for _ in range(100):
            begin = anyio.current_time()
            await other.send(b"question")
            with anyio.fail_after(1):
                await anyio.wait_readable(sock)
            assert sock.recv(100) == b"question"
            assert anyio.current_time() == begin


async def test_an_answer_comes_when_it_was_sent() -> None:
    sock, other = peer()
    with sock, other:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(answer_one, sock, 10)
            begin = anyio.current_time()
            await other.send(b"question")
            with pytest.raises(TimeoutError), anyio.fail_after(9):
                await other.receive()
            assert anyio.current_time() - begin == pytest.approx(9)
            assert await other.receive() == b"answer"
            assert anyio.current_time() - begin == pytest.approx(10)


async def test_timers_fire_in_their_order_each_at_its_time() -> None:
    begin, dice = anyio.current_time(), Random(1)
    due = [dice.uniform(0, 1000) for _ in range(100)]
    fired: list[tuple[float, float]] = []

    async def fire(after: float) -> None:
        await anyio.sleep(after)
        fired.append((after, anyio.current_time() - begin))

    async with anyio.create_task_group() as tasks:
        for after in due:
            tasks.start_soon(fire, after)
    assert [after for after, _ in fired] == sorted(due)
    assert [at for _, at in fired] == pytest.approx(sorted(due))


async def test_http_costs_no_time() -> None:
    """UPnP is TCP between two tasks here: no time-out of it may end while they are at work."""
    async with SimulatedGateway() as simulated, PortMapper(gateway=simulated.gateway, backends=["upnp"]) as mapper:
        begin = anyio.current_time()
        await mapper.map(4001)
        assert anyio.current_time() == begin


async def test_connections_through_the_gateway_cost_no_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        port = server.getsockname()[1]
        async with SimulatedGateway() as simulated, PortMapper(gateway=simulated.gateway) as mapper:
            mapping = await mapper.map(port)
            begin = anyio.current_time()
            with anyio.fail_after(0.001):
                async with await anyio.connect_tcp("127.0.0.1", mapping.external_port) as stream:
                    await anyio.wait_readable(server)
                    inner, _ = server.accept()
                    with inner:
                        inner.sendall(b"x" * 1000)
                    assert await stream.receive() == b"x" * 1000
            assert anyio.current_time() == begin


async def test_an_hour_of_a_mapping_costs_less_than_two_seconds() -> None:
    """Of computing, whatever else the machine does: some tens of microseconds for each timer, be it for 1 s or 30."""
    async with SimulatedGateway() as simulated, PortMapper(gateway=simulated.gateway) as mapper:
        mapping = await mapper.map(4001)
        real = time.process_time()
        await anyio.sleep(3600)
        assert time.process_time() - real < 2
        assert mapping.state is MappingState.MAPPED
