"""What is remembered of the mappings that were made on a device, and when it is forgotten."""

from ipaddress import IPv4Address
from typing import Any

import anyio
import pytest

from portmapper import limits
from portmapper.backend import BackendOptions
from portmapper.errors import MappingGone, RequestRefused
from portmapper.model import Endpoint, Lease, MappingRequest, Protocol
from portmapper.testing import SimulatedGateway
from portmapper.testing.igd_switches import IgdSwitches
from portmapper.upnp.backend import UpnpBackend
from portmapper.upnp.recent import Recent

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("virtual_time")]


def igd(**switches: Any) -> SimulatedGateway:
    return SimulatedGateway(pcp=False, natpmp=False, igd=IgdSwitches(**switches))


async def opened(simulated: SimulatedGateway) -> tuple[UpnpBackend, BackendOptions]:
    options = BackendOptions(timeout=2, key=bytes(32))
    return await UpnpBackend.open(simulated.gateway, options), options


def remembered(options: BackendOptions) -> list[int]:
    return [port for (port, _, _), _ in options.memory["upnp"].made]


async def test_of_more_than_256_the_oldest_are_forgotten() -> None:
    recent = Recent[int, str]()
    for key in range(limits.REMEMBERED):
        recent.note(key, "first")
    assert 0 in recent
    recent.note(0, "again")
    recent.note(limits.REMEMBERED, "one more")
    assert 1 not in recent
    assert (0 in recent, len(list(recent)), list(recent)[-1]) == (True, limits.REMEMBERED, (256, "one more"))


async def test_so_many_mappings_are_remembered_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "REMEMBERED", 3)
    async with igd() as simulated:
        backend, options = await opened(simulated)
        for port in range(4001, 4006):
            await backend.map(MappingRequest(protocol=Protocol.TCP, internal_port=port))
        assert remembered(options) == [4003, 4004, 4005]


async def test_a_mapping_that_is_gone_is_forgotten() -> None:
    async with igd() as simulated:
        backend, options = await opened(simulated)
        request = MappingRequest(protocol=Protocol.TCP, internal_port=4001)
        lease = await backend.map(request)
        assert remembered(options) == [4001]
        next(iter(simulated.table)).internal = Endpoint(IPv4Address("127.0.0.9"), 7)
        with pytest.raises(MappingGone, match="leads to"):
            await backend.map(request, renew=lease)
        assert remembered(options) == []


async def test_of_pinholes_too_so_many_are_remembered_and_none_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that was forgotten is not asked for; of those that are gone the loss is said once."""
    monkeypatch.setattr(limits, "REMEMBERED", 3)
    lost: list[str] = []
    async with SimulatedGateway(pcp=False, natpmp=False, ipv6=True) as simulated:
        options = BackendOptions(timeout=2, key=bytes(32), state_lost=lambda: lost.append("lost"))
        backend = await UpnpBackend.open(simulated.gateway, options)
        for port in range(4001, 4006):
            await backend.map(MappingRequest(protocol=Protocol.TCP, internal_port=port))
        simulated.calls.clear()
        await backend.check()
        assert [call.name for call in simulated.calls] == ["GetPinholePackets"] * 3
        simulated.pinholes.clear()
        for _ in range(5):
            await backend.check()
        assert lost == ["lost"] * 3


class AddsOnce(SimulatedGateway):
    """Deletes mappings and makes them no more; it never lengthens a lease (quirk 72)."""

    def answer_http(self, method: str, path: str, body: bytes, sender: Any) -> tuple[int, bytes]:
        if b"<u:AddPortMapping " in body and any(call.name == "DeletePortMapping" for call in self.calls):
            return 500, _REFUSED
        return super().answer_http(method, path, body, sender)


_REFUSED = (
    b"<s:Envelope xmlns:s='http://schemas.xmlsoap.org/soap/envelope/'><s:Body><s:Fault><detail><UPnPError><errorCode>"
    b"728</errorCode></UPnPError></detail></s:Fault></s:Body></s:Envelope>"
)


async def test_a_mapping_that_was_deleted_to_be_renewed_and_is_not_made_again_is_gone() -> None:
    """Nobody may go on believing in its lease."""
    async with AddsOnce(pcp=False, natpmp=False, igd=IgdSwitches(keeps_first_lease=True)) as simulated:
        backend, options = await opened(simulated)
        request = MappingRequest(protocol=Protocol.TCP, internal_port=4001, lifetime=600)
        lease = await backend.map(request)
        entry = next(iter(simulated.table))
        entry.ends -= 300
        with pytest.raises(MappingGone, match="728") as caught:
            await backend.map(request, renew=lease)
        assert isinstance(caught.value.__cause__, RequestRefused)
        assert list(simulated.table) == []
        assert remembered(options) == []


async def test_a_cancellation_does_not_come_between_the_delete_and_the_new_mapping() -> None:
    async with igd(keeps_first_lease=True, soap_delay=0.1) as simulated:
        backend, _ = await opened(simulated)
        request = MappingRequest(protocol=Protocol.TCP, internal_port=4001, lifetime=600)
        lease = await backend.map(request)
        next(iter(simulated.table)).ends -= 300
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_renew, backend, request, lease)
                while not any(call.name == "DeletePortMapping" for call in simulated.calls):
                    await anyio.sleep(0.01)
                scope.cancel()
        (entry,) = simulated.table
        assert entry.ends > anyio.current_time() + 590


async def _renew(backend: UpnpBackend, request: MappingRequest, lease: Lease) -> None:
    await backend.map(request, renew=lease)
