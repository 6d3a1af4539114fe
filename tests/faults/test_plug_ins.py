"""F54: a plug-in that hangs or has a bug, beside another protocol."""

from typing import ClassVar

import anyio
import pytest

from portmapper import GatewayTimeout, MappingState, NoService, PortMapper, limits
from portmapper.model import Lease, MappingRequest
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
