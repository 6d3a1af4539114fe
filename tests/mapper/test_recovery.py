"""A gateway that forgets: found by the epoch of any answer; an announcement only makes us ask."""

import socket
from ipaddress import IPv4Address

import anyio
import pytest

from portmapper import PortMapper, limits
from portmapper.announcements import is_announcement
from portmapper.net.multicast import GroupSocket
from portmapper.testing import SimulatedGateway

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "RECOVERY_WAIT", 0.2)
    monkeypatch.setattr(limits, "RECOVERY_GAP", 0.5)
    monkeypatch.setattr(limits, "CHECK_GAP", 0.1)


class Aged(SimulatedGateway):
    """Has been up for long, and forgets when told to."""

    uptime = 100_000

    @property
    def epoch(self) -> int:
        return self.uptime

    def forget(self) -> None:
        self.table.clear()
        self.uptime = 0


def announce(simulated: SimulatedGateway, data: bytes) -> None:
    """Send `data` to the group from the gateway's own address and port."""
    sender = simulated.control_socket
    sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, simulated.gateway.address.packed)
    sender.sendto(data, (limits.ALL_HOSTS, limits.ANNOUNCEMENT_PORT))


ANNOUNCEMENTS = {
    "pcp": bytes.fromhex("028000000000000000000002" + 24 * "0"),
    "natpmp": bytes.fromhex("00800000000000037f000001"),
}


@pytest.mark.parametrize("backend", list(ANNOUNCEMENTS))
async def test_a_loss_seen_in_one_answer_brings_back_all(backend: str) -> None:
    """NP-58, PC-77: here the answer is the renewal of one of three."""
    async with Aged() as simulated, PortMapper(gateway=simulated.gateway, backends=[backend]) as mapper:
        mappings = [await mapper.map(port, external_port=port + 37000) for port in (4001, 4002, 4003)]
        simulated.forget()
        await mappings[0].refresh()
        await anyio.sleep(0.5)
        assert sorted(entry.external_port for entry in simulated.table) == [41001, 41002, 41003]


@pytest.mark.parametrize("backend", list(ANNOUNCEMENTS))
async def test_an_announcement_makes_us_ask_and_the_answer_decides(backend: str) -> None:
    """S38, PC-151: with a loss behind it everything is made again."""
    async with Aged() as simulated, PortMapper(gateway=simulated.gateway, backends=[backend]) as mapper:
        await mapper.map(4001, external_port=41001)
        simulated.forget()
        announce(simulated, ANNOUNCEMENTS[backend])
        with anyio.fail_after(3):
            while not list(simulated.table):
                await anyio.sleep(0.05)
        assert [entry.external_port for entry in simulated.table] == [41001]


async def test_a_forged_announcement_renews_nothing_and_many_cost_a_question_each_gap() -> None:
    """S38, NP-81: the gateway has lost nothing, so nothing but questions is sent."""
    async with Aged() as simulated, PortMapper(gateway=simulated.gateway, backends=["pcp"]) as mapper:
        await mapper.map(4001)
        simulated.datagrams.clear()
        for _ in range(200):
            announce(simulated, ANNOUNCEMENTS["pcp"])
        await anyio.sleep(0.55)
        assert 1 <= len(simulated.datagrams) <= 7
        assert {data[1] for data in simulated.datagrams} == {0}


async def test_announcements_from_elsewhere_are_not_heard() -> None:
    """NP-68, PC-150: the right bytes from another port of the gateway."""
    async with Aged() as simulated, PortMapper(gateway=simulated.gateway, backends=["pcp"]) as mapper:
        await mapper.map(4001)
        simulated.datagrams.clear()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind(("127.0.0.1", 0))
            other.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, simulated.gateway.address.packed)
            other.sendto(ANNOUNCEMENTS["pcp"], (limits.ALL_HOSTS, limits.ANNOUNCEMENT_PORT))
        await anyio.sleep(0.3)
        assert simulated.datagrams == []


async def test_a_taken_port_does_not_stop_the_mapper() -> None:
    """Quirk 87: another program holds 5350 for itself."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("224.0.0.1", limits.ANNOUNCEMENT_PORT))
        async with SimulatedGateway() as simulated, PortMapper(gateway=simulated.gateway) as mapper:
            assert (await mapper.map(4001)).external is not None


async def test_two_listeners_on_one_host_both_hear() -> None:
    """NP-65, NP-66, PC-149."""
    async with SimulatedGateway() as simulated:
        gateway, group = simulated.gateway, IPv4Address(limits.ALL_HOSTS)
        with GroupSocket(group, limits.ANNOUNCEMENT_PORT, gateway) as one:
            with GroupSocket(group, limits.ANNOUNCEMENT_PORT, gateway) as two:
                announce(simulated, b"hear")
                with anyio.fail_after(2):
                    for listener in (one, two):
                        data, sender, port = await listener.receive()
                        assert (data, str(sender), port) == (b"hear", "127.0.0.1", gateway.port)


@pytest.mark.parametrize(
    ("data", "expected"),
    [(ANNOUNCEMENTS["pcp"], True), (ANNOUNCEMENTS["natpmp"], True), (b"", False), (b"\0\0", False),
     (bytes.fromhex("0081000000000003" + "0fa10fa100001c20"), False), (b"\2\0" + bytes(22), False)],
)  # fmt: skip
def test_what_an_announcement_is(data: bytes, expected: bool) -> None:
    """NP-67, PC-156."""
    assert is_announcement(data) is expected
