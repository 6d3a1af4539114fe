"""A gateway that forgets: found by the epoch of any answer; an announcement only makes us ask."""

import random
import socket
from ipaddress import IPv4Address

import anyio
import pytest

from portmapper import PortMapper, limits
from portmapper.announcements import is_announcement
from portmapper.model import IPAddress, MappingState
from portmapper.net.multicast import GroupSocket
from portmapper.testing import SimulatedGateway
from portmapper.testing.igd_switches import IgdSwitches
from tests.announcing import ANNOUNCEMENTS, announce

pytestmark = pytest.mark.anyio
virtual = pytest.mark.usefixtures("virtual_time")

ROUND = limits.RECOVERY_WAIT + 1
"""Long enough for everything to be renewed."""


class Aged(SimulatedGateway):
    """Has been up for long, and forgets when told to."""

    uptime = 100_000

    @property
    def epoch(self) -> int:
        return self.uptime + super().epoch

    def forget(self) -> None:
        self.reboot()
        self.uptime = 0


class Timed(Aged):
    """Notes when it is asked for a mapping."""

    def __init__(self) -> None:
        super().__init__()
        self.times: list[float] = []

    def answer_datagram(self, data: bytes, sender: IPAddress) -> list[bytes]:
        if data[1] > 0:
            self.times.append(anyio.current_time())
        return super().answer_datagram(data, sender)


@virtual
@pytest.mark.conforms("F1", "NP-58", "NP-64", "PC-77")
@pytest.mark.parametrize("backend", list(ANNOUNCEMENTS))
async def test_a_loss_seen_in_one_answer_brings_back_all(backend: str) -> None:
    """Here the answer is the renewal of one of three."""
    async with Aged() as simulated, PortMapper(gateway=simulated.gateway, backends=[backend]) as mapper:
        mappings = [await mapper.map(port, external_port=port + 17000) for port in (4001, 4002, 4003)]
        simulated.forget()
        await mappings[0].refresh()
        await anyio.sleep(ROUND)
        assert sorted(entry.external_port for entry in simulated.table) == [21001, 21002, 21003]


@virtual
@pytest.mark.conforms("F61", "NP-59", "PC-151")
@pytest.mark.parametrize("backend", list(ANNOUNCEMENTS))
@pytest.mark.parametrize("dice", [0.0, 0.5, 0.99])
async def test_recovery_begins_after_a_random_wait_of_up_to_1_s(
    backend: str, dice: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(random, "random", lambda: dice)
    async with Timed() as simulated, PortMapper(gateway=simulated.gateway, backends=[backend]) as mapper:
        await mapper.map(4001)
        simulated.forget()
        begin = anyio.current_time()
        simulated.times.clear()
        announce(simulated, ANNOUNCEMENTS[backend])
        await anyio.sleep(ROUND)
        assert simulated.times[0] - begin == pytest.approx(dice, abs=0.02)


@virtual
@pytest.mark.conforms("F1", "NP-61", "PC-151")
@pytest.mark.parametrize("backend", list(ANNOUNCEMENTS))
async def test_recovery_asks_for_the_port_that_was_held(backend: str) -> None:
    """Not for the one that was wished: that was taken, and is free by now."""
    async with Aged() as simulated, PortMapper(gateway=simulated.gateway, backends=[backend]) as mapper:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            wish = taken.getsockname()[1]
            mapping = await mapper.map(4001, external_port=wish)
        held = mapping.external_port
        assert held != wish
        simulated.forget()
        announce(simulated, ANNOUNCEMENTS[backend])
        await anyio.sleep(ROUND)
        assert [entry.external_port for entry in simulated.table] == [held]


@virtual
@pytest.mark.conforms("NP-69", "PC-151")
@pytest.mark.parametrize("backend", list(ANNOUNCEMENTS))
async def test_an_announcement_makes_us_ask_and_the_answer_decides(backend: str) -> None:
    """S38: with a loss behind it everything is made again."""
    async with Aged() as simulated, PortMapper(gateway=simulated.gateway, backends=[backend]) as mapper:
        await mapper.map(4001, external_port=21001)
        simulated.forget()
        announce(simulated, ANNOUNCEMENTS[backend])
        await anyio.sleep(ROUND)
        assert [entry.external_port for entry in simulated.table] == [21001]


@virtual
@pytest.mark.conforms("NP-63")
@pytest.mark.parametrize("backend", list(ANNOUNCEMENTS))
async def test_the_ten_announcements_of_one_reboot_start_one_recovery(backend: str) -> None:
    """At the times of RFC 6886 section 3.2.1."""
    async with Timed() as simulated, PortMapper(gateway=simulated.gateway, backends=[backend]) as mapper:
        for port in (4001, 4002, 4003):
            await mapper.map(port)
        simulated.forget()
        simulated.times.clear()
        for wait in (0.25 * 2**k for k in range(10)):
            announce(simulated, ANNOUNCEMENTS[backend])
            await anyio.sleep(wait)
        assert len(simulated.times) == 3


@virtual
@pytest.mark.conforms("NP-81", "PC-152")
async def test_a_forged_announcement_renews_nothing_and_many_cost_a_question_each_gap() -> None:
    """S38: the gateway has lost nothing, so nothing but questions is sent."""
    async with Aged() as simulated, PortMapper(gateway=simulated.gateway, backends=["pcp"]) as mapper:
        await mapper.map(4001)
        simulated.datagrams.clear()
        for _ in range(200):
            announce(simulated, ANNOUNCEMENTS["pcp"])
        await anyio.sleep(9.5 * limits.CHECK_GAP)
        assert len(simulated.datagrams) == 10
        assert {data[1] for data in simulated.datagrams} == {0}


@virtual
@pytest.mark.parametrize(
    ("host", "same_port"),
    [
        pytest.param("127.0.0.1", False, marks=pytest.mark.conforms("PC-150"), id="other port"),
        pytest.param("127.0.0.2", True, marks=pytest.mark.conforms("NP-68", "PC-150"), id="other address"),
    ],
)
async def test_announcements_from_elsewhere_are_not_heard(host: str, same_port: bool) -> None:
    """The right bytes, from another port of the gateway or from the same port of another host."""
    async with Aged() as simulated, PortMapper(gateway=simulated.gateway, backends=["pcp"]) as mapper:
        await mapper.map(4001)
        simulated.datagrams.clear()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind((host, simulated.gateway.port if same_port else 0))
            other.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, simulated.gateway.address.packed)
            other.sendto(ANNOUNCEMENTS["pcp"], (limits.ALL_HOSTS, limits.ANNOUNCEMENT_PORT))
            await anyio.sleep(ROUND)
        assert simulated.datagrams == []


@virtual
async def test_a_taken_port_does_not_stop_the_mapper(monkeypatch: pytest.MonkeyPatch) -> None:
    """Quirk 87: another program holds 5350 for itself."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind((limits.ALL_HOSTS, 0))
        monkeypatch.setattr(limits, "ANNOUNCEMENT_PORT", other.getsockname()[1])
        async with SimulatedGateway() as simulated, PortMapper(gateway=simulated.gateway) as mapper:
            assert (await mapper.map(4001)).external is not None


@virtual
@pytest.mark.conforms("NP-65", "NP-66", "PC-149")
async def test_two_listeners_on_one_host_both_hear() -> None:
    async with SimulatedGateway() as simulated:
        gateway, group = simulated.gateway, IPv4Address(limits.ALL_HOSTS)
        with GroupSocket(group, limits.ANNOUNCEMENT_PORT, gateway) as one:
            with GroupSocket(group, limits.ANNOUNCEMENT_PORT, gateway) as two:
                announce(simulated, b"hear")
                with anyio.fail_after(2):
                    for listener in (one, two):
                        await listener.wait()
                        heard = listener.poll()
                        assert heard is not None
                        assert (heard[0], str(heard[1]), heard[2]) == (b"hear", "127.0.0.1", gateway.port)


@pytest.mark.conforms("NP-67", "PC-156")
@pytest.mark.parametrize(
    ("data", "expected"),
    [(ANNOUNCEMENTS["pcp"], True), (ANNOUNCEMENTS["natpmp"], True), (b"", False), (b"\0\0", False),
     (bytes.fromhex("0081000000000003" + "0fa10fa100001c20"), False), (b"\2\0" + bytes(22), False)],
)  # fmt: skip
def test_what_an_announcement_is(data: bytes, expected: bool) -> None:
    assert is_announcement(data) is expected


@virtual
@pytest.mark.parametrize("seconds", [0.1, 0.6])
async def test_announcements_that_do_not_end_keep_nothing_from_being_found_on_a_slow_device(seconds: float) -> None:
    """Anybody can send one a second. Each was asked about, and stopped the search that the one before had begun."""

    class UpnpAlone(SimulatedGateway):
        silent = False

        def answer_datagram(self, data: bytes, sender: IPAddress) -> list[bytes]:
            return []

        def answer_search(self, data: bytes) -> list[bytes]:
            return [] if self.silent else super().answer_search(data)

        def answer_http(self, method: str, path: str, body: bytes, sender: IPAddress) -> tuple[int, bytes]:
            return (503, b"") if self.silent else super().answer_http(method, path, body, sender)

    async with UpnpAlone(igd=IgdSwitches(http_delay=seconds)) as simulated:
        async with PortMapper(gateway=simulated.gateway) as mapper:
            mapping = await mapper.map(4001, external_port=21001, lifetime=60)
            simulated.silent = True
            await anyio.sleep(400)
            assert mapping.state is MappingState.LOST
            simulated.silent = False
            for _ in range(12):
                announce(simulated, ANNOUNCEMENTS["pcp"])
                await anyio.sleep(1)
            assert mapping.external_port == 21001
