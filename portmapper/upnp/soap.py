"""Requests to a service and its answers: SOAP as UPnP uses it (UDA 1.0 clause 3.2). No I/O."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape

from portmapper.errors import ProtocolError
from portmapper.text import safe_text
from portmapper.upnp.faults import Fault, fault_for, name_of
from portmapper.upnp.xml import decode_xml, local_name, text_of

_NAMESPACE = "http://schemas.xmlsoap.org/soap/envelope/"
_HEAD = (
    f'<?xml version="1.0"?><s:Envelope xmlns:s="{_NAMESPACE}" '
    's:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><s:Body>'
)
_TAIL = "</s:Body></s:Envelope>"
_CODE = re.compile(r"-?[0-9]{1,5}")  # -911 has been seen


@dataclass(frozen=True, slots=True)
class Action:
    """One request: IN arguments in the order of the service description."""

    service_type: str
    name: str
    arguments: Mapping[str, str]


def encode_action(action: Action) -> tuple[dict[str, str], bytes]:
    """Return headers and body of the POST. Only & < > are escaped: some devices decode no more.

    Some devices know SOAPAction only in this spelling.
    """
    arguments = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in action.arguments.items())
    call = f'<u:{action.name} xmlns:u="{action.service_type}">{arguments}</u:{action.name}>'
    headers = {
        "CONTENT-TYPE": 'text/xml; charset="utf-8"',
        "SOAPAction": f'"{action.service_type}#{action.name}"',
    }
    return headers, f"{_HEAD}{call}{_TAIL}".encode()


def encode_mpost(action: Action) -> tuple[dict[str, str], bytes]:
    """Return headers and body of the M-POST, for a device that answered the POST with 405 (UDA 1.0 clause 3.2.1)."""
    headers, body = encode_action(action)
    extended = {
        "CONTENT-TYPE": headers["CONTENT-TYPE"],
        "MAN": f'"{_NAMESPACE}"; ns=01',
        "01-SOAPACTION": headers["SOAPAction"],
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
    name = name_of(code)
    detail = (
        f'<detail><UPnPError xmlns="urn:schemas-upnp-org:control-1-0"><errorCode>{code}</errorCode>'
        f"<errorDescription>{name}</errorDescription></UPnPError></detail>"
    )
    fault = f"<s:Fault><faultcode>s:Client</faultcode><faultstring>UPnPError</faultstring>{detail}</s:Fault>"
    return f"{_HEAD}{fault}{_TAIL}".encode()


def decode_result(action: Action, status: int, body: bytes) -> dict[str, str]:
    """Return the OUT arguments by lower-case name. Raises Fault or ProtocolError, and nothing else.

    Prefixes, case, order and the version of the service are the device's own; a fault counts whatever status it comes
    with. A value without a name is that of "".
    """
    try:
        call = _body_child(decode_xml(body))
    except ProtocolError as error:
        raise ProtocolError(f"{action.name} was answered with status {status} and no SOAP: {error}") from error
    if local_name(call) == "fault":
        raise _fault(action, call)
    if status != 200 or local_name(call) != f"{action.name}Response".lower():  # noqa: PLR2004
        raise ProtocolError(f"{action.name} was answered with status {status} and <{safe_text(local_name(call))}>")
    # Some devices put the only value straight into the response; it has no name then.
    bare = (call.text or "").strip()
    results = {local_name(child): (child.text or "").strip() for child in call}
    return results or ({"": bare} if bare else {})


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
            return fault_for(action.service_type, int(digits), text_of(element, "errorDescription") or "")
    raise ProtocolError(f"{action.name} was answered with a fault that has no error code")
