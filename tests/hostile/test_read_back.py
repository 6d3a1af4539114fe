"""Devices that do as they are told and then show something else: what they show is what counts, and is cleaned up."""

from collections.abc import Mapping
from typing import Any

import anyio
import pytest

from portmapper import limits
from portmapper.errors import NoService, ProtocolError
from portmapper.mapper import PortMapper
from portmapper.model import Lease
from portmapper.testing.igd_switches import IgdSwitches
from portmapper.upnp import soap
from portmapper.upnp.faults import Fault
from portmapper.upnp.xml import decode_xml
from tests.cases import each, named
from tests.hostile.rude import RudeIgd, a_port, is_action, outcome, reason_of, succeeds

pytestmark = pytest.mark.anyio

LOOK_UP, ADDS, DELETE = "GetSpecificPortMappingEntry", ("AddPortMapping", "AddAnyPortMapping"), "DeletePortMapping"
LISTS = ("GetGenericPortMappingEntry", "GetListOfPortMappings")


class Liar(RudeIgd):
    """Makes every mapping, and shows it with other values; or as if it were not there at all."""

    def __init__(
        self, shown: Mapping[str, str] = {}, *, hides: bool = False, lists: bool = True, version: int = 2
    ) -> None:
        super().__init__(igd=IgdSwitches(version=version))
        self._hides, self._lists, self._shown = hides, lists, dict(shown)

    def rude(self, method: str, body: bytes, honest: tuple[int, bytes]) -> tuple[int, bytes]:
        if is_action(body, *LISTS) and not self._lists:
            return 500, soap.encode_fault(714)
        if not is_action(body, LOOK_UP) or honest[0] != 200:
            return honest
        if self._hides:
            return 500, soap.encode_fault(714)
        (response,) = decode_xml(honest[1])[0]
        truth = {_plain(child.tag): child.text or "" for child in response}
        assert set(self._shown) <= set(truth)
        return 200, soap.encode_result(soap.decode_action(body), truth | self._shown)


def _plain(tag: str) -> str:
    return tag.rpartition("}")[2]


async def mapped(gateway: Liar, **options: Any) -> Lease:
    """Map a port, which has to work; nothing may be left in the end."""
    async with PortMapper(gateway=gateway.gateway, backends=["upnp"], **options) as mapper:
        lease = (await mapper.map(a_port())).lease
        (entry,) = gateway.table
        assert (entry.external_port, entry.internal) == (lease.external.port, lease.internal)
    assert not list(gateway.table)
    return lease


@pytest.mark.conforms("F45", "UP-113")
@pytest.mark.parametrize("version", [1, 2])
async def test_one_that_leads_to_another_host_is_theirs_and_stays_s43_s44(version: int) -> None:
    """Whatever it says of the mapping that it has just made: it shows another host's, and that is not deleted."""
    async with Liar({"NewInternalClient": "127.0.0.9"}, version=version) as gateway:
        reason = reason_of(await outcome(gateway, "upnp", leaves=1), "upnp")
    assert isinstance(reason, ProtocolError)
    assert "leads to 127.0.0.9 port" in str(reason)
    assert gateway.asked(*ADDS) == 1
    assert not gateway.asked(DELETE)


@pytest.mark.conforms("UP-113")
async def test_one_that_leads_to_another_port_is_refused_and_undone_s45() -> None:
    async def check(port: str) -> None:
        async with Liar({"NewInternalPort": port}) as gateway:
            reason = reason_of(await outcome(gateway, "upnp"), "upnp")
        assert type(reason) is ProtocolError
        assert f"leads to port {int(port)} instead of" in str(reason)
        assert (gateway.asked(*ADDS), gateway.asked(DELETE)) == (1, 1)

    await each(named("1", "9", "+65535", "0000022"), check)


@pytest.mark.conforms("UP-112", "UP-113")
async def test_one_that_is_switched_off_is_refused_and_undone_s45() -> None:
    async def check(word: str) -> None:
        async with Liar({"NewEnabled": word}) as gateway:
            reason = reason_of(await outcome(gateway, "upnp"), "upnp")
        assert type(reason) is ProtocolError
        assert "switched off" in str(reason)
        assert (gateway.asked(*ADDS), gateway.asked(DELETE)) == (1, 1)

    await each(named("0", "false", "No"), check)


@pytest.mark.parametrize("version", [1, 2])
async def test_one_that_only_the_list_shows_counts(version: int) -> None:
    async with Liar(hides=True, version=version) as gateway:
        await succeeds(gateway, "upnp")


@pytest.mark.conforms("F19", "UP-113")
@pytest.mark.parametrize("version", [1, 2])
async def test_one_that_does_not_show_at_all_is_refused_and_undone_s45(version: int) -> None:
    """The port was free before, so what may be there now is ours."""
    async with Liar(hides=True, lists=False, version=version) as gateway:
        reason = reason_of(await outcome(gateway, "upnp"), "upnp")
    assert type(reason) is ProtocolError
    assert "said yes, but has no mapping" in str(reason)
    assert (gateway.asked(*ADDS), gateway.asked(DELETE)) == (1, 1)


@pytest.mark.conforms("F14", "F15", "UP-60", "UP-92")
@pytest.mark.parametrize("version", [1, 2])
async def test_the_lease_that_is_shown_counts_be_it_longer_or_shorter_s20(version: int) -> None:
    leases = {"7201": 7201, "604800": 604800, "4294967295": 2**32 - 1, "+600": 600, "00120": 120, "1": 1}
    nearly = {"7200": 7200, "7195": 7200}  # the time since it was made

    async def check(case: tuple[str, int]) -> None:
        shown, told = case
        async with Liar({"NewLeaseDuration": shown}, version=version) as gateway:
            assert (await mapped(gateway)).lifetime == told

    await each({shown: (shown, told) for shown, told in {**leases, **nearly}.items()}, check)


@pytest.mark.conforms("UP-93")
async def test_no_lease_is_without_end_only_in_version_1() -> None:
    async with Liar({"NewLeaseDuration": "0"}, version=2) as gateway:
        lease = await mapped(gateway, allow_permanent=False)
    assert (lease.permanent, lease.lifetime) == (False, limits.DEFAULT_LIFETIME)
    async with Liar({"NewLeaseDuration": "0"}, version=1) as gateway:
        assert (await mapped(gateway)).permanent


async def test_one_without_end_where_none_is_wanted_is_refused_and_undone() -> None:
    async with (
        Liar({"NewLeaseDuration": "0"}, version=1) as gateway,
        PortMapper(gateway=gateway.gateway, backends=["upnp"], allow_permanent=False) as mapper,
    ):
        with pytest.raises(NoService) as caught:
            await mapper.map(a_port())
        reason = caught.value.reasons["upnp"]
        assert isinstance(reason, Fault)
        assert reason.code == 725
        assert not list(gateway.table)


NO_NUMBERS = ("", "-1", "x", "1e9", "0x10", "\u0661", "9" * 5000, "4294967296", "1.5", "NaN")


async def test_rubbish_in_the_place_of_a_lease_is_as_if_it_were_not_said_s11() -> None:
    async def check(number: str) -> None:
        async with Liar({"NewLeaseDuration": number}) as gateway:
            assert (await mapped(gateway)).lifetime == limits.DEFAULT_LIFETIME

    await each(named(*NO_NUMBERS), check)


@pytest.mark.conforms("UP-59")
async def test_an_entry_that_makes_no_sense_says_nothing_s11() -> None:
    """The device does not tell what it has; the mapping counts, and is deleted in the end."""

    async def check(shown: dict[str, str]) -> None:
        async with Liar(shown) as gateway:
            assert (await mapped(gateway)).lifetime == limits.DEFAULT_LIFETIME

    ports = {f"port {number!r:.20}": {"NewInternalPort": number} for number in (*NO_NUMBERS, "0", "65536")}
    truths = {f"enabled {word!r:.20}": {"NewEnabled": word} for word in ("2", "maybe", "-", "\u0661", "x" * 5000)}
    names = {f"client {name!r:.20}": {"NewInternalClient": name} for name in ("", "my-pc", "1.2.3", "\u0661.1.1.1")}
    await each({**ports, **truths, **names}, check)


async def test_a_lease_of_seconds_makes_no_hot_loop_s21() -> None:
    async def check(shown: str) -> None:
        async with (
            Liar({"NewLeaseDuration": shown}) as gateway,
            PortMapper(gateway=gateway.gateway, backends=["upnp"]) as mapper,
        ):
            await mapper.map(a_port())
            await anyio.sleep(1.2)
            # The first, and one renewal; a device that does not lengthen it is asked once more, after a delete.
            assert 1 <= gateway.asked(*ADDS) <= 4

    await each({shown: shown for shown in ("1", "2", "3")}, check)
