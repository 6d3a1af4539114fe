"""Which PCP responses count as the answer to a request, and what is taken from them."""

from dataclasses import replace
from ipaddress import IPv4Address
from typing import Any

import anyio
import pytest

from portmapper.errors import GatewayTimeout, RequestRefused
from portmapper.model import MappingRequest, Protocol
from portmapper.pcp import wire
from portmapper.pcp.client import PcpClient
from portmapper.pcp.options import Description, Filter, Option, PreferFailure, ThirdParty, UnknownOption
from portmapper.pcp.results import Result
from portmapper.testing import PcpSwitches, SimulatedGateway
from tests.pcp.lying import Lying, backend_of, with_changes

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("virtual_time")]

LOOPBACK = IPv4Address("127.0.0.1")
MAPPING: dict[str, Any] = {
    "client": LOOPBACK,
    "lifetime": 3600,
    "nonce": bytes(range(12)),
    "protocol": 6,
    "internal_port": 4001,
    "external_port": 0,
    "external_address": IPv4Address(0),
}
MAP = wire.MapRequest(**MAPPING)
PEER = wire.PeerRequest(**MAPPING, remote_port=443, remote_address=IPv4Address("198.51.100.20"))
OTHER_HOST = ThirdParty(IPv4Address("127.0.0.2"))

Answer = wire.MapResponse | wire.PeerResponse


def client_of(simulated: SimulatedGateway, epochs: list[int] | None = None) -> PcpClient:
    """Return a client that asks once and waits for a second."""
    seen: list[int] = [] if epochs is None else epochs
    return PcpClient(simulated.gateway, seen.append, lambda: (1.0,))


async def ask(client: PcpClient, request: wire.MapRequest | wire.PeerRequest) -> Answer:
    return await (client.peer(request) if isinstance(request, wire.PeerRequest) else client.map(request))


# --- Whose answer it is


@pytest.mark.conforms("PC-42")
@pytest.mark.parametrize(
    "changes",
    [{"remote_port": 444}, {"remote_address": IPv4Address("198.51.100.21")}, {"internal_port": 4002},
     {"protocol": 17}, {"nonce": bytes(12)}],
    ids=["remote port", "remote address", "internal port", "protocol", "nonce"],
)  # fmt: skip
async def test_the_answer_about_another_outbound_mapping_is_ignored(changes: dict[str, Any]) -> None:
    """And the right one after it is taken."""
    async with Lying(with_changes(**changes)) as simulated:
        with pytest.raises(GatewayTimeout):
            await client_of(simulated).peer(PEER)
        simulated.change = lambda answer: [*with_changes(**changes)(answer), answer]
        answer = await client_of(simulated).peer(PEER)
        assert (answer.remote_port, answer.remote_address) == (PEER.remote_port, PEER.remote_address)


@pytest.mark.conforms("PC-42")
async def test_a_map_answer_is_none_to_a_peer_request_and_the_other_way_round() -> None:
    def as_map(answer: wire.Response) -> list[wire.Response]:
        fields = {name: getattr(answer, name) for name in wire.MapResponse.__slots__}
        return [wire.MapResponse(**fields)]

    def as_peer(answer: wire.Response) -> list[wire.Response]:
        fields = {name: getattr(answer, name) for name in wire.MapResponse.__slots__}
        return [wire.PeerResponse(**fields, remote_port=443, remote_address=PEER.remote_address)]

    for lie, request in ((as_map, PEER), (as_peer, MAP)):
        async with Lying(lie) as simulated:
            with pytest.raises(GatewayTimeout):
                await ask(client_of(simulated), request)


@pytest.mark.conforms("PC-31", "PC-41")
@pytest.mark.parametrize("options", [(), (ThirdParty(IPv4Address("127.0.0.3")),)], ids=["none", "another"])
async def test_a_success_without_the_third_party_is_about_somebody_else(options: tuple[Option, ...]) -> None:
    """What was not processed is not in a success: so it is about this host."""
    switches = PcpSwitches(allows_third_party=True)
    async with Lying(with_changes(options=options), pcp_switches=switches) as simulated:
        with pytest.raises(GatewayTimeout):
            await client_of(simulated).map(replace(MAP, options=(OTHER_HOST,)))


@pytest.mark.conforms("PC-31", "PC-41")
async def test_a_success_for_another_host_is_none_for_this_one() -> None:
    async with Lying(with_changes(options=(OTHER_HOST,))) as simulated:
        with pytest.raises(GatewayTimeout):
            await client_of(simulated).map(MAP)


@pytest.mark.conforms("PC-31")
@pytest.mark.parametrize("options", [(), (OTHER_HOST,), (OTHER_HOST, PreferFailure(), Description("x"))])
async def test_an_error_counts_whatever_options_it_repeats(options: tuple[Option, ...]) -> None:
    """It holds those of the request, processed or not."""
    async with Lying(with_changes(options=options)) as simulated:
        with pytest.raises(RequestRefused, match="UNSUPP_OPTION"):
            await client_of(simulated).map(replace(MAP, options=(OTHER_HOST,)))


@pytest.mark.conforms("PC-29")
async def test_options_that_were_not_asked_for_are_ignored() -> None:
    options = (UnknownOption(99, b"x"), UnknownOption(200, b""), Filter(IPv4Address(0), 96, 1), PreferFailure())
    async with Lying(with_changes(options=options)) as simulated:
        assert (await client_of(simulated).map(MAP)).lifetime == 3600


# --- The epoch


@pytest.mark.conforms("PC-43")
@pytest.mark.parametrize("request_", [MAP, PEER, replace(MAP, lifetime=0)], ids=["map", "peer", "delete"])
@pytest.mark.parametrize("result", [Result.NOT_AUTHORIZED, Result.NO_RESOURCES, 200])
async def test_the_epoch_of_an_error_is_observed(request_: wire.MapRequest | wire.PeerRequest, result: int) -> None:
    epochs: list[int] = []
    async with Lying(with_changes(result=result, epoch=0)) as simulated:
        with pytest.raises(RequestRefused):
            await ask(client_of(simulated, epochs), request_)
    assert epochs == [0]


@pytest.mark.conforms("PC-43")
async def test_the_epoch_of_what_does_not_match_is_not_observed() -> None:
    """The match comes first."""
    epochs: list[int] = []
    async with Lying(with_changes(nonce=bytes(12), epoch=7)) as simulated:
        with pytest.raises(GatewayTimeout):
            await client_of(simulated, epochs).map(MAP)
    assert epochs == []


@pytest.mark.conforms("PC-43")
async def test_an_error_with_epoch_0_shows_a_loss() -> None:
    """Of a server that has been up for long."""
    losses: list[str] = []
    async with Lying() as simulated:
        backend = backend_of(simulated, losses)
        await anyio.sleep(1000)
        await backend.check()
        simulated.change = with_changes(result=Result.NO_RESOURCES, epoch=0)
        with pytest.raises(RequestRefused):
            await backend.external_address()
        assert losses == ["lost"]


# --- The address of the client


@pytest.mark.conforms("PC-60")
async def test_the_address_that_a_client_gives_for_itself_is_sent() -> None:
    """As one behind a NAT of its own does, where the inner mapping is made already."""
    outer = IPv4Address("198.51.100.77")
    async with Lying(with_changes(result=0)) as simulated:
        for request in (replace(MAP, client=outer), replace(PEER, client=outer)):
            await ask(client_of(simulated), request)
        assert [data[8:24] for data in simulated.datagrams] == [bytes(10) + b"\xff\xff" + outer.packed] * 2


# --- The answer to a delete


@pytest.mark.conforms("PC-96")
async def test_a_delete_of_nothing_is_a_success() -> None:
    async with Lying() as simulated:
        answer = await client_of(simulated).map(replace(MAP, lifetime=0))
        assert (answer.result, list(simulated.table)) == (0, [])


@pytest.mark.conforms("PC-96")
async def test_a_delete_that_is_not_allowed_is_an_error() -> None:
    """As that of a static or an outbound mapping is."""
    async with Lying() as simulated:
        await client_of(simulated).map(replace(MAP, nonce=b"administrator"[:12]))
        with pytest.raises(RequestRefused, match="NOT_AUTHORIZED"):
            await client_of(simulated).map(replace(MAP, lifetime=0))
        assert len(list(simulated.table)) == 1


@pytest.mark.conforms("PC-96")
async def test_a_delete_that_takes_effect_after_the_idle_time_out_is_a_success() -> None:
    """The lifetime of the answer says when."""
    async with Lying() as simulated:
        backend = backend_of(simulated)
        lease = await backend.map(MappingRequest(protocol=Protocol.TCP, internal_port=4001))
        simulated.change = with_changes(lifetime=120)
        await backend.unmap(lease)
        assert (await client_of(simulated).map(replace(MAP, lifetime=0))).lifetime == 120
