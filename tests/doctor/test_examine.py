"""The examination on a simulated gateway: what is sent, what stays, and how long it may take."""

from collections.abc import AsyncIterator
from ipaddress import IPv4Address
from pathlib import Path

import anyio
import pytest

from portmapper import PortMapper, limits
from portmapper.doctor.examine import examine
from portmapper.doctor.findings import Firewall, Network, Outcome
from portmapper.doctor.verdict import verdict
from portmapper.errors import UnknownBackend
from portmapper.model import Gateway, IPAddress, MappingRequest, Protocol
from portmapper.net import clock
from portmapper.pcp import wire as pcp
from portmapper.testing import SimulatedGateway
from portmapper.testing.igd_switches import IgdSwitches

pytestmark = pytest.mark.anyio
REQUEST = MappingRequest(protocol=Protocol.TCP, internal_port=18080)


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave this machine's own network and firewall out."""

    async def no_firewall() -> Firewall:
        return Firewall()

    monkeypatch.setattr("portmapper.doctor.host.network", lambda _: Network())
    monkeypatch.setattr("portmapper.doctor.firewall.look", no_firewall)


@pytest.fixture
async def simulated(virtual_time: None) -> AsyncIterator[SimulatedGateway]:
    async with SimulatedGateway() as gateway:
        yield gateway


async def test_without_a_port_only_questions_are_sent(simulated: SimulatedGateway) -> None:
    findings = await examine(gateway=simulated.gateway)
    assert {call.name[:3] for call in simulated.calls} == {"Get"}
    asked = [pcp.decode_request(data) for data in simulated.datagrams if data[0] == pcp.VERSION]
    assert [type(one) for one in asked] == [pcp.AnnounceRequest]
    assert [data for data in simulated.datagrams if data[0] != pcp.VERSION] == [b"\0\0"]
    assert verdict(findings).code == "ok"


async def test_the_bytes_of_both_first_exchanges_are_kept(simulated: SimulatedGateway) -> None:
    findings = await examine(gateway=simulated.gateway)
    assert findings.first is not None
    by_name = {one.backend: one for one in findings.first.questions}
    assert by_name["natpmp"].sent == b"\0\0"
    assert by_name["natpmp"].received[:4] == b"\0\x80\0\0"
    assert by_name["natpmp"].received[8:] == bytes([127, 0, 0, 1])
    assert by_name["pcp"].received[:4] == b"\2\x80\0\0"
    assert {one.outcome for one in by_name.values()} == {Outcome.ANSWERED}
    assert by_name["pcp"].seconds < limits.DISCOVERY


async def test_a_trial_is_made_by_each_protocol_and_nothing_stays(simulated: SimulatedGateway) -> None:
    findings = await examine(gateway=simulated.gateway, request=REQUEST)
    assert findings.port is not None
    trials = findings.port.trials
    assert [(one.backend, one.granted, one.shown, one.left) for one in trials] == [
        (name, True, True, "") for name in ("pcp", "natpmp", "upnp")
    ]
    assert list(simulated.table) == []


async def test_only_the_backends_that_are_named_are_asked(simulated: SimulatedGateway) -> None:
    findings = await examine(gateway=simulated.gateway, backends=["natpmp"], request=REQUEST)
    assert findings.port is not None
    assert [one.backend for one in findings.port.trials] == ["natpmp"]
    assert (simulated.searches, simulated.requests) == ([], [])
    with pytest.raises(UnknownBackend):
        await examine(gateway=simulated.gateway, backends=["carrier-pigeon"])


class Impatient(SimulatedGateway):
    """Its user gives up as soon as it has granted something, before the answer is on its way."""

    scope: anyio.CancelScope

    def answer_datagram(self, data: bytes, sender: IPAddress) -> list[bytes]:
        answers = super().answer_datagram(data, sender)
        if list(self.table):
            self.scope.cancel()
        return answers


@pytest.mark.parametrize("backend", ["pcp", "natpmp"])
async def test_a_cancelled_trial_leaves_nothing(backend: str) -> None:
    async with Impatient(upnp=False) as simulated:
        with anyio.CancelScope() as simulated.scope:
            await examine(gateway=simulated.gateway, backends=[backend], request=REQUEST)
        assert simulated.scope.cancelled_caught
        assert list(simulated.table) == []


async def test_what_another_program_holds_is_not_touched(tmp_path: Path) -> None:
    async with (
        SimulatedGateway(upnp=False) as simulated,
        PortMapper(gateway=simulated.gateway, backends=["pcp"], state=tmp_path, check=None) as mapper,
    ):
        mapping = await mapper.map(18080)
        findings = await examine(gateway=simulated.gateway, backends=["pcp"], request=REQUEST, state=tmp_path)
        assert findings.port is not None
        assert [one.note.external for one in findings.port.noted] == [mapping.external]
        assert findings.port.trials == ()
        assert len(list(simulated.table)) == 1


async def test_a_device_that_never_answers_is_given_up(virtual_time: None) -> None:
    async with SimulatedGateway(pcp=False, natpmp=False, igd=IgdSwitches(http_delay=3600)) as simulated:
        begin = clock.now()
        findings = await examine(gateway=simulated.gateway)
        assert clock.now() - begin < 6
    assert findings.first is not None
    assert "did not" in findings.first.devices[0].problem
    assert verdict(findings).code == "bad-description"


async def test_a_gateway_that_is_not_there_takes_no_longer_than_a_search(virtual_time: None) -> None:
    silent = Gateway(address=IPv4Address("127.0.0.9"), source=IPv4Address("127.0.0.1"), port=9, ssdp_port=9)
    begin = clock.now()
    findings = await examine(gateway=silent)
    assert clock.now() - begin < 3
    assert verdict(findings).code == "services-off"
