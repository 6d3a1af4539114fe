"""The low-level door: one socket, both protocols, several gateways."""

import errno
import socket
import sys
from contextlib import suppress
from dataclasses import replace
from ipaddress import ip_address

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portmapper import (
    Conn,
    Gateway,
    GatewayUnreachable,
    InvalidRequest,
    ProtocolError,
    limits,
    natpmp,
    parse_message,
    pcp,
)
from portmapper.model import IPAddress, Protocol
from portmapper.testing import SimulatedGateway
from tests.fuzz import examples
from tests.wire import vectors as tv

LOOPBACK = ip_address("127.0.0.1")
VECTORS = [value for name, value in vars(tv).items() if name[:2] == "TV" and isinstance(value, bytes) and value[0] < 3]


@pytest.mark.anyio
async def test_both_protocols_over_one_socket() -> None:
    async with SimulatedGateway() as simulated, Conn.open() as conn:
        await conn.send(natpmp.AddressRequest(), simulated.gateway)
        await conn.send(pcp.AnnounceRequest(client=LOOPBACK), simulated.gateway)
        with anyio.fail_after(2):
            kinds = {type((await conn.receive())[0]) for _ in range(2)}
    assert kinds == {natpmp.AddressResponse, pcp.AnnounceResponse}


@pytest.mark.anyio
async def test_many_requests_in_flight_to_several_gateways() -> None:
    async with SimulatedGateway() as one, SimulatedGateway() as two, Conn.open(LOOPBACK) as conn:
        for port in range(5001, 5031):
            for simulated in (one, two):
                request = natpmp.MapRequest(protocol=Protocol.UDP, internal_port=port, external_port=0, lifetime=60)
                await conn.send(request, simulated.gateway)
        heard: dict[int, set[int]] = {}
        with anyio.fail_after(3):
            for _ in range(60):
                message, source = await conn.receive()
                assert isinstance(message, natpmp.MapResponse)
                heard.setdefault(source.port, set()).add(message.internal_port)
    assert heard == {simulated.gateway.port: set(range(5001, 5031)) for simulated in (one, two)}


@pytest.mark.conforms("NP-24")
@pytest.mark.anyio
@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell an unconnected socket")
async def test_a_refused_port_is_told_at_once_with_its_name_and_the_socket_stays_of_use() -> None:
    async with SimulatedGateway() as alive, SimulatedGateway(pcp=False, natpmp=False) as dead, Conn.open() as conn:
        await conn.send(natpmp.AddressRequest(), dead.gateway)
        with pytest.raises(GatewayUnreachable, match=f"port {dead.gateway.port}") as caught, anyio.fail_after(1):
            await conn.receive()
        assert caught.value.errno == errno.ECONNREFUSED
        await conn.send(natpmp.AddressRequest(), alive.gateway)
        with anyio.fail_after(1):
            assert isinstance((await conn.receive())[0], natpmp.AddressResponse)


@pytest.mark.anyio
@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell an unconnected socket")
async def test_the_refusal_of_one_gateway_does_not_hit_a_request_to_another() -> None:
    async with SimulatedGateway() as alive, SimulatedGateway(pcp=False, natpmp=False) as dead, Conn.open() as conn:
        await conn.send(natpmp.AddressRequest(), dead.gateway)
        await anyio.sleep(0.05)
        await conn.send(natpmp.AddressRequest(), alive.gateway)
        with pytest.raises(GatewayUnreachable, match=f"port {dead.gateway.port}"):
            await conn.receive()
        with anyio.fail_after(1):
            assert (await conn.receive())[1].port == alive.gateway.port


@pytest.mark.conforms("NP-31", "PC-35")
@pytest.mark.anyio
async def test_what_is_no_message_or_comes_from_elsewhere_is_left_out_but_raw_shows_it() -> None:
    class Noisy(SimulatedGateway):
        def answer_datagram(self, data: bytes, sender: IPAddress) -> list[bytes]:
            return [b"", b"\2", bytes(11), b"\xff" * 60, *super().answer_datagram(data, sender)]

    async with Noisy() as simulated, Conn.open(LOOPBACK) as conn:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.sendto(tv.TV01_RESP, ("127.0.0.1", conn.port))
        await conn.send(natpmp.AddressRequest(), simulated.gateway)
        with anyio.fail_after(2):
            message, source = await conn.receive()
            assert isinstance(message, natpmp.AddressResponse)
            assert str(message.address) == "127.0.0.1"
            assert source.port == simulated.gateway.port
            await conn.send_raw(b"\0\0", simulated.gateway)
            assert (await conn.receive_raw())[0] == b""


@pytest.mark.anyio
async def test_it_remembers_a_bounded_number_of_gateways(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "CONN_GATEWAYS", 2)
    async with SimulatedGateway() as simulated, Conn.open(LOOPBACK) as conn:
        for port in (9, 10, 11):
            with suppress(GatewayUnreachable):
                await conn.send(natpmp.AddressRequest(), replace(simulated.gateway, port=port))
        assert len(conn._asked) == 2


@pytest.mark.anyio
async def test_a_message_that_cannot_be_encoded_is_refused_before_it_is_sent() -> None:
    async with SimulatedGateway() as simulated, Conn.open() as conn:
        with pytest.raises(InvalidRequest):
            await conn.send(
                pcp.AnnounceRequest(client=LOOPBACK, options=(pcp.UnknownOption(200, bytes(1100)),)), simulated.gateway
            )
        assert simulated.datagrams == []


@pytest.mark.anyio
async def test_ipv6() -> None:
    gateway = Gateway(address=ip_address("::1"), source=ip_address("::1"), port=9)
    async with Conn.open(ip_address("::1")) as conn:
        await conn.send(pcp.AnnounceRequest(client=gateway.source), gateway)
        if sys.platform == "linux":
            with pytest.raises(GatewayUnreachable, match="::1"), anyio.fail_after(1):
                await conn.receive()


# Read, but written in the RFC's own form; and an opcode that does not exist.
NOT_THE_SAME = (tv.TV06_RESP_FIELD_VARIANT, tv.TV07_REQ, tv.TV07_RESP, tv.TV19_PCP_ONLY)


@pytest.mark.parametrize("data", [data for data in VECTORS if data not in NOT_THE_SAME])
def test_each_vector_is_a_message_that_encodes_to_itself(data: bytes) -> None:
    """Requests and responses of both protocols."""
    assert parse_message(data).encode() == data


@given(st.binary(max_size=80) | tv.bytes_near(VECTORS))
@examples(300)
def test_any_bytes_are_a_message_or_a_protocol_error(data: bytes) -> None:
    with suppress(ProtocolError):
        message = parse_message(data)
        assert parse_message(message.encode()) == message
