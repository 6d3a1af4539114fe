"""The error codes of a device: each has its name, and what it means depends on the service that says it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portmapper.errors import RequestRefused
from portmapper.text import safe_text
from portmapper.upnp.faults import Fault, fault_for, name_of
from portmapper.upnp.soap import Action, decode_result, encode_fault
from tests.fuzz import examples

SERVICE = "urn:schemas-upnp-org:service:"
WANIP, WANPPP, FIREWALL = (
    f"{SERVICE}WANIPConnection:2",
    f"{SERVICE}WANPPPConnection:1",
    f"{SERVICE}WANIPv6FirewallControl:1",
)

COMMON = [
    pytest.param(401, "InvalidAction", marks=pytest.mark.conforms("UP-64")),
    pytest.param(402, "InvalidArgs", marks=pytest.mark.conforms("UP-65")),
    pytest.param(403, "OutOfSync", marks=pytest.mark.conforms("UP-84")),
    pytest.param(404, "InvalidVar", marks=pytest.mark.conforms("UP-84")),
    pytest.param(501, "ActionFailed", marks=pytest.mark.conforms("UP-66")),
    pytest.param(600, "ArgumentValueInvalid", marks=pytest.mark.conforms("UP-67")),
    pytest.param(601, "ArgumentValueOutOfRange", marks=pytest.mark.conforms("UP-67")),
    pytest.param(602, "OptionalActionNotImplemented", marks=pytest.mark.conforms("UP-67")),
    pytest.param(603, "OutOfMemory", marks=pytest.mark.conforms("UP-67")),
    pytest.param(604, "HumanInterventionRequired", marks=pytest.mark.conforms("UP-67")),
    pytest.param(605, "StringArgumentTooLong", marks=pytest.mark.conforms("UP-67")),
    pytest.param(606, "ActionNotAuthorized", marks=pytest.mark.conforms("UP-68", "UP-106", "UP-130")),
    pytest.param(607, "SignatureFailure", marks=pytest.mark.conforms("UP-69")),
    pytest.param(608, "SignatureMissing", marks=pytest.mark.conforms("UP-69")),
    pytest.param(609, "NotEncrypted", marks=pytest.mark.conforms("UP-69")),
    pytest.param(610, "InvalidSequence", marks=pytest.mark.conforms("UP-69")),
    pytest.param(611, "InvalidControlURL", marks=pytest.mark.conforms("UP-69")),
    pytest.param(612, "NoSuchSession", marks=pytest.mark.conforms("UP-69")),
]
CONNECTION = [
    pytest.param(703, "InactiveConnectionStateRequired", marks=pytest.mark.conforms("UP-70")),
    pytest.param(704, "ConnectionSetupFailed", marks=pytest.mark.conforms("UP-70")),
    pytest.param(705, "ConnectionSetupInProgress", marks=pytest.mark.conforms("UP-70")),
    pytest.param(706, "ConnectionNotConfigured", marks=pytest.mark.conforms("UP-70")),
    pytest.param(707, "DisconnectInProgress", marks=pytest.mark.conforms("UP-70")),
    pytest.param(708, "InvalidLayer2Address", marks=pytest.mark.conforms("UP-70")),
    pytest.param(709, "InternetAccessDisabled", marks=pytest.mark.conforms("UP-70")),
    pytest.param(710, "InvalidConnectionType", marks=pytest.mark.conforms("UP-70")),
    pytest.param(711, "ConnectionAlreadyTerminated", marks=pytest.mark.conforms("UP-70")),
    pytest.param(713, "SpecifiedArrayIndexInvalid", marks=pytest.mark.conforms("UP-71")),
    pytest.param(714, "NoSuchEntryInArray", marks=pytest.mark.conforms("UP-72")),
    pytest.param(715, "WildCardNotPermittedInSrcIP", marks=pytest.mark.conforms("UP-73")),
    pytest.param(716, "WildCardNotPermittedInExtPort", marks=pytest.mark.conforms("UP-74")),
    pytest.param(718, "ConflictInMappingEntry", marks=pytest.mark.conforms("UP-75")),
    pytest.param(724, "SamePortValuesRequired", marks=pytest.mark.conforms("UP-76")),
    pytest.param(725, "OnlyPermanentLeasesSupported", marks=pytest.mark.conforms("UP-77")),
    pytest.param(726, "RemoteHostOnlySupportsWildcard", marks=pytest.mark.conforms("UP-78")),
    pytest.param(727, "ExternalPortOnlySupportsWildcard", marks=pytest.mark.conforms("UP-79")),
    pytest.param(728, "NoPortMapsAvailable", marks=pytest.mark.conforms("UP-80")),
    pytest.param(729, "ConflictWithOtherMechanisms", marks=pytest.mark.conforms("UP-81")),
    pytest.param(730, "PortMappingNotFound", marks=pytest.mark.conforms("UP-82")),
    pytest.param(731, "ReadOnly", marks=pytest.mark.conforms("UP-83")),
    pytest.param(732, "WildCardNotPermittedInIntPort", marks=pytest.mark.conforms("UP-83")),
    pytest.param(733, "InconsistentParameters", marks=pytest.mark.conforms("UP-83")),
]
PINHOLES = {
    701: "PinholeSpaceExhausted",
    702: "FirewallDisabled",
    703: "InboundPinholeNotAllowed",
    704: "NoSuchEntry",
    705: "ProtocolNotSupported",
    706: "InternalPortWildcardingNotAllowed",
    707: "ProtocolWildcardingNotAllowed",
    708: "WildCardNotPermittedInSrcIP",
    709: "NoTrafficReceived",
}


def said(service_type: str, code: int) -> Fault:
    """Return the fault in an answer of a service, as it comes over the wire."""
    with pytest.raises(Fault) as caught:
        decode_result(Action(service_type, "X", {}), 500, encode_fault(code))
    return caught.value


def check(service_type: str, code: int, name: str) -> None:
    fault = said(service_type, code)
    assert isinstance(fault, RequestRefused)
    assert (fault.code, fault.name) == (code, name)
    assert (fault.retry_after, fault.general) == (None, False)
    assert str(fault_for(service_type, code)) == str(fault)
    meaning, _, numbered = str(fault).rpartition(" (")
    assert numbered == f"{code} {name})"
    assert meaning != "the device refused"


@pytest.mark.parametrize("service_type", [WANIP, WANPPP, FIREWALL, "urn:dslforum-org:service:WANPPPConnection:1"])
@pytest.mark.parametrize(("code", "name"), COMMON)
def test_the_codes_of_every_service(service_type: str, code: int, name: str) -> None:
    check(service_type, code, name)


@pytest.mark.conforms("UP-115")
@pytest.mark.parametrize("service_type", [WANIP, WANPPP, "urn:dslforum-org:service:WANPPPConnection:1"])
@pytest.mark.parametrize(("code", "name"), CONNECTION)
def test_the_codes_of_a_connection(service_type: str, code: int, name: str) -> None:
    check(service_type, code, name)
    assert name_of(code) == name


@pytest.mark.conforms("UP-130")
@pytest.mark.parametrize(("code", "name"), PINHOLES.items())
def test_the_codes_of_the_firewall(code: int, name: str) -> None:
    check(FIREWALL, code, name)


@pytest.mark.conforms("UP-130")
@pytest.mark.parametrize("code", range(703, 710))
def test_one_number_means_two_things(code: int) -> None:
    firewall, connection = said(FIREWALL, code), said(WANIP, code)
    assert firewall.code == connection.code
    assert firewall.name == PINHOLES[code] != connection.name
    assert str(firewall) != str(connection)


@pytest.mark.conforms("UP-69", "UP-84", "UP-130")
@pytest.mark.parametrize(
    ("service_type", "codes"),
    [(WANIP, (700, 701, 702, 712, 717, 734, 800, 899, 0, -911)), (FIREWALL, (700, 710, 713, 714, 718, 725, 728))],
)
def test_a_code_that_the_service_does_not_have_is_kept_without_a_meaning(
    service_type: str, codes: tuple[int, ...]
) -> None:
    faults = [fault_for(service_type, code) for code in codes]
    assert [(fault.code, fault.name) for fault in faults] == [(code, "Error") for code in codes]


@pytest.mark.conforms("UP-84", "Q-45")
def test_a_code_without_a_name_has_the_text_of_the_device() -> None:
    fault = fault_for(WANIP, 899, "Out of tea")
    assert (fault.name, str(fault)) == ("Out of tea", "the device refused (899 Out of tea)")


@pytest.mark.conforms("UP-57")
def test_the_number_rules_and_not_the_text_of_the_device() -> None:
    assert fault_for(WANIP, 718, "Invalid Args").name == "ConflictInMappingEntry"


# --- What lasts, so that it is not asked again and again


@pytest.mark.conforms("UP-68", "UP-80")
@pytest.mark.parametrize(
    ("service_type", "lasting"),
    [
        (WANIP, {401, 602, 604, 606, 607, 608, 609, 709, 710, 727, 731}),
        (WANPPP, {401, 602, 604, 606, 607, 608, 609, 709, 710, 727, 731}),
        (FIREWALL, {401, 602, 604, 606, 703, 705}),
    ],
    ids=["WANIP", "WANPPP", "firewall"],
)
def test_what_nobody_changes_by_waiting_is_lasting_and_all_else_passes(service_type: str, lasting: set[int]) -> None:
    """A conflict, a full table and a connection that is just being set up pass by themselves."""
    assert {code for code in range(-1000, 1000) if fault_for(service_type, code).lasting} == lasting


# --- The text of a device


def test_the_text_of_the_device_cannot_steer_a_terminal() -> None:
    shown = fault_for(WANIP, 899, "\x9b2J\n\u202e" + "x" * 1000)
    assert shown.name.isprintable()
    assert str(shown).isprintable()
    assert len(str(shown)) < 400


@pytest.mark.conforms("UP-84")
@given(st.text(max_size=40), st.text(max_size=300), st.integers(-99999, 99999))
@examples(200)
def test_any_service_and_text_make_a_fault_with_the_code(service_type: str, text: str, code: int) -> None:
    fault = fault_for(service_type, code, text)
    assert fault.code == code
    assert fault.name
    assert safe_text(str(fault), limit=1000) == str(fault)
