"""B21, F34 to F36: a socket call that fails, whichever and however, costs no mapping, no socket and no other error.

In `make test` only some of the calls; `make torture` takes them all, with all 15 numbers.
"""

import errno
import itertools
import os
import zlib
from collections.abc import Awaitable, Callable
from contextlib import suppress

import anyio
import pytest
import sniffio

from portmapper import Closed, Event, Mapping, MappingState, PortMapper, PortMapperError, limits
from portmapper.testing import SimulatedGateway
from tests.faults.sockets import ERRNOS, Faults, injected
from tests.faults.stage import CASES, KEY, left_on, nothing_left

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("virtual_time")]

SOAK = "PORTMAPPER_SOAK" in os.environ
STEP = 1 if SOAK else 211
BACKENDS = ("pcp", "natpmp", "upnp", "pinhole")
LIFETIME = 60


def a_gateway(backend: str) -> SimulatedGateway:
    return SimulatedGateway(pcp=False, natpmp=False, ipv6=True) if backend == "pinhole" else SimulatedGateway()


def a_mapper(gateway: SimulatedGateway, backend: str) -> PortMapper:
    name = "upnp" if backend == "pinhole" else backend
    return PortMapper(gateway=gateway.gateway, backends=[name], key=KEY)


async def events_of(mapping: Mapping) -> list[Event]:
    """Return what is to be told of a mapping that is closed."""
    return [event async for event in mapping.events()]


async def holds_a_mapping(gateway: SimulatedGateway, backend: str) -> None:
    """Open a mapping, see it renewed, refresh it, close it."""
    async with a_mapper(gateway, backend) as mapper:
        mapping = await mapper.map(4001, lifetime=LIFETIME)
        with suppress(PortMapperError):
            await mapping.refresh()
        for _ in range(2 * LIFETIME // 10):
            await anyio.sleep(10)
            assert mapping.state is MappingState.MAPPED
            assert len(left_on(gateway)) == 1
        await mapping.close()
        (closed,) = await events_of(mapping)
        assert isinstance(closed, Closed)
        if closed.error is not None:  # it says so, and is gone with its lease
            assert isinstance(closed.error, PortMapperError)
            CASES["sockets, not released and said so"] += 1
            assert 0 < closed.remaining <= LIFETIME
            await anyio.sleep(LIFETIME)
        assert left_on(gateway) == []
        with suppress(PortMapperError):
            await mapper.external_address()
        await anyio.sleep(limits.PROBE_LIFETIME)  # PCP's probe, if it could not be removed


async def takes_back(gateway: SimulatedGateway, backend: str) -> None:
    """Ask for what changes nothing, and remove what an earlier run left."""
    async with a_mapper(gateway, backend) as mapper:
        with suppress(PortMapperError):
            await mapper.list_mappings()
        with suppress(PortMapperError):
            await mapper.external_address()
        await anyio.sleep(limits.PROBE_LIFETIME)  # PCP's probe, if it could not be removed
        with suppress(PortMapperError):
            await mapper.unmap(4001)


Work = Callable[[SimulatedGateway, str], Awaitable[None]]


async def tried(work: Work, backend: str, faults: Faults, monkeypatch: pytest.MonkeyPatch) -> None:
    """Do `work` with faults, and check what has to hold at its end; only documented errors may come out."""
    async with nothing_left():
        async with a_gateway(backend) as gateway:
            with injected(monkeypatch, faults), suppress(PortMapperError):
                await work(gateway, backend)
            if left_on(gateway):
                await anyio.sleep(7200)
            assert left_on(gateway) == []


@pytest.mark.conforms("F34", "F36")
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("work", [holds_a_mapping, takes_back])
@pytest.mark.timeout(1800)
async def test_one_call_fails(work: Work, backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sound = Faults()
    await tried(work, backend, sound, monkeypatch)
    cases = itertools.product(range(1, sound.calls + 1), ERRNOS)
    first = zlib.crc32(f"{work.__name__}{backend}".encode()) % STEP
    for k, number in itertools.islice(cases, first, None, STEP):
        faults = Faults()
        faults.k, faults.number = k, number
        try:
            await tried(work, backend, faults, monkeypatch)
        except BaseException as error:
            error.add_note(f"call {k} fails with {errno.errorcode[number]}")
            raise
        CASES["one socket call fails"] += 1


TROUBLES = {
    "EMFILE": {"socket"},
    "ENOBUFS": {"send", "sendto"},
    "EPERM": {"send", "sendto", "connect"},
    "ENETUNREACH": {"connect", "sendto"},
    "EADDRNOTAVAIL": {"bind"},
}
SHORT, LONG = (250, 500), (10, 900)


@pytest.mark.conforms("F34", "F35", "F36")
@pytest.mark.parametrize("span", [SHORT, LONG], ids=["within the lease", "longer than the lease"])
@pytest.mark.parametrize("trouble", TROUBLES if SOAK else ["EMFILE", "EPERM"])
@pytest.mark.parametrize("backend", BACKENDS)
async def test_calls_fail_for_a_while(
    backend: str, trouble: str, span: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """F34 to F36: a lease of 600 s is kept if it lasts longer than the trouble; afterwards all is well."""
    beyond_reach = (trouble, sniffio.current_async_library()) == ("ENOBUFS", "trio") and backend in {"upnp", "pinhole"}
    faults = Faults()
    faults.number = getattr(errno, trouble)
    async with nothing_left(), a_gateway(backend) as gateway:
        with injected(monkeypatch, faults):
            async with a_mapper(gateway, backend) as mapper:
                mapping = await mapper.map(4001, lifetime=600)
                await anyio.sleep(span[0])
                faults.always = lambda name: name in TROUBLES[trouble]
                await endures(mapping, gateway, span[1] - span[0])
                assert span is LONG or mapping.state is MappingState.MAPPED
                if not beyond_reach:
                    assert faults.failed
                    with pytest.raises(PortMapperError):
                        await mapper.map(4002)
                faults.always = lambda _: False
                assert (await mapper.map(4002)).state is MappingState.MAPPED
                await anyio.sleep(limits.RETRY_LAST * (1 + limits.RETRY_JITTER))
                assert mapping.state is MappingState.MAPPED
                assert len(left_on(gateway)) == 2
        assert left_on(gateway) == []
    CASES["socket calls fail for a while"] += 1


async def endures(mapping: Mapping, gateway: SimulatedGateway, seconds: int) -> None:
    """Watch for so long that what is called mapped is there; a lease that ends may do so within two seconds."""
    wrong = 0
    for _ in range(seconds // 2):
        await anyio.sleep(2)
        wrong = wrong + 1 if (mapping.state is MappingState.MAPPED) != bool(left_on(gateway)) else 0
        assert wrong <= 1
