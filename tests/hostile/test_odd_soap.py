"""Devices whose answers to requests make no sense."""

import random
from collections.abc import Sequence
from ipaddress import IPv4Address

import anyio
import pytest

from portmapper import limits
from portmapper.errors import GatewayUnreachable, NoService, ProtocolError, RequestRefused
from portmapper.mapper import PortMapper
from portmapper.model import Endpoint, Protocol
from portmapper.testing import SimulatedGateway
from portmapper.testing.igd_switches import IgdSwitches
from portmapper.upnp import soap
from portmapper.upnp.faults import Fault
from tests.cases import each, named
from tests.hostile.rude import (
    HTML,
    LAUGHS,
    RudeIgd,
    a_fault,
    a_port,
    is_action,
    no_result,
    outcome,
    reason_of,
    succeeds,
    with_code,
)

pytestmark = pytest.mark.anyio

SOAP_RUBBISH: dict[str, tuple[int, bytes]] = {
    "empty": (200, b""),
    "html": (200, HTML),
    "html-500": (500, HTML),
    "nul": (200, bytes(100)),
    "random": (200, random.Random(6).randbytes(300)),
    "no-body": (200, b"<Envelope/>"),
    "empty-body": (200, no_result("")),
    "other-response": (200, no_result("<DeletePortMappingResponse/>")),
    "the-request": (200, no_result("<AddPortMapping/>")),
    "status-404": (404, no_result("<AddPortMappingResponse/>")),
    "status-302": (302, b""),
    "too-long": (200, no_result("<AddPortMappingResponse/>" + " " * 65536)),
    "too-deep": (200, b"<a>" * 65),
    "laughs": (200, LAUGHS),
    "fault-without-code": (500, a_fault("<faultstring>UPnPError</faultstring>")),
    "fault-empty": (500, a_fault("")),
    "code-empty": (500, with_code("")),
    "code-word": (500, with_code("Conflict")),
    "code-huge": (500, with_code("7" * 100_0)),
    "code-arabic": (500, with_code("\u0667\u0661\u0668")),
    "code-superscript": (500, with_code("\u00b2")),
    "code-minus": (500, with_code("-")),
    "code-plus": (500, with_code("+718")),
}


ADDS = ("AddPortMapping", "AddAnyPortMapping")
TELLS = ("GetSpecificPortMappingEntry", "GetGenericPortMappingEntry", "GetListOfPortMappings")
DELETES = ("DeletePortMapping", "DeletePortMappingRange")


class OddAdd(RudeIgd):
    """Answers an add with given rubbish; `obeys` says whether it makes the mapping all the same.

    Of the actions in `hides` it knows nothing.
    """

    def __init__(self, answer: tuple[int, bytes], *, obeys: bool, hides: Sequence[str] = (), version: int = 2) -> None:
        super().__init__(igd=IgdSwitches(version=version))
        self._answer, self._obeys, self._hides = answer, obeys, hides

    def rude(self, method: str, body: bytes, honest: tuple[int, bytes]) -> tuple[int, bytes]:
        if is_action(body, *self._hides):
            return 500, soap.encode_fault(602)
        if not is_action(body, *ADDS):
            return honest
        if not self._obeys:
            self.table.clear()
        return self._answer


@pytest.mark.conforms("UP-41", "UP-57")
async def test_an_answer_that_is_no_soap_is_a_protocol_error() -> None:
    async def check(answer: tuple[int, bytes]) -> None:
        async with OddAdd(answer, obeys=False) as gateway:
            assert type(reason_of(await outcome(gateway, "upnp"), "upnp")) is ProtocolError

    await each(SOAP_RUBBISH, check)


@pytest.mark.parametrize("code", ["--5", "---1"])
async def test_an_error_code_with_two_signs_is_a_protocol_error_s11(code: str) -> None:
    async with OddAdd((500, with_code(code)), obeys=False) as gateway:
        assert type(reason_of(await outcome(gateway, "upnp"), "upnp")) is ProtocolError


@pytest.mark.conforms("UP-58", "UP-113")
async def test_a_mapping_that_is_answered_with_rubbish_counts_when_the_device_shows_it_s45() -> None:
    async def check(answer: tuple[int, bytes]) -> None:
        async with OddAdd(answer, obeys=True) as gateway:
            await succeeds(gateway, "upnp")
        assert gateway.asked(*ADDS) == 1

    await each(SOAP_RUBBISH, check)


@pytest.mark.conforms("UP-58", "UP-113")
@pytest.mark.parametrize("version", [1, 2])
async def test_one_that_only_the_list_shows_counts_too_s45(version: int) -> None:
    async with OddAdd(SOAP_RUBBISH["html"], obeys=True, hides=TELLS[:1], version=version) as gateway:
        await succeeds(gateway, "upnp")
    assert gateway.asked(*ADDS) == 1


async def test_what_a_device_does_not_tell_at_all_is_left_to_its_lease_s44() -> None:
    """Nobody knows whether a delete would hit this mapping or one that was there before, of another program."""
    async with OddAdd(SOAP_RUBBISH["html"], obeys=True, hides=TELLS) as gateway:
        assert type(reason_of(await outcome(gateway, "upnp", leaves=1), "upnp")) is ProtocolError
    assert not gateway.asked(*DELETES)


async def test_nothing_foreign_is_deleted_after_rubbish_s44() -> None:
    """The port is somebody else's when the answer makes no sense: the mapping was not made, and theirs stays."""

    class Stolen(RudeIgd):
        def rude(self, method: str, body: bytes, honest: tuple[int, bytes]) -> tuple[int, bytes]:
            if not is_action(body, *ADDS):
                return honest
            port = int(soap.decode_action(body).arguments["NewExternalPort"])
            them = Endpoint(IPv4Address("127.0.0.9"), 80)
            self.table.add(Protocol.TCP, them, port, 1e9, description="theirs", overwrite=True)
            return SOAP_RUBBISH["html"]

    async with Stolen() as gateway:
        assert type(reason_of(await outcome(gateway, "upnp", leaves=1), "upnp")) is ProtocolError
    assert not gateway.asked(*DELETES)


@pytest.mark.conforms("UP-58")
@pytest.mark.parametrize("obeys", [True, False])
async def test_a_mapping_whose_answer_is_lost_with_the_connection_is_looked_up_s45(obeys: bool) -> None:
    class HangingUp(OddAdd):
        def rude(self, method: str, body: bytes, honest: tuple[int, bytes]) -> tuple[int, bytes]:
            answer = super().rude(method, body, honest)
            if is_action(body, *ADDS):
                raise anyio.EndOfStream
            return answer

    async with HangingUp((200, b""), obeys=obeys) as gateway:
        if obeys:
            await succeeds(gateway, "upnp")
        else:
            reason = reason_of(await outcome(gateway, "upnp"), "upnp")
            assert isinstance(reason, (GatewayUnreachable, ProtocolError))
    assert gateway.asked(*ADDS) <= 2


@pytest.mark.conforms("F24", "UP-57", "UP-84")
@pytest.mark.parametrize(
    ("code", "name"), [("501", "ActionFailed"), ("-1", "Error"), ("0", "Error"), ("99999", "Error")]
)
async def test_a_fault_with_any_number_is_a_refusal(code: str, name: str) -> None:
    async with OddAdd((500, with_code(code)), obeys=False) as gateway:
        reason = reason_of(await outcome(gateway, "upnp"), "upnp")
    assert isinstance(reason, Fault)
    assert (reason.code, reason.name) == (int(code), name)


@pytest.mark.conforms("UP-66", "UP-75", "UP-114")
@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("code", [718, 501])
async def test_a_device_that_reports_conflicts_for_ever_is_given_up_s44(version: int, code: int) -> None:
    """Each attempt costs a look-up before it. 501 may be about the lease, so none is tried once where there may be."""
    async with OddAdd((500, soap.encode_fault(code)), obeys=False, version=version) as gateway:
        reason = reason_of(await outcome(gateway, "upnp"), "upnp")
    assert isinstance(reason, Fault)
    assert reason.code == code
    attempts = 1 + limits.UPNP_PORT_TRIES + (code == 501 and version == 1)
    looked_up = attempts - (version == 2)  # AddAnyPortMapping chooses by itself
    assert gateway.asked(*ADDS) == attempts
    assert gateway.asked("GetSpecificPortMappingEntry") == looked_up
    assert len(gateway.calls) == attempts + looked_up + 2  # and whether it does NAT
    assert not gateway.asked(*DELETES)


class ChoosesOddly(OddAdd):
    """Has every port taken, chooses another one itself and does not say which."""

    def __init__(self, granted: str, *, obeys: bool, hides: Sequence[str] = ()) -> None:
        super().__init__((200, b""), obeys=obeys, hides=hides)
        self._granted = granted

    def rude(self, method: str, body: bytes, honest: tuple[int, bytes]) -> tuple[int, bytes]:
        answer = super().rude(method, body, honest)
        if is_action(body, "AddPortMapping"):
            self.table.clear()
            return 500, soap.encode_fault(718)
        if is_action(body, "AddAnyPortMapping"):
            return 200, soap.encode_result(soap.decode_action(body), {"NewReservedPort": self._granted})
        return answer


NO_PORTS = named("0", "", "65536", "-1", "1e3", " ", "\u0661", "9" * 5000, "0x50")


@pytest.mark.conforms("UP-101")
async def test_a_granted_port_that_is_none_is_a_protocol_error_s11_s42() -> None:
    async def check(granted: str) -> None:
        async with ChoosesOddly(granted, obeys=False) as gateway:
            assert type(reason_of(await outcome(gateway, "upnp"), "upnp")) is ProtocolError
        assert not gateway.asked(*DELETES)

    await each(NO_PORTS, check)


async def test_a_grant_of_a_port_that_is_none_is_looked_for_in_the_list_s42_s45() -> None:
    async def check(granted: str) -> None:
        async with ChoosesOddly(granted, obeys=True) as gateway:
            await succeeds(gateway, "upnp")

    await each(NO_PORTS, check)


async def test_a_grant_of_a_port_that_is_none_and_that_no_list_shows_is_left_to_its_lease_s42() -> None:
    async with ChoosesOddly("0", obeys=True, hides=TELLS) as gateway:
        assert type(reason_of(await outcome(gateway, "upnp", leaves=1), "upnp")) is ProtocolError
    assert not gateway.asked(*DELETES)


class Nowhere(RudeIgd):
    """Says that its external address is `address`."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self._address = address

    def rude(self, method: str, body: bytes, honest: tuple[int, bytes]) -> tuple[int, bytes]:
        if is_action(body, "GetExternalIPAddress"):
            return 200, soap.encode_result(soap.decode_action(body), {"NewExternalIPAddress": self._address})
        return honest


@pytest.mark.conforms("F20")
async def test_an_external_address_that_is_none_costs_the_address_and_not_the_mapping() -> None:
    async def check(address: str) -> None:
        async with Nowhere(address) as gateway:
            assert (await succeeds(gateway, "upnp")).external.address is None
            async with PortMapper(gateway=gateway.gateway, backends=["upnp"]) as mapper:
                with pytest.raises(NoService) as caught:
                    await mapper.external_address()
            assert type(caught.value.reasons["upnp"]) is ProtocolError
            assert str(caught.value).replace("\n", "").isprintable()

    rubbish = ("<script>", "999.1.1.1", "1.2.3", "::1", "127.0.0.1.", "1" * 5000, "\u0661.1.1.1", "\u202e")
    await each(named(*rubbish), check)


@pytest.mark.parametrize("address", ["0.0.0.0", ""])
async def test_no_external_address_is_told_as_none(address: str) -> None:
    async with Nowhere(address) as gateway:
        assert (await succeeds(gateway, "upnp")).external.address is None
        async with PortMapper(gateway=gateway.gateway, backends=["upnp"]) as mapper:
            assert await mapper.external_address() is None


async def test_text_of_a_fault_is_shown_without_its_control_characters_s50() -> None:
    payload = "\u009b31m\u202eevil\u2028next line" + "x" * 500
    detail = f"<UPnPError><errorCode>899</errorCode><errorDescription>{payload}</errorDescription></UPnPError>"
    async with OddAdd((500, a_fault(detail)), obeys=False) as gateway:
        reason = reason_of(await outcome(gateway, "upnp"), "upnp")
    assert isinstance(reason, RequestRefused)
    assert str(reason).isprintable()
    assert "evil" in str(reason)
    assert len(str(reason)) < 400


@pytest.mark.conforms("UP-58")
@pytest.mark.usefixtures("virtual_time")
async def test_a_device_that_refuses_each_port_just_in_time_is_left_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that stops to answer costs 5 s; one that always answers before that costs what a mapping may take."""
    monkeypatch.setattr(limits, "STATUS", 20.0)  # it is slow with these too
    rules = IgdSwitches(version=1, soap_delay=limits.HTTP_EXCHANGE - 0.5, refuses={"AddPortMapping": 718})
    async with (
        SimulatedGateway(pcp=False, natpmp=False, igd=rules) as gateway,
        PortMapper(gateway=gateway.gateway, backends=["upnp"]) as mapper,
    ):
        begin = anyio.current_time()
        with pytest.raises(NoService):
            await mapper.map(a_port())
        assert limits.OBTAIN <= anyio.current_time() - begin <= limits.OBTAIN + 2 * limits.GRACE
