"""The rows of the page for npm pmp."""

import threading
from functools import partial
from typing import Any

import anyio

import portmapper
from portmapper import callback
from portmapper.testing import SimulatedGateway
from tests.docs.coming_from.rows import Ours, checks, on_the_router

Told = tuple[Exception | None, callback.Result]


class Done:
    """A callback that can be waited for."""

    def __init__(self) -> None:
        self._called = threading.Event()
        self.told: list[Told] = []

    def __call__(self, error: Exception | None, result: callback.Result) -> None:
        self.told.append((error, result))
        self._called.set()

    async def result(self) -> callback.Result:
        """Wait for the one call, which must tell no error."""
        assert await anyio.to_thread.run_sync(self._called.wait, 10)
        ((error, result),) = self.told
        assert error is None, error
        return result


async def called_back(ours: Ours) -> callback.Result:
    done = Done()
    await ours.run(callback=callback, done=done)
    return await done.result()


async def a_result(ours: Ours) -> callback.Result:
    """Return what a row before was told."""
    return await mapped(3001)


async def mapped(external_port: int) -> callback.Result:
    """Have port 3000 mapped. In a thread: the call takes a lock for a moment, which a test sees as blocking."""
    done = Done()
    await anyio.to_thread.run_sync(callback.port_map, "", 3000, external_port, 20, done)
    return await done.result()


async def fields(ours: Ours) -> set[Any]:
    """Return what each expression of the row says of one result."""
    names = {"result": await a_result(ours), "portmapper": portmapper}
    return {eval(line, names) for line in ours.row.code.splitlines()}


@checks("pmp-external")
async def external(ours: Ours) -> None:
    assert (await called_back(ours)).externalIP == "127.0.0.1"


@checks("pmp-external-gateway")
async def external_gateway(ours: Ours) -> None:
    assert (await called_back(ours)).external_ip == "127.0.0.1"


@checks("pmp-map")
async def port_map(ours: Ours) -> None:
    result = await called_back(ours)
    assert (result.privatePort, result.publicPort, result.ttl) == (3000, 3000, 20)
    assert on_the_router(ours) == [("tcp", 3000, 3000)]


@checks("pmp-map-label")
async def map_for_good(ours: Ours) -> None:
    assert (await called_back(ours)).public_port == 3000
    stopped = Done()
    await anyio.to_thread.run_sync(ours.names["kept"].stop, stopped)
    await stopped.result()
    assert on_the_router(ours) == []


@checks("pmp-unmap")
async def unmap(ours: Ours) -> None:
    await mapped(3000)
    await called_back(ours)
    assert on_the_router(ours) == []


@checks("pmp-find-gateway")
async def find_gateway(ours: Ours) -> None:
    assert await ours.run(portmapper=portmapper) == ours.simulated.gateway


@checks("pmp-result-external")
async def result_external(ours: Ours) -> None:
    assert await fields(ours) == {"127.0.0.1"}


@checks("pmp-result-private")
async def result_private(ours: Ours) -> None:
    assert await fields(ours) == {3000}


@checks("pmp-result-public")
async def result_public(ours: Ours) -> None:
    assert await fields(ours) == {3001}


@checks("pmp-result-ttl")
async def result_ttl(ours: Ours) -> None:
    assert await fields(ours) == {20}


@checks("pmp-result-initialized")
async def result_initialized(ours: Ours) -> None:
    (epoch,) = await fields(ours)
    assert 0 <= epoch <= ours.simulated.epoch


@checks("pmp-result-gateway")
async def result_gateway(ours: Ours) -> None:
    assert await fields(ours) == {"127.0.0.1"}


@checks("pmp-result-error")
async def result_error(ours: Ours) -> None:
    assert await fields(ours) == {""}


@checks("pmp-error")
async def error_of_a_call(ours: Ours) -> None:
    done = Done()
    async with SimulatedGateway(pcp=False, natpmp=False, upnp=False) as nothing:
        ask = partial(callback.port_map, nothing.gateway, 3000, 3000, 20, done, backends=["pcp"])
        await anyio.to_thread.run_sync(ask)
        assert await anyio.to_thread.run_sync(done._called.wait, 10)
    ((error, result),) = done.told
    assert await ours.run(error=error, portmapper=portmapper) is True
    assert result.error == str(error)
