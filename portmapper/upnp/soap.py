"""Requests to a service and its answers: SOAP as UPnP uses it (UDA 1.0 clause 3.2). No I/O."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape

from portmapper.errors import ProtocolError, RequestRefused
from portmapper.text import safe_text
from portmapper.upnp.xml import decode_xml, local_name, text_of

_NAMESPACE = "http://schemas.xmlsoap.org/soap/envelope/"
_HEAD = (
    f'<?xml version="1.0"?><s:Envelope xmlns:s="{_NAMESPACE}" '
    's:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><s:Body>'
)
_TAIL = "</s:Body></s:Envelope>"
_CODE = re.compile(r"-?[0-9]{1,5}")  # -911 has been seen

# UDA 1.1 clause 3.2.2 and WANIPConnection:2 section 2.5.23: the name, and what it means to the user.
ERRORS = {
    401: ("InvalidAction", "the device does not know this request"),
    402: ("InvalidArgs", "the device does not like an argument of the request"),
    501: ("ActionFailed", "the device failed to do it"),
    606: ("ActionNotAuthorized", "the device does not allow this mapping"),
    713: ("SpecifiedArrayIndexInvalid", "there is no entry of that number"),
    714: ("NoSuchEntryInArray", "there is no such mapping"),
    715: ("WildCardNotPermittedInSrcIP", "the device wants a source address"),
    716: ("WildCardNotPermittedInExtPort", "the device wants a particular external port"),
    718: ("ConflictInMappingEntry", "another host has this external port, or the device refuses"),
    724: ("SamePortValuesRequired", "the external port has to be the same as the internal one"),
    725: ("OnlyPermanentLeasesSupported", "the device knows only mappings without end"),
    726: ("RemoteHostOnlySupportsWildcard", "the device cannot restrict a mapping to one remote host"),
    727: ("ExternalPortOnlySupportsWildcard", "the device maps all ports or none"),
    728: ("NoPortMapsAvailable", "the device has no room for another mapping now"),
    729: ("ConflictWithOtherMechanisms", "something else on the device uses this external port"),
}


class Fault(RequestRefused):
    """The device's own error (UDA 1.1 clause 3.2.2)."""


@dataclass(frozen=True, slots=True)
class Action:
    """One request: IN arguments in the order of the service description."""

    service_type: str
    name: str
    arguments: Mapping[str, str]


def encode_action(action: Action) -> tuple[dict[str, str], bytes]:
    """Return headers and body of the POST. Only & < > are escaped: some devices decode no more."""
    arguments = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in action.arguments.items())
    call = f'<u:{action.name} xmlns:u="{action.service_type}">{arguments}</u:{action.name}>'
    headers = {
        "CONTENT-TYPE": 'text/xml; charset="utf-8"',
        "SOAPACTION": f'"{action.service_type}#{action.name}"',
    }
    return headers, f"{_HEAD}{call}{_TAIL}".encode()


def encode_mpost(action: Action) -> tuple[dict[str, str], bytes]:
    """Return headers and body of the M-POST, for a device that answered the POST with 405 (UDA 1.0 clause 3.2.1)."""
    headers, body = encode_action(action)
    extended = {
        "CONTENT-TYPE": headers["CONTENT-TYPE"],
        "MAN": f'"{_NAMESPACE}"; ns=01',
        "01-SOAPACTION": headers["SOAPACTION"],
    }
    return extended, body


def decode_action(body: bytes) -> Action:
    """Return the request in `body`. Raises ProtocolError, and nothing else, whatever `body` holds."""
    call = _body_child(decode_xml(body))
    namespace, _, name = call.tag.rpartition("}")
    return Action(namespace.lstrip("{"), name, {_plain(child.tag): (child.text or "") for child in call})


def encode_result(action: Action, results: Mapping[str, str]) -> bytes:
    """Return the body of a successful answer."""
    values = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in results.items())
    name = f"{action.name}Response"
    return f'{_HEAD}<u:{name} xmlns:u="{action.service_type}">{values}</u:{name}>{_TAIL}'.encode()


def encode_fault(code: int) -> bytes:
    """Return the body of an answer that says no, sent with status 500."""
    name, _ = ERRORS.get(code, ("Error", ""))
    detail = (
        f'<detail><UPnPError xmlns="urn:schemas-upnp-org:control-1-0"><errorCode>{code}</errorCode>'
        f"<errorDescription>{name}</errorDescription></UPnPError></detail>"
    )
    fault = f"<s:Fault><faultcode>s:Client</faultcode><faultstring>UPnPError</faultstring>{detail}</s:Fault>"
    return f"{_HEAD}{fault}{_TAIL}".encode()


def decode_result(action: Action, status: int, body: bytes) -> dict[str, str]:
    """Return the OUT arguments by lower-case name. Raises Fault or ProtocolError, and nothing else.

    Prefixes, case and order are the device's own; a fault counts whatever status it comes with.
    """
    try:
        call = _body_child(decode_xml(body))
    except ProtocolError as error:
        raise ProtocolError(f"{action.name} was answered with status {status} and no SOAP: {error}") from error
    if local_name(call) == "fault":
        raise _fault(action, call)
    if status != 200 or local_name(call) != f"{action.name}Response".lower():  # noqa: PLR2004
        raise ProtocolError(f"{action.name} was answered with status {status} and <{safe_text(local_name(call))}>")
    return {local_name(child): (child.text or "").strip() for child in call}


def _body_child(envelope: Element) -> Element:
    for body in envelope:
        if local_name(body) == "body" and len(body):
            return body[0]
    raise ProtocolError("no SOAP body")


def _plain(tag: str) -> str:
    return tag.rpartition("}")[2]


def _fault(action: Action, fault: Element) -> Fault:
    for element in fault.iter():
        digits = text_of(element, "errorCode") or ""
        if _CODE.fullmatch(digits):
            return fault_for(int(digits), text_of(element, "errorDescription") or "")
    raise ProtocolError(f"{action.name} was answered with a fault that has no error code")


def fault_for(code: int, description: str) -> Fault:
    """Return the error for an error code; the number rules, the device's text is only shown."""
    name, meaning = ERRORS.get(code, (safe_text(description) or "Error", "the device refused"))
    return Fault(f"{meaning} ({code} {name})", code=code, name=name)
