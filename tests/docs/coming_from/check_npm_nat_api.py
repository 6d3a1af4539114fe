"""The rows of the page for npm nat-api."""

import pytest

import portmapper
from portmapper.testing import SimulatedGateway
from tests.docs.coming_from.rows import Ours, a_mapper, a_mapping, checks, on_the_router


@checks("nat-api-new")
async def new(ours: Ours) -> None:
    await ours.run(portmapper=portmapper)
    assert ours.names["mapper"].gateway == ours.simulated.gateway


@checks("nat-api-pmp")
async def pmp(ours: Ours) -> None:
    await ours.run(portmapper=portmapper)
    assert ours.names["mapper"].gateway == ours.simulated.gateway


@checks("nat-api-gateway")
async def gateway(ours: Ours) -> None:
    await ours.run(portmapper=portmapper)
    assert ours.names["mapper"].gateway == ours.simulated.gateway


@checks("nat-api-ttl")
async def ttl(ours: Ours) -> None:
    await ours.run(mapper=await a_mapper(ours))
    assert ours.names["mapping"].lease.lifetime == 1200


@checks("nat-api-description")
async def description(ours: Ours) -> None:
    await ours.run(mapper=await a_mapper(ours, backends=["upnp"]))
    assert [one.description for one in ours.simulated.table] == ["NatAPI"]


@checks("nat-api-update")
async def update(ours: Ours) -> None:
    mapping = await a_mapping(ours)
    asked = len(ours.simulated.datagrams)
    await ours.run(mapping=mapping)
    assert len(ours.simulated.datagrams) > asked


@checks("nat-api-map")
async def map_one(ours: Ours) -> None:
    await ours.run(mapper=await a_mapper(ours))
    assert sorted(on_the_router(ours)) == [("tcp", 1000, 1000), ("udp", 1000, 1000)]


@checks("nat-api-map-two")
async def map_two(ours: Ours) -> None:
    await ours.run(mapper=await a_mapper(ours))
    assert sorted(on_the_router(ours)) == [("tcp", 3000, 2000), ("udp", 3000, 2000)]


@checks("nat-api-map-options")
async def map_options(ours: Ours) -> None:
    await ours.run(mapper=await a_mapper(ours))
    assert on_the_router(ours) == [("udp", 5000, 4000)]
    assert ours.names["mapping"].lease.lifetime == 1800


@checks("nat-api-unmap")
async def unmap(ours: Ours) -> None:
    await ours.run(mapping=await a_mapping(ours, 1000))
    assert on_the_router(ours) == []


async def an_earlier_run(ours: Ours, port: int, protocol: str, external_port: int) -> None:
    """Leave a mapping by UPnP that the row is to remove, and run the row."""
    async with portmapper.PortMapper(backends=["upnp"]) as earlier:
        (await earlier.map(port, protocol, external_port=external_port)).detach()
    assert on_the_router(ours) == [(protocol, port, external_port)]
    await ours.run(mapper=await a_mapper(ours, backends=["upnp"]))
    assert on_the_router(ours) == []


@checks("nat-api-unmap-two")
async def unmap_two(ours: Ours) -> None:
    await an_earlier_run(ours, 3000, "tcp", 2000)


@checks("nat-api-unmap-options")
async def unmap_options(ours: Ours) -> None:
    await an_earlier_run(ours, 5000, "udp", 4000)


@checks("nat-api-external-ip")
async def external_ip(ours: Ours) -> None:
    assert str(await ours.run(mapper=await a_mapper(ours))) == "127.0.0.1"


@checks("nat-api-destroy")
async def destroy(ours: Ours) -> None:
    async with portmapper.PortMapper() as mapper:
        await mapper.map(1000)
    assert await ours.run(mapper=mapper) == ()
    assert on_the_router(ours) == []


@checks("nat-api-err")
async def err(ours: Ours) -> None:
    async with SimulatedGateway(pcp=False, natpmp=False, upnp=False) as nothing:
        with pytest.raises(await ours.run(portmapper=portmapper)):
            async with portmapper.PortMapper(gateway=nothing.gateway, backends=["pcp"]) as mapper:
                await mapper.map(1000)
