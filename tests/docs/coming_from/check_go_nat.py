"""The rows of the page for go-nat."""

import anyio
import pytest

import portmapper
from portmapper.testing import IgdSwitches, SimulatedGateway
from tests.docs.coming_from.rows import Ours, a_mapper, checks, on_the_router
from tests.docs.home import Home


@checks("go-nat-discover-gateway")
async def discover_gateway(ours: Ours) -> None:
    await ours.run(portmapper=portmapper)
    assert ours.names["mapper"].gateway == ours.simulated.gateway


@checks("go-nat-discover-nats")
async def discover_nats(ours: Ours) -> None:
    await ours.run(portmapper=portmapper)
    assert list(ours.names["everywhere"].mappers) == [ours.simulated.gateway]


@checks("go-nat-type")
async def type_of(ours: Ours) -> None:
    mapper = await a_mapper(ours)
    assert await ours.run(mapping=await mapper.map(8080)) == "PCP"


@checks("go-nat-device-address")
async def device_address(ours: Ours) -> None:
    assert await ours.run(mapper=await a_mapper(ours)) == ours.simulated.gateway.address


@checks("go-nat-internal-address")
async def internal_address(ours: Ours) -> None:
    assert await ours.run(mapper=await a_mapper(ours)) == ours.simulated.gateway.source


@checks("go-nat-external-address")
async def external_address(ours: Ours) -> None:
    assert str(await ours.run(mapper=await a_mapper(ours))) == "127.0.0.1"


@checks("go-nat-add")
async def add(ours: Ours) -> None:
    await ours.run(mapper=await a_mapper(ours))
    lease = ours.names["mapping"].lease
    assert (lease.lifetime, lease.request.description) == (3600, "text")
    assert on_the_router(ours) == [("tcp", 8080, lease.external.port)]


@checks("go-nat-mapped-port")
async def mapped_port(ours: Ours) -> None:
    mapping = await (await a_mapper(ours)).map(8080)
    assert [("tcp", 8080, await ours.run(mapping=mapping))] == on_the_router(ours)


@checks("go-nat-renew")
async def renew(ours: Ours) -> None:
    mapping = await (await a_mapper(ours)).map(8080)
    asked = len(ours.simulated.datagrams)
    await ours.run(mapping=mapping)
    assert len(ours.simulated.datagrams) > asked


@checks("go-nat-delete")
async def delete(ours: Ours) -> None:
    await ours.run(mapping=await (await a_mapper(ours)).map(8080))
    assert on_the_router(ours) == []


@checks("go-nat-delete-earlier")
async def delete_earlier(ours: Ours) -> None:
    key = bytes(16)
    async with portmapper.PortMapper(key=key) as earlier:
        (await earlier.map(8080)).detach()
    assert on_the_router(ours) == [("tcp", 8080, 8080)]
    async with portmapper.PortMapper(key=key) as mapper:
        await ours.run(mapper=mapper)
    assert on_the_router(ours) == []


@checks("go-nat-timeout")
async def timeout(ours: Ours) -> None:
    await ours.run(mapper=await a_mapper(ours), anyio=anyio)
    assert on_the_router(ours) == [("tcp", 8080, 8080)]


@checks("go-nat-no-nat")
async def no_nat(ours: Ours) -> None:
    async with SimulatedGateway(pcp=False, natpmp=False, upnp=False) as nothing:
        with pytest.raises(await ours.run(portmapper=portmapper)):
            async with portmapper.PortMapper(gateway=nothing.gateway, backends=["pcp"]) as mapper:
                await mapper.map(8080)


@checks("go-nat-no-external")
async def no_external(ours: Ours) -> None:
    async with SimulatedGateway(pcp=False, natpmp=False, igd=IgdSwitches(external_address="")) as offline:
        async with portmapper.PortMapper(gateway=offline.gateway) as mapper:
            assert await ours.run(mapper=mapper) is True


@checks("go-nat-no-internal")
async def no_internal(ours: Ours) -> None:
    with Home(()).lived_in(), pytest.raises(await ours.run(portmapper=portmapper)):
        async with portmapper.PortMapper():
            raise AssertionError
