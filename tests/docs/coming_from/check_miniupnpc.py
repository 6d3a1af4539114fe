"""The rows of the page for miniupnpc. What waits there waits here, in a thread."""

from collections.abc import Callable
from functools import partial
from typing import Any

import anyio
import pytest

import portmapper
from portmapper import sync
from portmapper.testing import IgdSwitches, SimulatedGateway
from tests.docs.coming_from.rows import Ours, checks, on_the_router

Look = Callable[[dict[str, Any]], None]


async def with_a_mapper(ours: Ours, look: Look, *, port: int | None = None) -> None:
    """Run the row with a mapper by UPnP, or with a mapping of `port` too, and look at its names meanwhile."""

    def in_a_thread() -> None:
        with sync.PortMapper(backends=["upnp"]) as mapper:
            names: dict[str, Any] = {"mapper": mapper, "sync": sync}
            if port is not None:
                names["mapping"] = mapper.map(port, external_port=8000)
            *_lines, last = ours.row.code.splitlines()
            if " = " in last.partition("(")[0]:
                exec(ours.row.code, names)
            else:
                names["_"] = eval(last, names)
            look(names)

    await anyio.to_thread.run_sync(in_a_thread)


@checks("upnpc-new")
async def new(ours: Ours) -> None:
    await ours.run(sync=sync)
    assert isinstance(ours.names["mapper"], sync.PortMapper)


@checks("upnpc-multicastif")
async def multicastif(ours: Ours) -> None:
    await ours.run(sync=sync)
    with_eth0: sync.PortMapper = ours.names["mapper"]

    def enter() -> portmapper.Gateway:
        with with_eth0 as mapper:
            return mapper.gateway

    assert (await anyio.to_thread.run_sync(enter)).interface == "eth0"


@checks("upnpc-discover")
async def discover(ours: Ours) -> None:
    await ours.run(sync=sync)
    assert str(ours.names["address"]) == "127.0.0.1"
    assert ours.simulated.datagrams == []


@checks("upnpc-delay")
async def delay(ours: Ours) -> None:
    await with_a_mapper(ours, lambda names: _equal(str(names["_"]), "127.0.0.1"))


@checks("upnpc-lanaddr")
async def lanaddr(ours: Ours) -> None:
    await with_a_mapper(ours, lambda names: _equal(names["_"], "127.0.0.1"))


@checks("upnpc-external")
async def external(ours: Ours) -> None:
    await with_a_mapper(ours, lambda names: _equal(names["_"], "127.0.0.1"))


@checks("upnpc-add")
async def add(ours: Ours) -> None:
    def look(names: dict[str, Any]) -> None:
        assert on_the_router(ours) == [("tcp", 8080, 8000)]
        assert [one.description for one in ours.simulated.table] == ["text"]

    await with_a_mapper(ours, look)


@checks("upnpc-add-lease")
async def add_lease(ours: Ours) -> None:
    await with_a_mapper(ours, lambda names: _equal(names["mapping"].lease.lifetime, 3600))


@checks("upnpc-add-other")
async def add_other(ours: Ours) -> None:
    """The simulated gateway refuses other hosts, as most do; the request says whom it was for."""
    permissive = SimulatedGateway(pcp=False, natpmp=False, igd=IgdSwitches(foreign_code=None))
    async with permissive as simulated:
        made = partial(sync.PortMapper, gateway=simulated.gateway)
        stand_in = type("sync", (), {"PortMapper": staticmethod(made)})
        await ours.run(sync=stand_in)
        assert str(ours.names["mapping"].lease.internal) == "127.0.0.20:8080"


@checks("upnpc-add-remote")
async def add_remote(ours: Ours) -> None:
    def look(names: dict[str, Any]) -> None:
        assert [one.remote_host for one in ours.simulated.table] == ["198.51.100.7"]

    await with_a_mapper(ours, look)


@checks("upnpc-add-any")
async def add_any(ours: Ours) -> None:
    await with_a_mapper(ours, lambda names: _equal(on_the_router(ours), [("tcp", 8080, 8000)]))


@checks("upnpc-any-port")
async def any_port(ours: Ours) -> None:
    await with_a_mapper(ours, lambda names: _equal(names["_"], 8000), port=8080)


@checks("upnpc-delete")
async def delete(ours: Ours) -> None:
    await with_a_mapper(ours, lambda names: _equal(on_the_router(ours), []), port=8080)


@checks("upnpc-delete-earlier")
async def delete_earlier(ours: Ours) -> None:
    async with portmapper.PortMapper(backends=["upnp"]) as earlier:
        (await earlier.map(8080, external_port=8000)).detach()
    assert on_the_router(ours) == [("tcp", 8080, 8000)]
    await with_a_mapper(ours, lambda names: _equal(on_the_router(ours), []))


@checks("upnpc-specific")
async def specific(ours: Ours) -> None:
    await with_a_mapper(ours, lambda names: _equal([one.internal_port for one in names["_"]], [8080]), port=8080)


@checks("upnpc-generic")
async def generic(ours: Ours) -> None:
    await with_a_mapper(ours, lambda names: _equal([one.external_port for one in names["_"]], [8000]), port=8080)


@checks("upnpc-count")
async def count(ours: Ours) -> None:
    await with_a_mapper(ours, lambda names: _equal(names["_"], 1), port=8080)


@checks("upnpc-exception")
async def exception(ours: Ours) -> None:
    full = SimulatedGateway(pcp=False, natpmp=False, igd=IgdSwitches(max_mappings=0))
    async with full, portmapper.PortMapper(gateway=full.gateway, backends=["upnp"]) as mapper:
        with pytest.raises(portmapper.NoService) as caught:
            await mapper.map(8080)
    assert await ours.run(error=caught.value) == 728


def _equal(found: object, expected: object) -> None:
    assert found == expected
