"""What a search sends: to whom, when, and in which order (UDA 2.0 clause 1.3)."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from types import TracebackType
from typing import Self

import anyio
import pytest

from portmapper import limits
from portmapper.errors import GatewayTimeout, GatewayUnreachable, ProtocolError
from portmapper.model import Gateway, IPAddress
from portmapper.testing import SimulatedGateway
from portmapper.upnp import search, ssdp
from portmapper.upnp.search import find_device
from tests.hostile.rude import an_answer
from tests.net.http_server import repeating, saying, serving

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("virtual_time")]

ROUTER, GROUP = IPv4Address("192.168.1.1"), IPv4Address("239.255.255.250")
ROUTER_6, GROUP_6 = IPv6Address("fe80::1%eth0"), IPv6Address("ff02::c")
GATEWAY = Gateway(address=ROUTER, source=IPv4Address("192.168.1.10"))
GATEWAY_6 = Gateway(address=ROUTER_6, source=IPv6Address("2001:db8::10"), interface="eth0")


@dataclass(frozen=True)
class Sent:
    time: float
    address: IPAddress
    port: int
    data: bytes

    @property
    def target(self) -> str:
        return ssdp.decode_search(self.data)

    def header(self, name: str) -> str | None:
        lines = dict(line.split(": ", 1) for line in self.data.decode().split("\r\n")[1:-2])
        return lines.get(name)


class Recorder:
    """Takes the place of the class of the socket, and of the socket: it keeps what is sent, and hears nothing."""

    def __init__(self, *unreachable: IPAddress) -> None:
        self.sent: list[Sent] = []
        self.ttls: list[int] = []
        self._unreachable = unreachable
        self._begin = 0.0

    def __call__(self, gateway: Gateway, *, ttl: int) -> Self:
        self.ttls.append(ttl)
        self._begin = anyio.current_time()
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        pass

    def send(self, data: bytes, address: IPAddress, port: int) -> None:
        if address in self._unreachable:
            raise GatewayUnreachable(f"no route to {address}")
        self.sent.append(Sent(anyio.current_time() - self._begin, address, port, data))

    async def receive(self) -> tuple[bytes, IPAddress]:
        await anyio.sleep_forever()
        raise AssertionError


async def searched(monkeypatch: pytest.MonkeyPatch, gateway: Gateway, *unreachable: IPAddress) -> list[Sent]:
    recorder = Recorder(*unreachable)
    monkeypatch.setattr(search, "MulticastSocket", recorder)
    with pytest.raises(GatewayTimeout, match="no UPnP gateway answered"):
        await find_device(gateway, timeout=limits.DISCOVERY)
    assert recorder.ttls == [limits.SSDP_TTL]
    return recorder.sent


def rounds(sent: list[Sent], address: IPAddress) -> dict[float, list[str]]:
    """Return the targets that were sent to an address, by the time of sending."""
    found: dict[float, list[str]] = {}
    for one in sent:
        if one.address == address:
            found.setdefault(round(one.time, 3), []).append(one.target)
    return found


@pytest.mark.conforms("UP-06", "UP-09", "Q-01", "Q-02", "Q-03", "Q-20")
@pytest.mark.parametrize("address", [ROUTER, GROUP], ids=["unicast", "multicast"])
async def test_three_rounds_by_type_and_the_last_also_for_everything(
    address: IPv4Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = rounds(await searched(monkeypatch, GATEWAY), address)
    assert list(asked) == list(limits.SEARCH_OFFSETS) == [0.0, 0.25, 0.75]
    first, second, third = asked.values()
    assert first == list(ssdp.TARGETS)
    assert sorted(second) == sorted(first)
    assert sorted(third[: len(first)]) == sorted(first)
    assert third[len(first) :] == ["upnp:rootdevice", "ssdp:all"]


@pytest.mark.conforms("Q-21")
@pytest.mark.parametrize(("gateway", "kinds"), [(GATEWAY, 3), (GATEWAY_6, 2)])
async def test_each_round_begins_with_another_type(
    gateway: Gateway, kinds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For devices that hear only the first of several searches."""
    asked = rounds(await searched(monkeypatch, gateway), gateway.address)
    assert len({targets[0] for targets in asked.values()}) == kinds


@pytest.mark.conforms("UP-01", "UP-02", "UP-03", "UP-04", "UP-12", "Q-11")
async def test_the_datagrams_byte_for_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    """To the group with MX, to the gateway with its own address as HOST and without."""
    sent = await searched(monkeypatch, GATEWAY)
    unicast = next(one for one in sent if one.address == ROUTER)
    multicast = next(one for one in sent if one.address == GROUP)
    target = "ST: urn:schemas-upnp-org:device:InternetGatewayDevice:2\r\n\r\n"
    assert unicast.data.decode() == (
        f'M-SEARCH * HTTP/1.1\r\nHOST: 192.168.1.1:1900\r\nMAN: "ssdp:discover"\r\n{target}'
    )
    assert multicast.data.decode() == (
        f'M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: "ssdp:discover"\r\nMX: 1\r\n{target}'
    )
    assert {one.port for one in sent} == {1900}


@pytest.mark.conforms("UP-04", "UP-10")
async def test_mx_is_kept_and_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """And then there is a margin."""
    sent = await searched(monkeypatch, GATEWAY)
    assert {one.header("MX") for one in sent if one.address == GROUP} == {str(limits.SEARCH_MX)}
    assert {one.header("MX") for one in sent if one.address == ROUTER} == {None}
    assert 1 <= limits.SEARCH_MX <= 5
    assert max(one.time for one in sent) + limits.SEARCH_MX < limits.DISCOVERY
    assert limits.OTHER_DEVICES > limits.SEARCH_MX


@pytest.mark.conforms("UP-30", "Q-08", "Q-09", "Q-53")
async def test_by_ipv6_the_hosts_are_in_brackets_and_nothing_else_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Version 1 does not exist there, and the zone of the gateway is nobody else's business."""
    sent = await searched(monkeypatch, GATEWAY_6)
    assert {(one.address, one.header("HOST"), one.header("MX")) for one in sent} == {
        (ROUTER_6, "[fe80::1]:1900", None),
        (GROUP_6, "[ff02::c]:1900", "1"),
    }
    assert {one.target for one in sent} == {*ssdp.TARGETS_6, *ssdp.LAST_RESORT}


@pytest.mark.conforms("Q-08")
async def test_a_gateway_is_searched_by_its_own_family_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert {one.address for one in await searched(monkeypatch, GATEWAY)} == {ROUTER, GROUP}


async def test_another_port_is_for_the_unicast_search_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulated gateways do not share port 1900."""
    gateway = Gateway(address=ROUTER, source=GATEWAY.source, ssdp_port=4711)
    sent = await searched(monkeypatch, gateway)
    assert {(one.address, one.port, one.header("HOST")) for one in sent} == {
        (ROUTER, 4711, "192.168.1.1:4711"),
        (GROUP, 1900, "239.255.255.250:1900"),
    }


@pytest.mark.conforms("Q-01", "Q-02")
@pytest.mark.parametrize("dead", [GROUP, ROUTER])
async def test_one_way_that_does_not_work_leaves_the_other(dead: IPv4Address, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = await searched(monkeypatch, GATEWAY, dead)
    assert {one.address for one in sent} == {GROUP, ROUTER} - {dead}
    assert len(rounds(sent, next(iter({GROUP, ROUTER} - {dead})))) == 3


async def test_where_nobody_can_be_asked_that_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    begin = anyio.current_time()
    monkeypatch.setattr(search, "MulticastSocket", Recorder(GROUP, ROUTER))
    with pytest.raises(GatewayUnreachable, match=r"no route to 192\.168\.1\.1"):
        await find_device(GATEWAY, timeout=limits.DISCOVERY)
    assert anyio.current_time() == begin


async def test_the_search_ends_after_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    begin = anyio.current_time()
    await searched(monkeypatch, GATEWAY)
    assert anyio.current_time() - begin == pytest.approx(limits.DISCOVERY)


# --- What is said when nothing usable came


class Pointing(SimulatedGateway):
    """Answers a search with the place of another server."""

    location = ""

    def answer_search(self, data: bytes) -> list[bytes]:
        return [an_answer(self.location)]


async def test_a_device_that_does_not_come_to_the_end_of_its_description_is_named() -> None:
    """It is there, so "nobody answered" would be wrong."""
    drip = repeating(b"HTTP/1.1 200 OK\r\n\r\n<root>", b" ", every=0.1)
    async with serving(drip) as server, Pointing(pcp=False, natpmp=False) as gateway:
        gateway.location = server.url
        begin = anyio.current_time()
        with pytest.raises(GatewayTimeout) as caught:
            await find_device(gateway.gateway, timeout=limits.DISCOVERY)
        assert str(caught.value) == "the UPnP device at 127.0.0.1 did not describe itself in time"
        assert anyio.current_time() - begin == pytest.approx(limits.HTTP_EXCHANGE, abs=0.02)


async def test_the_reason_of_the_last_device_that_was_looked_at_is_said() -> None:
    """What was of no use is not forgotten while another is waited for."""
    async with (
        serving(saying(b"HTTP/1.1 404 Not Found\r\n\r\n")) as server,
        Pointing(pcp=False, natpmp=False) as gateway,
    ):
        gateway.location = server.url
        with pytest.raises(ProtocolError, match="status 404"):
            await find_device(gateway.gateway, timeout=limits.DISCOVERY)
