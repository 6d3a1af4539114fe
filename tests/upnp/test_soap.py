"""Requests to a service and its answers, byte for byte, and in the forms that devices really send."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portmapper.errors import ProtocolError, RequestRefused
from portmapper.upnp.faults import Fault
from portmapper.upnp.soap import (
    Action,
    decode_action,
    decode_result,
    encode_action,
    encode_fault,
    encode_mpost,
    encode_result,
)
from tests.fuzz import examples
from tests.wire import vectors as tv

WANIP = "urn:schemas-upnp-org:service:WANIPConnection:2"
ADD = Action(
    WANIP,
    "AddPortMapping",
    {
        "NewRemoteHost": "",
        "NewExternalPort": "40000",
        "NewProtocol": "TCP",
        "NewInternalPort": "8080",
        "NewInternalClient": "192.168.1.10",
        "NewEnabled": "1",
        "NewPortMappingDescription": "web & api <1>",
        "NewLeaseDuration": "3600",
    },
)
ADD_PINHOLE = Action(
    "urn:schemas-upnp-org:service:WANIPv6FirewallControl:1",
    "AddPinhole",
    {
        "RemoteHost": "",
        "RemotePort": "0",
        "InternalClient": "2001:db8::10",
        "InternalPort": "51820",
        "Protocol": "17",
        "LeaseTime": "3600",
    },
)
ADD_ANY = Action(WANIP, "AddAnyPortMapping", {})
GET = Action(WANIP, "GetInfo", {})


def split(message: bytes) -> tuple[dict[str, str], bytes]:
    """Return headers and body of an HTTP message."""
    head, _, body = message.partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:] if ": " in line)
    assert int(headers["CONTENT-LENGTH"]) == len(body)
    return headers, body


def envelope(inside: str) -> bytes:
    return (
        f'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>{inside}</s:Body></s:Envelope>'
    ).encode()


def fault(code: str, description: str = "") -> bytes:
    detail = f"<UPnPError><errorCode>{code}</errorCode>{description}</UPnPError>"
    return envelope(f"<s:Fault><faultcode>s:Client</faultcode><detail>{detail}</detail></s:Fault>")


# --- Requests


@pytest.mark.conforms("UP-50", "UP-51", "UP-52", "UP-54", "UP-85", "UP-121", "UP-122", "Q-39", "Q-40", "Q-38")
@pytest.mark.parametrize(
    ("message", "action"), [(tv.TV22_REQ, ADD), (tv.TV25_ADDPINHOLE, ADD_PINHOLE)], ids=["TV-22", "TV-25"]
)
def test_the_request_byte_for_byte(message: bytes, action: Action) -> None:
    """But for the case of one header: some devices know it only as SOAPAction."""
    headers, body = split(message)
    wanted = {"CONTENT-TYPE": headers["CONTENT-TYPE"], "SOAPAction": headers["SOAPACTION"]}
    assert encode_action(action) == (wanted, body)


@pytest.mark.conforms("UP-53")
def test_the_mpost_form_byte_for_byte() -> None:
    """TV-22: the header of the extension has its prefix, the plain one is not there."""
    headers, body = split(tv.TV22_MPOST)
    assert encode_mpost(ADD) == ({name: headers[name] for name in ("CONTENT-TYPE", "MAN", "01-SOAPACTION")}, body)


@pytest.mark.conforms("UP-85", "UP-121")
@pytest.mark.parametrize(
    ("message", "action"),
    [(tv.TV22_REQ, ADD), (tv.TV22_MPOST, ADD), (tv.TV25_ADDPINHOLE, ADD_PINHOLE)],
    ids=["TV-22", "TV-22 M-POST", "TV-25"],
)
def test_the_request_is_read_back(message: bytes, action: Action) -> None:
    """The arguments in their order."""
    decoded = decode_action(split(message)[1])
    assert decoded == action
    assert list(decoded.arguments) == list(action.arguments)


@pytest.mark.conforms("UP-40", "UP-115")
@pytest.mark.parametrize(
    "service_type",
    [
        "urn:schemas-upnp-org:service:WANPPPConnection:1",
        "urn:schemas-upnp-org:service:WANIPConnection:3",
        "urn:dslforum-org:service:WANPPPConnection:1",
    ],
)
def test_the_type_of_the_device_is_used(service_type: str) -> None:
    headers, body = encode_action(Action(service_type, "GetExternalIPAddress", {}))
    assert headers["SOAPAction"] == f'"{service_type}#GetExternalIPAddress"'
    assert f'<u:GetExternalIPAddress xmlns:u="{service_type}"></u:GetExternalIPAddress>'.encode() in body


@pytest.mark.conforms("UP-54", "Q-41")
def test_quotes_are_not_escaped() -> None:
    """Some devices decode no more than the three."""
    _, body = encode_action(Action(WANIP, "X", {"A": "\"'<>&"}))
    assert b"<A>\"'&lt;&gt;&amp;</A>" in body


@pytest.mark.parametrize("body", [b"", b"<a/>", envelope(""), b"<html>", b"<s:Body/>"])
def test_what_is_no_request_is_refused(body: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_action(body)


# --- Answers


def test_the_answer_byte_for_byte() -> None:
    """TV-22."""
    _, body = split(tv.TV22_RESP)
    assert encode_result(ADD, {}) == body
    assert decode_result(ADD, 200, body) == {}


@pytest.mark.conforms("UP-55", "Q-43", "UP-86")
def test_an_answer_with_prefixes_of_its_own() -> None:
    """TV-23."""
    assert decode_result(ADD_ANY, 200, split(tv.TV23_ADDANY_RESP)[1]) == {"newreservedport": "40123"}


@pytest.mark.conforms("UP-55", "Q-33", "Q-34", "Q-46")
@pytest.mark.parametrize(
    "inside",
    [
        '<GetInfoResponse xmlns="x"><NewInfo>1.2.3.4</NewInfo></GetInfoResponse>',
        "<getinforesponse><NEWINFO> 1.2.3.4\n</NEWINFO></getinforesponse>",
        "\n<!-- x --><GetInfoResponse>\n <NewInfo>1.2.3.4</NewInfo>\n</GetInfoResponse>\n",
        '<x:GetInfoResponse xmlns:x="urn:x"><x:NewInfo>1.2.3.4</x:NewInfo></x:GetInfoResponse>',
        f'<u:GetInfoResponse xmlns:u="{WANIP[:-1]}1"><NewInfo xmlns="">1.2.3.4</NewInfo></u:GetInfoResponse>',
    ],
    ids=["namespace", "case", "white space", "prefixes", "another version, and no namespace on the children"],
)
def test_answers_in_another_dress(inside: str) -> None:
    assert decode_result(GET, 200, envelope(inside)) == {"newinfo": "1.2.3.4"}


@pytest.mark.conforms("Q-34")
@pytest.mark.parametrize("tail", [b"\0", b"\0\0\r\n", b"\r\n\r\n"])
def test_what_follows_the_xml_does_not_matter(tail: bytes) -> None:
    assert decode_result(ADD_ANY, 200, split(tv.TV23_ADDANY_RESP)[1] + tail) == {"newreservedport": "40123"}


@pytest.mark.conforms("Q-46")
@pytest.mark.parametrize(
    ("inside", "results"),
    [
        ("<GetInfoResponse>203.0.113.7</GetInfoResponse>", {"": "203.0.113.7"}),
        ("<GetInfoResponse>\n  203.0.113.7 </GetInfoResponse>", {"": "203.0.113.7"}),
        ("<GetInfoResponse> \n </GetInfoResponse>", {}),
        ("<GetInfoResponse>7<NewInfo>8</NewInfo></GetInfoResponse>", {"newinfo": "8"}),
    ],
)
def test_a_value_right_in_the_response_has_no_name(inside: str, results: dict[str, str]) -> None:
    """Where others have names it is none."""
    assert decode_result(GET, 200, envelope(inside)) == results


@pytest.mark.conforms("UP-55")
def test_the_envelope_may_have_a_header_and_another_case() -> None:
    body = b"<ENVELOPE><Header><x/></Header><BODY><getINFOResponse><a/></getINFOResponse></BODY></ENVELOPE>"
    assert decode_result(GET, 200, body) == {"a": ""}


@pytest.mark.conforms("UP-55")
def test_an_unknown_element_in_an_answer_is_no_harm() -> None:
    inside = "<GetInfoResponse><Vendor><x>1</x></Vendor><A>b</A></GetInfoResponse>"
    assert decode_result(GET, 200, envelope(inside)) == {"vendor": "", "a": "b"}


@pytest.mark.conforms("UP-57", "Q-49")
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html><head><title>401 Unauthorized</title></head><body>No<br></body></html>",
        b"<!DOCTYPE html><html></html>",
        b"<html><body></body></html>",
        b"<html><body><h1>Login</h1></body></html>",
        b"OK",
        envelope(""),
        b"<Envelope/>",
        envelope("<AddPortMappingResponse/>"),
        envelope("<GetInfo/>"),
    ],
)
def test_what_is_no_answer_is_a_protocol_error(body: bytes) -> None:
    """HTML instead of XML, an empty body, the answer to something else."""
    for status in (200, 401, 500):
        with pytest.raises(ProtocolError, match=rf"GetInfo .*{status}"):
            decode_result(GET, status, body)


@pytest.mark.conforms("UP-55")
@pytest.mark.parametrize("status", [201, 204, 404, 500])
def test_success_is_only_that_of_status_200(status: int) -> None:
    with pytest.raises(ProtocolError, match=str(status)):
        decode_result(ADD, status, split(tv.TV22_RESP)[1])


# --- Faults


@pytest.mark.conforms("UP-56", "UP-77")
def test_the_fault_of_the_device() -> None:
    """TV-23."""
    with pytest.raises(Fault) as caught:
        decode_result(ADD, 500, split(tv.TV23_FAULT)[1])
    assert (caught.value.code, caught.value.name) == (725, "OnlyPermanentLeasesSupported")
    assert isinstance(caught.value, RequestRefused)


def test_a_fault_byte_for_byte() -> None:
    """TV-23."""
    assert encode_fault(725) == split(tv.TV23_FAULT)[1]


@pytest.mark.conforms("UP-57")
@pytest.mark.parametrize("status", [200, 400, 401, 404, 500, 503])
def test_a_fault_counts_in_any_status(status: int) -> None:
    with pytest.raises(Fault) as caught:
        decode_result(ADD, status, split(tv.TV23_FAULT)[1])
    assert caught.value.code == 725


@pytest.mark.conforms("UP-57")
def test_the_number_rules_and_not_the_text() -> None:
    """Some devices send the text of another error."""
    with pytest.raises(Fault) as caught:
        decode_result(ADD, 500, fault("718", "<errorDescription>Invalid Args</errorDescription>"))
    assert caught.value.name == "ConflictInMappingEntry"


@pytest.mark.conforms("UP-84", "Q-45")
@pytest.mark.parametrize(
    ("description", "name"),
    [
        ("<errorDescription>Out of tea</errorDescription>", "Out of tea"),
        ("<errorDescription/>", "Error"),
        ("", "Error"),
    ],
)
def test_an_unknown_code_is_kept_with_the_text_of_the_device(description: str, name: str) -> None:
    with pytest.raises(Fault) as caught:
        decode_result(ADD, 500, fault("899", description))
    assert (caught.value.code, caught.value.name) == (899, name)


@pytest.mark.conforms("UP-55", "UP-57", "Q-44", "Q-43")
@pytest.mark.parametrize(
    "body",
    [
        b"<E><BODY><FAULT><ERRORCODE> 718\n</ERRORCODE></FAULT></BODY></E>",
        envelope(
            "<s:Fault><faultCode>s:Client</faultCode><faultString>UPnPError</faultString><detail><UPnPError>"
            "<errorCode>718</errorCode></UPnPError></detail></s:Fault>"
        ),
        (
            b'<SOAP-ENV:Envelope xmlns:SOAP-ENV="http://schemas.xmlsoap.org/soap/envelope/"><SOAP-ENV:Body>'
            b"<SOAP-ENV:Fault><detail><UPnPError><errorCode>718</errorCode></UPnPError></detail></SOAP-ENV:Fault>"
            b"</SOAP-ENV:Body></SOAP-ENV:Envelope>"
        ),
    ],
    ids=["neither detail nor namespace", "faultCode", "SOAP-ENV"],
)
def test_a_fault_in_another_dress(body: bytes) -> None:
    with pytest.raises(Fault) as caught:
        decode_result(ADD, 500, body)
    assert caught.value.code == 718


@pytest.mark.conforms("UP-84", "Q-57")
@pytest.mark.parametrize(("digits", "code"), [("0", 0), ("00718", 718), ("-1", -1), ("-911", -911), ("99999", 99999)])
def test_odd_codes_are_kept(digits: str, code: int) -> None:
    with pytest.raises(Fault) as caught:
        decode_result(ADD, 500, fault(digits))
    assert caught.value.code == code


@pytest.mark.parametrize(
    "digits",
    [
        "",
        "-",
        "--5",
        "5-",
        "718a",
        "0x2ce",
        "7 18",
        "123456",
        "\N{SUPERSCRIPT TWO}",
        "\N{FULLWIDTH DIGIT ONE}",
        "9" * 5000,
    ],
)
def test_a_fault_without_a_code_is_a_protocol_error(digits: str) -> None:
    with pytest.raises(ProtocolError, match=r"AddPortMapping .*no error code"):
        decode_result(ADD, 500, fault(digits))


def test_a_fault_without_any_detail_is_a_protocol_error() -> None:
    with pytest.raises(ProtocolError, match="no error code"):
        decode_result(ADD, 500, envelope("<s:Fault><faultcode>s:Client</faultcode></s:Fault>"))


# --- Any text, any bytes

PRINTABLE = st.text(max_size=64).filter(str.isprintable)
NAMES = st.from_regex(r"New[A-Z][A-Za-z]{0,20}", fullmatch=True)


@pytest.mark.conforms("UP-54")
@given(st.dictionaries(NAMES, PRINTABLE, max_size=8))
@examples(150)
def test_any_printable_argument_survives_the_wire(arguments: dict[str, str]) -> None:
    action = Action(WANIP, "AddPortMapping", arguments)
    _, body = encode_action(action)
    assert decode_action(body) == action


@pytest.mark.conforms("UP-54")
@given(st.dictionaries(NAMES.map(str.lower), PRINTABLE, max_size=8))
@examples(150)
def test_any_printable_result_survives_the_wire(results: dict[str, str]) -> None:
    """The white space around a value means nothing."""
    expected = {name: value.strip() for name, value in results.items()}
    assert decode_result(ADD, 200, encode_result(ADD, results)) == expected


@pytest.mark.conforms("UP-84")
@given(st.integers(-9999, 99999))
@examples(100)
def test_any_code_survives_the_wire(code: int) -> None:
    with pytest.raises(Fault) as caught:
        decode_result(ADD, 500, encode_fault(code))
    assert caught.value.code == code


MESSAGES = [tv.TV22_REQ, tv.TV22_RESP, tv.TV23_FAULT, tv.TV23_ADDANY_RESP, tv.TV24_RESP, tv.TV25_ADDPINHOLE]
BODIES = [split(message)[1] for message in MESSAGES]
ASKED = [ADD, ADD_ANY, Action(WANIP, "GetListOfPortMappings", {})]


@given(st.binary(max_size=80) | tv.bytes_near(BODIES), st.sampled_from(ASKED), st.sampled_from([200, 500]))
@examples(300)
def test_any_bytes_are_a_result_a_fault_or_a_protocol_error(body: bytes, action: Action, status: int) -> None:
    with suppress(ProtocolError, Fault):
        assert all(name == name.lower() for name in decode_result(action, status, body))
    with suppress(ProtocolError):
        assert isinstance(decode_action(body), Action)


@pytest.mark.conforms("F24")
@given(st.text(st.sampled_from("0123456789 ab\N{SUPERSCRIPT TWO}+-.xX_"), max_size=8))
@examples(150)
def test_any_error_code_is_a_fault_or_a_protocol_error(digits: str) -> None:
    with suppress(ProtocolError, Fault):
        decode_result(ADD, 500, fault(digits))
        pytest.fail("a fault is never a result")
