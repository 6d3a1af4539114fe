"""However much is held and whatever the gateway does: who is told to leave is gone in time, and says what stays."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest

from portmapper import Backend, PortMapper, limits
from portmapper.model import IPAddress
from portmapper.testing import SimulatedGateway
from portmapper.testing.igd_switches import IgdSwitches

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("virtual_time")]

each_backend = pytest.mark.parametrize("backend", ["pcp", "natpmp", "upnp"])
DEAD = 3.0


class Mortal(SimulatedGateway):
    """Dies when told to: it answers no datagram and no request any more."""

    dead = False

    def __init__(self, *, dies_of: bytes = b"\0") -> None:
        self._rules = IgdSwitches()
        self._dies_of = dies_of
        super().__init__(igd=self._rules)

    def die(self) -> None:
        self.dead = True
        object.__setattr__(self._rules, "soap_delay", 3600.0)

    def answer_datagram(self, data: bytes, sender: IPAddress) -> list[bytes]:
        return [] if self.dead else super().answer_datagram(data, sender)

    def answer_http(self, method: str, path: str, body: bytes, sender: IPAddress) -> tuple[int, bytes]:
        if self._dies_of in body:
            self.die()
        return super().answer_http(method, path, body, sender)


class Stopwatch:
    """When it was told to leave, and how long that took."""

    def __init__(self) -> None:
        self.scope = anyio.CancelScope()
        self.begin = 0.0

    def leave(self) -> None:
        self.begin = anyio.current_time()
        self.scope.cancel()

    @property
    def took(self) -> float:
        return anyio.current_time() - self.begin


@asynccontextmanager
async def holding(gateway: SimulatedGateway, backend: str, count: int = 3) -> AsyncIterator[PortMapper]:
    async with PortMapper(gateway=gateway.gateway, backends=[backend]) as mapper:
        for number in range(count):
            await mapper.map(4001 + number, lifetime=600)
        yield mapper


@pytest.mark.conforms("F43")
@each_backend
async def test_a_dead_gateway_is_left_in_time(backend: str) -> None:
    """F43."""
    async with Mortal() as simulated:
        watch = Stopwatch()
        with watch.scope:
            async with holding(simulated, backend):
                simulated.die()
                watch.leave()
                await anyio.sleep_forever()
        assert watch.took <= limits.RELEASE


@each_backend
async def test_a_dead_gateway_is_left_in_time_while_a_mapping_is_asked_for(backend: str) -> None:
    """The graces for what was begun do not add up."""
    async with Mortal() as simulated:
        watch = Stopwatch()
        with watch.scope:
            async with holding(simulated, backend) as mapper, anyio.create_task_group() as tasks:
                simulated.die()
                tasks.start_soon(mapper.map, 5000)
                await anyio.sleep(0.1)
                watch.leave()
        assert 1 < watch.took <= limits.GRACE + limits.GRACE + limits.RELEASE < DEAD


@pytest.mark.conforms("F43")
@each_backend
async def test_a_dead_gateway_is_left_in_time_while_everything_is_renewed(backend: str) -> None:
    async with Mortal() as simulated:
        watch = Stopwatch()
        with watch.scope:
            async with holding(simulated, backend) as mapper, anyio.create_task_group() as tasks:
                simulated.die()
                for mapping in mapper.mappings:
                    tasks.start_soon(mapping.refresh)
                await anyio.sleep(0.1)
                watch.leave()
        assert 1 < watch.took <= limits.GRACE + limits.RELEASE < DEAD


async def test_a_device_that_dies_of_a_mapping_is_left_in_time() -> None:
    """The grace of the request that was begun is that of the mapping; and a delete gets none beyond the way out."""
    async with Mortal(dies_of=b"<NewInternalPort>5000<") as simulated:
        watch = Stopwatch()
        with watch.scope:
            async with holding(simulated, "upnp") as mapper, anyio.create_task_group() as tasks:
                tasks.start_soon(mapper.map, 5000)
                while not simulated.dead:
                    await anyio.sleep(0.01)
                watch.leave()
        assert watch.took <= limits.GRACE + limits.GRACE + limits.RELEASE


@pytest.mark.conforms("F43")
async def test_a_device_that_dies_of_a_delete_is_left_in_time() -> None:
    async with Mortal(dies_of=b"DeletePortMapping") as simulated:
        watch = Stopwatch()
        with watch.scope:
            async with holding(simulated, "upnp"):
                watch.leave()
                await anyio.sleep_forever()
        assert watch.took <= limits.RELEASE


@pytest.mark.parametrize(("count", "delay"), [(5, 0.3), (20, 0.1)])
async def test_a_slow_device_is_asked_several_things_at_once_so_that_all_is_given_back(
    count: int, delay: float
) -> None:
    """One after the other they would take 3 and 4 s."""
    async with SimulatedGateway(igd=IgdSwitches(soap_delay=delay)) as simulated:
        watch = Stopwatch()
        with watch.scope:
            async with holding(simulated, "upnp", count):
                watch.leave()
                await anyio.sleep_forever()
        assert list(simulated.table) == []
        assert watch.took <= limits.RELEASE


async def test_a_device_that_answers_one_thing_at_a_time_is_asked_so_again() -> None:
    async with SimulatedGateway(igd=IgdSwitches(soap_delay=0.1, one_at_a_time=True)) as simulated:
        async with holding(simulated, "upnp", 5):
            pass
        assert list(simulated.table) == []


@pytest.mark.conforms("F17")
async def test_what_has_no_end_is_given_back_first(caplog: pytest.LogCaptureFixture) -> None:
    """Of 6 there is time for 4; one after the other, for 2 at most."""
    rules = IgdSwitches(soap_delay=0.5)
    async with SimulatedGateway(igd=rules) as simulated:
        async with PortMapper(gateway=simulated.gateway, backends=["upnp"]) as mapper:
            for number in range(5):
                await mapper.map(4001 + number)
            object.__setattr__(rules, "permanent_only", True)
            await mapper.map(4006)
            assert mapper.mappings[-1].lease.permanent
        left = {entry.external_port for entry in simulated.table}
        assert 4006 not in left
        told = [record for record in caplog.records if record.levelno == logging.WARNING]
        assert 1 <= len(left) <= len(told)  # a delete that was cut off may have been done


@pytest.mark.conforms("F54")
async def test_a_backend_that_does_not_close_keeps_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    async def close(self: Backend) -> None:
        await anyio.sleep_forever()

    monkeypatch.setattr(Backend, "close", close)
    async with SimulatedGateway() as simulated:
        with anyio.fail_after(limits.GRACE + 1):
            async with PortMapper(gateway=simulated.gateway, backends=["pcp"]) as mapper:
                await mapper.map(4001)
        assert list(simulated.table) == []
