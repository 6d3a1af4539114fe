"""F24, F30: whatever code a gateway refuses with, there is one typed error, asked for once, and what is held stays."""

import anyio
import pytest

from portmapper import (
    Mapping,
    MappingState,
    NoService,
    PortMapper,
    PortMapperError,
    RequestRefused,
    UnsupportedVersion,
    limits,
)
from portmapper.model import IPAddress
from portmapper.pcp.results import Result
from portmapper.testing import IgdSwitches, SimulatedGateway, gateway
from tests.faults.refusing import asks_to_map, refusal_of

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("virtual_time")]

HOUR = 3600
NOT_HELD = 30
UNSUPPORTED_VERSION = 1
NATPMP_CODES = (*range(1, 32), 255, 256, 257, 2**15, 2**16 - 1)
UPNP_CODES = (401, 402, *range(500, 900, 42), 606, 714, 715, 726, 727, 728, 729, 732, 733)


class Refusing(SimulatedGateway):
    """Refuses mappings with `code`, by PCP for `lifetime` seconds."""

    code = 0
    lifetime = 0
    asked = 0

    def answer_datagram(self, data: bytes, sender: IPAddress) -> list[bytes]:
        if not self.code or not asks_to_map(data):
            return super().answer_datagram(data, sender)
        self.asked += 1
        return [refusal_of(data, self.code, lifetime=self.lifetime, epoch=self.epoch)]


async def refused_new(mapper: PortMapper, backend: str, port: int) -> PortMapperError:
    with pytest.raises(NoService) as caught:
        await mapper.map(port)
    return caught.value.reasons[backend]


async def refused_again(held: Mapping) -> PortMapperError:
    with pytest.raises(PortMapperError) as caught:
        await held.refresh()
    assert held.state is MappingState.MAPPED
    return caught.value


@pytest.mark.conforms("F24", "PC-50", "PC-64")
@pytest.mark.parametrize(("lifetime", "codes"), [(0, range(2, 256)), (60, range(2, 32))])
async def test_each_code_of_pcp(lifetime: int, codes: range) -> None:
    """The lifetime of the error is told; 0 says nothing."""
    async with Refusing() as simulated:
        for code in codes:
            simulated.code = 0
            async with PortMapper(gateway=simulated.gateway, backends=["pcp"]) as mapper:
                held = await mapper.map(4001)
                simulated.code, simulated.lifetime, simulated.asked = code, lifetime, 0
                for problem in (await refused_again(held), await refused_new(mapper, "pcp", 4002)):
                    assert type(problem) is RequestRefused
                    assert problem.code == code
                    assert problem.name == (Result(code).name if code in set(Result) else f"RESULT_{code}")
                    assert (problem.retry_after or 0) == pytest.approx(lifetime, abs=0.1)
                assert simulated.asked == (1 if code == Result.NO_RESOURCES and lifetime else 2)
                simulated.code = 0
            assert not list(simulated.table)


@pytest.mark.conforms("F24", "NP-48", "NP-49", "NP-50")
async def test_codes_of_natpmp() -> None:
    async with Refusing() as simulated:
        for code in NATPMP_CODES:
            simulated.code = 0
            async with PortMapper(gateway=simulated.gateway, backends=["natpmp"]) as mapper:
                held = await mapper.map(4001)
                simulated.code, simulated.asked = code, 0
                if code == UNSUPPORTED_VERSION:
                    assert type(await refused_new(mapper, "natpmp", 4002)) is UnsupportedVersion
                else:
                    for problem in (await refused_again(held), await refused_new(mapper, "natpmp", 4002)):
                        assert type(problem) is RequestRefused
                        assert (problem.code, problem.retry_after) == (code, None)
                    assert simulated.asked == 2
                simulated.code = 0


@pytest.mark.conforms("F24")
@pytest.mark.parametrize("codes", [UPNP_CODES, (0, -911, 99999)], ids=["of the standards", "of nobody"])
async def test_codes_of_upnp(codes: tuple[int, ...]) -> None:
    """Those that make us ask in another form too, as long as that is refused as well."""
    refuses: dict[str, int] = {}
    async with SimulatedGateway(igd=IgdSwitches(refuses=refuses)) as simulated:
        for code in codes:
            refuses.clear()
            async with PortMapper(gateway=simulated.gateway, backends=["upnp"]) as mapper:
                held = await mapper.map(4001)
                refuses.update(AddPortMapping=code, AddAnyPortMapping=code)
                for problem in (await refused_again(held), await refused_new(mapper, "upnp", 4002)):
                    assert isinstance(problem, RequestRefused), code
                    assert problem.code == code
            assert not list(simulated.table)


@pytest.mark.conforms("F30")
@pytest.mark.parametrize(
    ("code", "says"),
    [
        (Result.ADDRESS_MISMATCH, "there is another router between this host and the gateway"),
        (Result.CANNOT_PROVIDE_EXTERNAL, "the gateway cannot give the external port that was asked for"),
    ],
)
@pytest.mark.parametrize("lifetime", [0, 1, 1800])
async def test_what_a_carriers_nat_refuses_is_said_plainly_and_asked_for_seldom(
    code: Result, says: str, lifetime: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """miniupnpd says 0 of how long ADDRESS_MISMATCH holds, the RFC half an hour: never sooner than that, or 30 s."""
    monkeypatch.setattr(gateway, "_TICK", 300)
    async with Refusing() as simulated, PortMapper(gateway=simulated.gateway, backends=["pcp"]) as mapper:
        held = await mapper.map(4001, lifetime=600)
        simulated.code, simulated.lifetime = code, lifetime
        assert says in str(await refused_new(mapper, "pcp", 4002))
        await anyio.sleep(600)
        assert held.state is MappingState.LOST
        assert says in str(held.problem)
        simulated.asked = 0
        await anyio.sleep(HOUR)
        least = max(lifetime, limits.RETRY_FIRST) * (1 - limits.RETRY_JITTER)
        assert 1 <= simulated.asked <= HOUR / least + 1
