"""The rows of the page for racket-nat-traversal. What waits there waits here, in a thread."""

import socket
from ipaddress import IPv4Address, ip_address
from typing import Any

import anyio
import pytest

import portmapper
from portmapper import sync
from portmapper.testing import IgdSwitches, SimulatedGateway
from tests.docs.coming_from.rows import Ours, a_mapper, a_mapping, checks, on_the_router


async def made(**options: Any) -> portmapper.Lease:
    """Return a lease that a row before has made."""
    return await anyio.to_thread.run_sync(lambda: sync.map_port(8080, "tcp", 8080, 3600, **options))


async def kept(ours: Ours) -> sync.PersistentMapping:
    """Return what a row before keeps; it is stopped after the check."""
    found = await anyio.to_thread.run_sync(lambda: sync.persistent_mapping(8080))
    ours.stack.push_async_callback(anyio.to_thread.run_sync, found.stop)
    return found


async def stop(ours: Ours) -> None:
    await anyio.to_thread.run_sync(ours.names["kept"].stop)
    assert on_the_router(ours) == []


@checks("racket-gateway")
async def gateway(ours: Ours) -> None:
    assert await ours.run(sync=sync) == ours.simulated.gateway.address


@checks("racket-interfaces")
async def interfaces(ours: Ours) -> None:
    assert await ours.run(portmapper=portmapper) == [ours.simulated.gateway.source]


@checks("racket-best-interface")
async def best_interface(ours: Ours) -> None:
    assert await ours.run(portmapper=portmapper) == ours.simulated.gateway.source


@checks("racket-wildcard")
async def wildcard(ours: Ours) -> None:
    assert await ours.run(ip_address=ip_address) is True


@checks("racket-localhost")
async def localhost(ours: Ours) -> None:
    assert await ours.run(ip_address=ip_address) is True


@checks("racket-private")
async def private(ours: Ours) -> None:
    mapping = await a_mapping(ours)
    assert await ours.run(mapping=mapping, portmapper=portmapper) is False


@checks("racket-external")
async def external(ours: Ours) -> None:
    assert await ours.run(sync=sync) == IPv4Address("127.0.0.1")
    assert {data[0] for data in ours.simulated.datagrams} == {0}


@checks("racket-map")
async def map_port(ours: Ours) -> None:
    await ours.run(sync=sync)
    assert (ours.names["lease"].backend, ours.names["lease"].lifetime) == ("natpmp", 3600)
    assert on_the_router(ours) == [("tcp", 8080, 8080)]


@checks("racket-fields")
async def fields(ours: Ours) -> None:
    assert await ours.run(lease=await made()) == ("tcp", 8080, 8080, 3600)


@checks("racket-refresh")
async def refresh(ours: Ours) -> None:
    lease = await made(backends=["natpmp"])
    ours.simulated.reboot()
    await ours.run(sync=sync, lease=lease)
    assert on_the_router(ours) == [("tcp", 8080, 8080)]


@checks("racket-delete")
async def delete(ours: Ours) -> None:
    await ours.run(sync=sync, lease=await made(backends=["natpmp"]))
    assert on_the_router(ours) == []


@checks("racket-map-zero")
async def map_zero(ours: Ours) -> None:
    await made()
    await ours.run(sync=sync)
    assert on_the_router(ours) == []


@checks("racket-unmap-all")
async def unmap_all(ours: Ours) -> None:
    await made(backends=["natpmp"])
    assert await ours.run(sync=sync) == ("natpmp",)
    assert on_the_router(ours) == []


@checks("racket-upnp-external")
async def upnp_external(ours: Ours) -> None:
    assert await ours.run(sync=sync) == IPv4Address("127.0.0.1")
    assert ours.simulated.datagrams == []


@checks("racket-upnp-map")
async def upnp_map(ours: Ours) -> None:
    await ours.run(sync=sync)
    assert ours.names["lease"].backend == "upnp"
    assert on_the_router(ours) == [("tcp", 8080, 8080)]


@checks("racket-upnp-refresh")
async def upnp_refresh(ours: Ours) -> None:
    lease = await made(backends=["upnp"])
    ours.simulated.reboot()
    await ours.run(sync=sync, lease=lease)
    assert on_the_router(ours) == [("tcp", 8080, 8080)]


@checks("racket-upnp-delete")
async def upnp_delete(ours: Ours) -> None:
    await ours.run(sync=sync, lease=await made(backends=["upnp"]))
    assert on_the_router(ours) == []


@checks("racket-upnp-query")
async def upnp_query(ours: Ours) -> None:
    await made(backends=["upnp"])
    await ours.run(sync=sync)
    assert [(one.internal_port, one.own) for one in ours.names["found"]] == [(8080, True)]


@checks("racket-timeout")
async def timeout(ours: Ours) -> None:
    assert await ours.run(sync=sync) == IPv4Address("127.0.0.1")


@checks("racket-persistent")
async def persistent(ours: Ours) -> None:
    told: list[portmapper.Lease | None] = []
    await ours.run(sync=sync, print=told.append)
    assert on_the_router(ours) == [("tcp", 8080, 8080)]
    await stop(ours)
    assert [one and one.external.port for one in told] == [8080, None]


@checks("racket-interval")
async def interval(ours: Ours) -> None:
    """The lease is renewed at half of its lifetime."""
    await ours.run(sync=sync)
    assert ours.names["kept"].current().lifetime == 3600
    await stop(ours)


@checks("racket-current")
async def current(ours: Ours) -> None:
    assert (await ours.run(kept=await kept(ours))).external.port == 8080


@checks("racket-refresh-persistent")
async def refresh_persistent(ours: Ours) -> None:
    found = await kept(ours)
    asked = len(ours.simulated.datagrams)
    await ours.run(kept=found)
    assert len(ours.simulated.datagrams) > asked


@checks("racket-stop")
async def stop_persistent(ours: Ours) -> None:
    await ours.run(kept=await kept(ours))
    assert on_the_router(ours) == []


@checks("racket-upnp-persistent")
async def upnp_persistent(ours: Ours) -> None:
    await ours.run(sync=sync)
    assert ours.names["kept"].current().backend == "upnp"
    await stop(ours)


@checks("racket-listener")
async def listener(ours: Ours) -> None:
    events = await ours.run(mapping=await a_mapping(ours))
    assert isinstance(await anext(events), portmapper.Mapped)


@checks("racket-tcp-listen")
async def tcp_listen(ours: Ours) -> None:
    await ours.run(socket=socket, sync=sync)
    assert ours.names["mapping"].lease.internal.port == 8080
    assert on_the_router(ours) == []


@checks("racket-udp-bind")
async def udp_bind(ours: Ours) -> None:
    await ours.run(sync=sync)
    assert ours.names["mapping"].lease.request.protocol == "udp"


@checks("racket-on-change")
async def on_change(ours: Ours) -> None:
    told: list[portmapper.Event] = []

    def in_a_thread() -> None:
        with sync.open_mapping(8080) as mapping:
            eval(ours.row.code, {"mapping": mapping, "print": told.append})

    await anyio.to_thread.run_sync(in_a_thread)
    assert [type(event) for event in told] == [portmapper.Mapped, portmapper.Closed]


@checks("racket-current-mappings")
async def current_mappings(ours: Ours) -> None:
    mapper = await a_mapper(ours)
    mapping = await mapper.map(8080)
    assert await ours.run(mapper=mapper) == (mapping,)


@checks("racket-assignment")
async def assignment(ours: Ours) -> None:
    assert str(await ours.run(mapping=await a_mapping(ours))) == "127.0.0.1:8080"


@checks("racket-technique")
async def technique(ours: Ours) -> None:
    assert await ours.run(mapping=await a_mapping(ours)) == "pcp"


@checks("racket-listener-stop")
async def listener_stop(ours: Ours) -> None:
    def in_a_thread() -> None:
        with sync.PortMapper() as mapper:
            mapping = mapper.map(8080)
            eval(ours.row.code, {"mapping": mapping})
            assert on_the_router(ours) == []

    await anyio.to_thread.run_sync(in_a_thread)


@checks("racket-upnp-code")
async def upnp_code(ours: Ours) -> None:
    full = SimulatedGateway(pcp=False, natpmp=False, igd=IgdSwitches(max_mappings=0))
    async with full, portmapper.PortMapper(gateway=full.gateway, backends=["upnp"]) as mapper:
        with pytest.raises(portmapper.NoService) as caught:
            await mapper.map(8080)
    assert await ours.run(error=caught.value) == 728
