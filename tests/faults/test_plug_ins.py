"""F54: a plug-in that hangs or has a bug, beside another protocol."""

from typing import ClassVar

import anyio
import pytest

from portmapper import GatewayTimeout, MappingState, NoService, PortMapper, limits
from portmapper.backend import Backend, BackendOptions
from portmapper.model import Gateway, Lease, MappingRequest
from portmapper.pcp.backend import PcpBackend
from portmapper.registry import Candidate
from portmapper.testing import SimulatedGateway

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("virtual_time")]


class PlugIn(PcpBackend):
    """Speaks PCP well until it hangs, or meets its bug."""

    name: ClassVar[str] = "plug-in"
    hangs: ClassVar[bool] = False
    has_bug: ClassVar[bool] = False

    async def map(self, request: MappingRequest, *, renew: Lease | None = None) -> Lease:
        if self.has_bug:
            raise ZeroDivisionError
        if self.hangs:
            await anyio.sleep_forever()
        return await super().map(request, renew=renew)


@pytest.fixture
def plug_in(monkeypatch: pytest.MonkeyPatch) -> type[PlugIn]:
    class Fresh(PlugIn):
        pass

    monkeypatch.setattr("portmapper.registry._plugins", lambda: (Candidate("plug-in", lambda: Fresh),))
    return Fresh


def open_mapper(simulated: SimulatedGateway) -> PortMapper:
    return PortMapper(gateway=simulated.gateway, backends=["plug-in", "upnp"])


@pytest.mark.conforms("F54")
async def test_one_that_hangs_when_it_is_asked_ends_in_an_error(plug_in: type[PlugIn]) -> None:
    """Whether it has asked for something is not known, so nobody else is asked meanwhile."""
    async with SimulatedGateway() as simulated, open_mapper(simulated) as mapper:
        plug_in.hangs = True
        begin = anyio.current_time()
        with pytest.raises(NoService, match="did not come to an answer within 30 s"):
            await mapper.map(4001)
        assert anyio.current_time() - begin <= limits.OBTAIN + 2 * limits.GRACE
        assert list(simulated.table) == []


@pytest.mark.conforms("F54")
async def test_one_that_hangs_in_a_renewal_loses_its_own_lease_only(plug_in: type[PlugIn]) -> None:
    async with SimulatedGateway() as simulated:
        async with (
            PortMapper(gateway=simulated.gateway, backends=["upnp"]) as other,
            open_mapper(simulated) as mapper,
        ):
            theirs, held = await other.map(4002, lifetime=600), await mapper.map(4001, lifetime=600)
            plug_in.hangs = True
            await anyio.sleep(590)
            assert held.state is MappingState.MAPPED
            assert isinstance(held.problem, GatewayTimeout)
            await anyio.sleep(20)
            assert held.external is None
            plug_in.hangs = False
            await anyio.sleep(limits.OBTAIN + limits.PATIENT_DISCOVERY + limits.RETRY_FIRST * 2)
            assert held.external is not None
            assert theirs.state is MappingState.MAPPED
        assert list(simulated.table) == []


@pytest.mark.conforms("F54")
async def test_a_bug_in_a_renewal_comes_out_and_what_was_held_is_given_back(plug_in: type[PlugIn]) -> None:
    async with SimulatedGateway() as simulated:
        with pytest.raises(BaseExceptionGroup) as caught:
            async with open_mapper(simulated) as mapper:
                await mapper.map(4001, lifetime=600)
                plug_in.has_bug = True
                await anyio.sleep(400)
        assert caught.group_contains(ZeroDivisionError)
        assert list(simulated.table) == []


async def test_each_time_a_mapping_is_lost_and_found_the_one_that_gave_it_before_is_closed(
    plug_in: type[PlugIn], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lease of 3 s ends before it is asked for again, and then by another search."""
    alive: list[Backend] = []
    opened = 0

    async def open_counted(gateway: Gateway, options: BackendOptions) -> Backend:
        nonlocal opened
        opened += 1
        alive.append(await PlugIn.open(gateway, options))
        return alive[-1]

    async def close(self: Backend) -> None:
        alive.remove(self)

    monkeypatch.setattr(plug_in, "open", open_counted)
    monkeypatch.setattr(PlugIn, "close", close)
    async with SimulatedGateway(max_lifetime=3) as simulated, open_mapper(simulated) as mapper:
        mapping = await mapper.map(4001)
        await anyio.sleep(3600)
        assert opened > 500
        assert len(alive) <= 3
        assert mapping.backend in alive
    assert alive == []
