"""The rows of the page for inet.af/nat/natpmp."""

from ipaddress import IPv4Address
from typing import Any

import anyio
import pytest

import portmapper
from portmapper import natpmp
from portmapper.testing import SimulatedGateway
from tests.docs.coming_from.rows import Ours, a_mapper, checks

ANSWER = natpmp.AddressResponse(result=0, epoch=60, address=IPv4Address("203.0.113.7"))


async def low_level(ours: Ours) -> dict[str, Any]:
    """Return what the rows of the low-level door begin with; the address has been asked for."""
    (gateway,) = portmapper.gateways()
    conn = await ours.stack.enter_async_context(portmapper.Conn.open(gateway.source))
    await conn.send(natpmp.AddressRequest(), gateway)
    return {"conn": conn, "gateway": gateway, "natpmp": natpmp, "portmapper": portmapper, "anyio": anyio}


@checks("natpmp-dial")
async def dial(ours: Ours) -> None:
    await ours.run(portmapper=portmapper)
    assert ours.names["mapper"].gateway == ours.simulated.gateway


@checks("natpmp-external-address")
async def external_address(ours: Ours) -> None:
    assert str(await ours.run(mapper=await a_mapper(ours, backends=["natpmp"]))) == "127.0.0.1"


@checks("natpmp-epoch")
async def epoch(ours: Ours) -> None:
    assert await ours.run(message=ANSWER) == 60


@checks("natpmp-context")
async def context(ours: Ours) -> None:
    await ours.run(mapper=await a_mapper(ours), anyio=anyio)
    assert str(ours.names["address"]) == "127.0.0.1"


@checks("natpmp-close")
async def close(ours: Ours) -> None:
    async with portmapper.PortMapper() as mapper:
        await mapper.map(8080)
    assert await ours.run(mapper=mapper) == ()


@checks("natpmp-new-conn")
async def new_conn(ours: Ours) -> None:
    await ours.run(portmapper=portmapper)
    assert isinstance(ours.names["conn"], portmapper.Conn)


@checks("natpmp-listen")
async def listen(ours: Ours) -> None:
    await ours.run(portmapper=portmapper, gateway=portmapper.gateways()[0])
    assert isinstance(ours.names["conn"], portmapper.Conn)


@checks("natpmp-address-request")
async def address_request(ours: Ours) -> None:
    assert (await ours.run(natpmp=natpmp)).encode() == bytes(2)


@checks("natpmp-address-response")
async def address_response(ours: Ours) -> None:
    assert await ours.run(natpmp=natpmp, IPv4Address=IPv4Address) == ANSWER


@checks("natpmp-map-request")
async def map_request(ours: Ours) -> None:
    request = await ours.run(natpmp=natpmp, portmapper=portmapper)
    assert request.encode() == bytes.fromhex("00020000 1f900000 00001c20")


@checks("natpmp-marshal")
async def marshal(ours: Ours) -> None:
    assert await ours.run(message=ANSWER) == bytes.fromhex("00800000 0000003c cb007107")


@checks("natpmp-parse")
async def parse(ours: Ours) -> None:
    assert await ours.run(portmapper=portmapper, data=ANSWER.encode()) == ANSWER


@checks("natpmp-op")
async def op(ours: Ours) -> None:
    assert await ours.run(message=ANSWER, natpmp=natpmp) is True
    assert await ours.run(message=natpmp.AddressRequest(), natpmp=natpmp) is False


@checks("natpmp-send")
async def send(ours: Ours) -> None:
    names = await low_level(ours)
    await ours.run(**names)
    await names["conn"].receive()
    await names["conn"].receive()
    assert ours.simulated.datagrams == [bytes(2)] * 2


@checks("natpmp-receive")
async def receive(ours: Ours) -> None:
    await ours.run(**await low_level(ours))
    assert str(ours.names["message"].address) == "127.0.0.1"
    assert ours.names["source"].port == ours.simulated.gateway.port


@checks("natpmp-write-raw")
async def write_raw(ours: Ours) -> None:
    names = await low_level(ours)
    await ours.run(**names)
    await names["conn"].receive()
    await names["conn"].receive()
    assert ours.simulated.datagrams == [bytes(2)] * 2


@checks("natpmp-read-raw")
async def read_raw(ours: Ours) -> None:
    await ours.run(**await low_level(ours))
    assert ours.names["data"][:4] == bytes.fromhex("00800000")


@checks("natpmp-deadline")
async def deadline(ours: Ours) -> None:
    names = await low_level(ours)
    await ours.run(**names)
    assert ours.names.pop("message").result == 0
    await ours.run(**names)
    assert "message" not in ours.names


@checks("natpmp-local")
async def local(ours: Ours) -> None:
    assert 0 < await ours.run(**await low_level(ours)) < 65536


@checks("natpmp-conn-close")
async def conn_close(ours: Ours) -> None:
    async with portmapper.Conn.open() as conn:
        pass
    with pytest.raises(portmapper.GatewayUnreachable):
        await ours.run(conn=conn, gateway=ours.simulated.gateway, natpmp=natpmp)


@checks("natpmp-err-protocol")
async def err_protocol(ours: Ours) -> None:
    with pytest.raises(await ours.run(portmapper=portmapper)):
        portmapper.parse_message(b"\0\x80")


@checks("natpmp-err-code")
async def err_code(ours: Ours) -> None:
    refused = natpmp.AddressResponse(result=2, epoch=60, address=IPv4Address(0))
    assert await ours.run(natpmp=natpmp) == refused.result


@checks("natpmp-err-refused")
async def err_refused(ours: Ours) -> None:
    async with SimulatedGateway(pcp=False, natpmp=False) as deaf, portmapper.Conn.open() as conn:
        await conn.send(natpmp.AddressRequest(), deaf.gateway)
        with pytest.raises(await ours.run(portmapper=portmapper)), anyio.fail_after(2):
            await conn.receive()
