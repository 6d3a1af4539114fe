"""Map, hold, refresh, close: through the whole stack against the simulated gateway."""

import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from anyio.abc import SocketListener, SocketStream

from portmapper import (
    Closed,
    InvalidRequest,
    Mapped,
    MapperClosed,
    Mapping,
    MappingState,
    NoMapping,
    NoService,
    PortMapper,
    PortUnavailable,
    Renewed,
    RequestRefused,
    open_mapping,
)
from portmapper.testing import IgdSwitches, PcpSwitches, SimulatedGateway

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("virtual_time")]

ONLY: dict[str, dict[str, Any]] = {
    "pcp": {"natpmp": False, "upnp": False},
    "natpmp": {"pcp": False, "upnp": False},
    "upnp": {"pcp": False, "natpmp": False},
}


@pytest.fixture(params=list(ONLY))
def backend(request: pytest.FixtureRequest) -> str:
    """Name each protocol in turn."""
    name: str = request.param
    return name


@asynccontextmanager
async def greeter() -> AsyncGenerator[int]:
    """Serve TCP "hello" on a port of this host."""
    sock = socket.socket()
    sock.setblocking(False)
    sock.bind(("127.0.0.1", 0))
    sock.listen()
    port: int = sock.getsockname()[1]

    async def greet(stream: SocketStream) -> None:
        async with stream:
            await stream.send(b"hello")

    async with await SocketListener.from_socket(sock) as listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, greet)
        yield port
        tasks.cancel_scope.cancel()


async def hear(mapping: Mapping) -> bytes:
    """Return what is said at the external port."""
    assert mapping.external is not None
    async with await anyio.connect_tcp(str(mapping.external.address), mapping.external.port) as stream:
        return await stream.receive()


@pytest.mark.conforms("NP-28", "PC-94")
async def test_a_mapped_port_is_reached_from_outside_until_it_is_closed(backend: str) -> None:
    async with SimulatedGateway(**ONLY[backend]) as simulated, greeter() as port:
        async with open_mapping(port, gateway=simulated.gateway) as mapping:
            assert mapping.backend.name == backend
            assert mapping.external_port not in (0, port)
            assert await hear(mapping) == b"hello"
        assert mapping.state is MappingState.CLOSED
        assert list(simulated.table) == []


@pytest.mark.conforms("NP-35")
async def test_the_lease_says_what_was_granted_not_what_was_asked(backend: str) -> None:
    """F14: the gateway shortens 7200 s to 600 s. UPnP does not tell, so there what was asked stands."""
    async with SimulatedGateway(**ONLY[backend], max_lifetime=600) as simulated:
        async with open_mapping(4001, "udp", gateway=simulated.gateway) as mapping:
            assert mapping.lease.lifetime == (7200 if backend == "upnp" else 600)
            assert mapping.protocol == "udp"
            assert mapping.internal_port == 4001
            assert str(mapping.external_address()) == "127.0.0.1"


async def test_the_wished_external_port_is_granted_when_free(backend: str) -> None:
    async with SimulatedGateway(**ONLY[backend]) as simulated, PortMapper(gateway=simulated.gateway) as mapper:
        mapping = await mapper.map(4001, external_port=21234)
        assert mapping.external_port == 21234


@pytest.mark.conforms("F18", "NP-33", "PC-91", "PC-123")
async def test_a_taken_external_port_gives_another_and_says_so(backend: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port: int = taken.getsockname()[1]
        async with SimulatedGateway(**ONLY[backend]) as simulated, PortMapper(gateway=simulated.gateway) as mapper:
            mapping = await mapper.map(4001, external_port=port)
            assert mapping.external_port not in (0, port)
            assert [entry.external_port for entry in simulated.table] == [mapping.external_port]


@pytest.mark.conforms("F18", "PC-58", "PC-124")
@pytest.mark.parametrize("honoured", [True, False])
async def test_an_exact_port_is_granted_or_nothing_is_left(backend: str, honoured: bool) -> None:
    """F18: also with a gateway that ignores PREFER_FAILURE, as miniupnpd 2.3.1 does."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port: int = taken.getsockname()[1]
        async with (
            SimulatedGateway(**ONLY[backend], pcp_switches=PcpSwitches(honours_prefer_failure=honoured)) as simulated,
            PortMapper(gateway=simulated.gateway) as mapper,
        ):
            with pytest.raises(NoService) as caught:
                await mapper.map(4001, external_port=port, exact=True)
            reason = caught.value.reasons[backend]
            assert isinstance(reason, RequestRefused)
            assert list(simulated.table) == []
            if backend == "natpmp" or (backend == "pcp" and not honoured):
                assert isinstance(reason, PortUnavailable)
                assert reason.granted not in (0, port)
            if backend == "pcp" and honoured:
                assert reason.name == "CANNOT_PROVIDE_EXTERNAL"
            mapping = await mapper.map(4001, external_port=21242, exact=True)
            assert mapping.external_port == 21242
            await mapping.refresh()
            assert mapping.external_port == 21242


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("permanent_only", [False, True])
async def test_upnp_versions_and_devices_without_leases(version: int, permanent_only: bool) -> None:
    """UP-77: 725 is answered with a mapping without end, which is removed on the way out all the same."""
    switches = IgdSwitches(version=version, permanent_only=permanent_only)
    async with SimulatedGateway(**ONLY["upnp"], igd=switches) as simulated:
        async with open_mapping(4001, gateway=simulated.gateway) as mapping:
            assert mapping.lease.permanent is permanent_only
            assert len(list(simulated.table)) == 1
        assert list(simulated.table) == []


@pytest.mark.conforms("PC-21")
async def test_refresh_renews_the_same_entry(backend: str) -> None:
    async with SimulatedGateway(**ONLY[backend]) as simulated, PortMapper(gateway=simulated.gateway) as mapper:
        mapping = await mapper.map(4001)
        (entry,) = simulated.table
        before = entry.ends
        events = mapping.events()
        await anyio.sleep(0.02)
        await mapping.refresh()
        (entry,) = simulated.table
        assert entry.ends > before
        assert isinstance(await anext(events), Mapped)
        assert isinstance(await anext(events), Renewed)


async def test_close_tells_and_ends_the_events(backend: str) -> None:
    async with SimulatedGateway(**ONLY[backend]) as simulated, PortMapper(gateway=simulated.gateway) as mapper:
        mapping = await mapper.map(4001)
        events = mapping.events()
        await mapping.close()
        await mapping.close()
        assert [type(event) for event in [one async for one in events]] == [Mapped, Closed]
        assert mapper.mappings == ()
        assert list(simulated.table) == []
        assert mapping.external is None
        assert mapping.external_port == 0
        with pytest.raises(NoMapping):
            mapping.external_address()
        with pytest.raises(MapperClosed):
            await mapping.refresh()


@pytest.mark.conforms("NP-34", "PC-162")
async def test_detach_leaves_the_lease_and_unmap_removes_it_with_the_same_key(backend: str) -> None:
    """A later run with the same key knows the nonce."""
    key = bytes(range(32))
    async with SimulatedGateway(**ONLY[backend]) as simulated:
        async with PortMapper(gateway=simulated.gateway, key=key) as mapper:
            mapping = await mapper.map(4001, external_port=21235)
            events = mapping.events()
            mapping.detach()
        *_, closed = [event async for event in events]
        assert isinstance(closed, Closed)
        assert closed.error is None
        assert closed.remaining == 7200
        assert len(list(simulated.table)) == 1
        async with PortMapper(gateway=simulated.gateway, key=key) as mapper:
            assert await mapper.unmap(4001, external_port=21235) == (backend,)
        assert list(simulated.table) == []


@pytest.mark.conforms("PC-20", "PC-52")
async def test_pcp_mappings_of_another_key_are_refused() -> None:
    """The nonce is the right to delete."""
    async with SimulatedGateway(**ONLY["pcp"]) as simulated:
        async with PortMapper(gateway=simulated.gateway) as mapper:
            (await mapper.map(4001)).detach()
        async with PortMapper(gateway=simulated.gateway) as mapper:
            with pytest.raises(Exception, match="NOT_AUTHORIZED"):
                await mapper.unmap(4001)
        assert len(list(simulated.table)) == 1


@pytest.mark.conforms("PC-145")
async def test_external_address(backend: str) -> None:
    """PCP learns it from a mapping that is gone afterwards."""
    async with SimulatedGateway(**ONLY[backend]) as simulated, PortMapper(gateway=simulated.gateway) as mapper:
        assert str(await mapper.external_address()) == "127.0.0.1"
        assert list(simulated.table) == []


@pytest.mark.conforms("NP-28")
async def test_several_mappings_of_one_mapper_are_all_released(backend: str) -> None:
    async with SimulatedGateway(**ONLY[backend]) as simulated:
        async with PortMapper(gateway=simulated.gateway) as mapper:
            for port in range(4001, 4021):
                await mapper.map(port, "udp")
            assert len(mapper.mappings) == len(list(simulated.table)) == 20
        assert list(simulated.table) == []


async def test_concurrent_calls_make_one_entry_each(backend: str) -> None:
    async with SimulatedGateway(**ONLY[backend]) as simulated, PortMapper(gateway=simulated.gateway) as mapper:
        async with anyio.create_task_group() as tasks:
            for port in range(4001, 4011):
                tasks.start_soon(mapper.map, port, "udp")
        assert len(mapper.mappings) == len(list(simulated.table)) == 10


@pytest.mark.parametrize(
    "arguments",
    [{"port": 0}, {"port": 65536}, {"port": -1}, {"port": 80, "external_port": 65536}, {"port": 80, "lifetime": 0},
     pytest.param({"port": 80, "exact": True}, marks=pytest.mark.conforms("PC-122")), {"port": 80, "lifetime": 2**32},
     {"port": 80, "protocol": "carrier-pigeon"}, {"port": 80, "description": "x" * 65},
     {"port": 80, "description": "a\nb"}],
)  # fmt: skip
async def test_bad_arguments_are_refused_before_anything_is_sent(arguments: dict[str, object]) -> None:
    async with SimulatedGateway() as simulated, PortMapper(gateway=simulated.gateway) as mapper:
        with pytest.raises(InvalidRequest):
            await mapper.map(**arguments)  # type: ignore[arg-type]
        assert simulated.datagrams == []


async def test_a_mapper_is_of_use_only_inside_its_block() -> None:
    async with SimulatedGateway() as simulated:
        mapper = PortMapper(gateway=simulated.gateway)
        with pytest.raises(MapperClosed):
            await mapper.map(4001)
        async with mapper:
            pass
        with pytest.raises(MapperClosed):
            await mapper.map(4001)
        assert simulated.datagrams == []


@pytest.mark.conforms("NP-46", "NP-73", "PC-37", "PC-38", "PC-79", "PC-81")
async def test_a_natpmp_only_gateway_is_used_at_once() -> None:
    """Its 8-byte "unsupported version" to the first PCP request is answered with NAT-PMP, without any wait."""
    async with SimulatedGateway(**ONLY["natpmp"]) as simulated, PortMapper(gateway=simulated.gateway) as mapper:
        begin = anyio.current_time()
        mapping = await mapper.map(4001)
        assert anyio.current_time() == begin
    assert mapping.backend.name == "natpmp"
    assert [data[0] for data in simulated.datagrams[:2]] == [2, 0]
