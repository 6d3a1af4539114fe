"""The rows of the page for crab_nat."""

from functools import partial
from typing import Any

import anyio
import pytest

import portmapper
from portmapper import natpmp, sync
from portmapper.model import IPAddress
from portmapper.testing import SimulatedGateway
from tests.docs.coming_from.rows import Ours, a_mapper, a_mapping, checks, on_the_router

KEY = bytes(range(16))


async def why_not(port: int = 8080, protocol: str = "tcp", *, backend: str, **switches: Any) -> portmapper.NoService:
    """Return the error that one backend leads to, on a gateway with these switches."""
    async with SimulatedGateway(**switches) as other:
        async with portmapper.PortMapper(gateway=other.gateway, backends=[backend]) as mapper:
            with pytest.raises(portmapper.NoService) as caught:
                await mapper.map(port, protocol)
    return caught.value


@checks("crab-new")
async def new(ours: Ours) -> None:
    await ours.run(mapper=await a_mapper(ours))
    assert on_the_router(ours) == [("tcp", 8080, 8080)]


@checks("crab-external-port")
async def external_port(ours: Ours) -> None:
    await ours.run(mapper=await a_mapper(ours))
    assert on_the_router(ours) == [("tcp", 8080, 8000)]


@checks("crab-lifetime-option")
async def lifetime_option(ours: Ours) -> None:
    await ours.run(mapper=await a_mapper(ours))
    assert ours.names["mapping"].lease.lifetime == 3600


@checks("crab-timeout")
async def timeout(ours: Ours) -> None:
    await ours.run(mapper=await a_mapper(ours), anyio=anyio)
    assert on_the_router(ours) == [("tcp", 8080, 8080)]


@checks("crab-renew")
async def renew(ours: Ours) -> None:
    mapping = await a_mapping(ours)
    asked = len(ours.simulated.datagrams)
    await ours.run(mapping=mapping)
    assert len(ours.simulated.datagrams) > asked


@checks("crab-drop")
async def drop(ours: Ours) -> None:
    await ours.run(mapping=await a_mapping(ours))
    assert on_the_router(ours) == []


@checks("crab-gateway")
async def gateway(ours: Ours) -> None:
    assert await ours.run(mapping=await a_mapping(ours)) == ours.simulated.gateway.address


@checks("crab-protocol")
async def protocol(ours: Ours) -> None:
    assert await ours.run(mapping=await a_mapping(ours, 8080, "udp")) == "udp"


@checks("crab-internal")
async def internal(ours: Ours) -> None:
    assert await ours.run(mapping=await a_mapping(ours, 8081)) == 8081


@checks("crab-external")
async def external(ours: Ours) -> None:
    assert [("tcp", 8080, await ours.run(mapping=await a_mapping(ours)))] == on_the_router(ours)


@checks("crab-lifetime")
async def lifetime(ours: Ours) -> None:
    assert await ours.run(mapping=await a_mapping(ours)) == 7200


@checks("crab-type")
async def type_of(ours: Ours) -> None:
    assert await ours.run(mapping=await a_mapping(ours)) == "pcp"


@checks("crab-external-ip")
async def external_ip(ours: Ours) -> None:
    assert str(await ours.run(mapping=await a_mapping(ours))) == "127.0.0.1"


@checks("crab-expiration")
async def expiration(ours: Ours) -> None:
    await ours.run(mapping=await a_mapping(ours))
    assert ours.names["event"].lease.lifetime == 7200


@checks("crab-epoch")
async def epoch(ours: Ours) -> None:
    names = {"portmapper": portmapper, "natpmp": natpmp, "gateway": portmapper.gateways()[0]}
    assert 0 <= await ours.run(**names) <= ours.simulated.epoch


@checks("crab-natpmp-address")
async def natpmp_address(ours: Ours) -> None:
    await ours.run(portmapper=portmapper)
    assert str(ours.names["address"]) == "127.0.0.1"
    assert {data[0] for data in ours.simulated.datagrams} == {0}


@checks("crab-natpmp-map")
async def natpmp_map(ours: Ours) -> None:
    await ours.run(portmapper=portmapper)
    assert ours.names["mapping"].lease.backend == "natpmp"


@checks("crab-natpmp-drop")
async def natpmp_drop(ours: Ours) -> None:
    mapper = await a_mapper(ours, backends=["natpmp"])
    (await mapper.map(8080)).detach()
    assert on_the_router(ours) == [("tcp", 8080, 8080)]
    assert await ours.run(mapper=mapper) == ("natpmp",)
    assert on_the_router(ours) == []


@checks("crab-natpmp-drop-all")
async def natpmp_drop_all(ours: Ours) -> None:
    mapper = await a_mapper(ours, backends=["natpmp"])
    for port in (8080, 8081):
        (await mapper.map(port)).detach()
    assert await ours.run(mapper=mapper) == ("natpmp",)
    assert on_the_router(ours) == []


@checks("crab-pcp-map")
async def pcp_map(ours: Ours) -> None:
    await ours.run(portmapper=portmapper)
    assert ours.names["mapping"].lease.backend == "pcp"
    assert on_the_router(ours) == []


@checks("crab-nonce")
async def nonce(ours: Ours) -> None:
    """With the same key the gateway knows the mapping of an earlier run as the same one."""
    async with portmapper.PortMapper(key=KEY) as earlier:
        (await earlier.map(8080)).detach()
    (before,) = ours.simulated.table
    await ours.run(portmapper=portmapper, secret=KEY)
    assert {data[24:36] for data in ours.simulated.datagrams if len(data) > 36} == {before.nonce}


@checks("crab-pcp-all")
async def pcp_all(ours: Ours) -> None:
    await ours.run(mapper=await a_mapper(ours))
    assert on_the_router(ours) == [("tcp", 0, 0)]


@checks("crab-pcp-drop")
async def pcp_drop(ours: Ours) -> None:
    mapper = await a_mapper(ours, backends=["pcp"])
    (await mapper.map(8080)).detach()
    assert await ours.run(mapper=mapper) == ("pcp",)
    assert on_the_router(ours) == []


@checks("crab-peer")
async def peer(ours: Ours) -> None:
    await ours.run(mapper=await a_mapper(ours))
    assert str(ours.names["mapping"].lease.request.peer) == "198.51.100.7:443"


@checks("crab-failure")
async def failure(ours: Ours) -> None:
    error = await why_not(backend="pcp", pcp=False, natpmp=False)
    assert type(error) is await ours.run(portmapper=portmapper)


@checks("crab-retry-after")
async def retry_after(ours: Ours) -> None:
    assert await ours.run(error=await why_not(5000, "dccp", backend="pcp")) == 1800


@checks("crab-failure-timeout")
async def failure_timeout(ours: Ours) -> None:
    class Silent(SimulatedGateway):
        def answer_datagram(self, data: bytes, sender: IPAddress) -> list[bytes]:
            return []

    async with Silent() as silent:
        ask = partial(sync.external_address, gateway=silent.gateway, backends=["pcp"], timeout=0.1)
        with pytest.raises(await ours.run(portmapper=portmapper)):
            await anyio.to_thread.run_sync(ask)


@checks("crab-failure-socket")
async def failure_socket(ours: Ours) -> None:
    error = await why_not(backend="pcp", pcp=False, natpmp=False)
    assert type(error.reasons["pcp"]) is await ours.run(portmapper=portmapper)


@checks("crab-failure-version")
async def failure_version(ours: Ours) -> None:
    error = await why_not(backend="pcp", pcp=False)
    assert type(error.reasons["pcp"]) is await ours.run(portmapper=portmapper)
