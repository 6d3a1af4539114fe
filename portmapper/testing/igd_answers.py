"""How the HTTP and SOAP answers of a simulated gateway look."""

import re
from collections.abc import Mapping
from http.client import responses
from xml.sax.saxutils import escape

from portmapper.testing.igd_switches import IgdSwitches
from portmapper.upnp import soap

_CHUNK = 100
_TAG = re.compile(r"(</?(?:[\w-]+:)?)(\w+)")
_DESCRIPTION = re.compile(r"<errorDescription>.*?</errorDescription>")


def encode_result(action: soap.Action, results: Mapping[str, str], switches: IgdSwitches) -> bytes:
    """Return the body of a successful answer."""
    answered = soap.Action(switches.response_type or action.service_type, action.name, {})
    bare = switches.bare_value and len(results) == 1
    text = soap.encode_result(answered, {} if bare else results).decode()
    if bare:
        text = text.replace("</u:", escape(next(iter(results.values()))) + "</u:")
    return _spoiled(_with_namespace(text, switches), switches)


def encode_fault(code: int, switches: IgdSwitches) -> bytes:
    """Return the body of an answer that says no."""
    text = soap.encode_fault(code).decode()
    if not switches.fault_descriptions:
        text = _DESCRIPTION.sub("", text)
    if switches.capital_faults:
        text = text.replace("faultcode>", "faultCode>").replace("faultstring>", "faultString>")
    return _spoiled(text, switches)


def _with_namespace(text: str, switches: IgdSwitches) -> str:
    if switches.response_namespace == "prefix":
        return text
    text = text.replace("<u:", "<").replace("</u:", "</")
    return (
        re.sub(' xmlns:u="[^"]*"', "", text)
        if switches.response_namespace == "none"
        else text.replace(" xmlns:u=", " xmlns=")
    )


def _spoiled(text: str, switches: IgdSwitches) -> bytes:
    prefix = switches.soap_prefix
    text = text.replace("<s:", f"<{prefix}:").replace("</s:", f"</{prefix}:").replace(">s:", f">{prefix}:")
    text = text.replace("xmlns:s=", f"xmlns:{prefix}=").replace(" s:encoding", f" {prefix}:encoding")
    if switches.lower_case_tags:
        text = _TAG.sub(lambda tag: tag[1] + tag[2].lower(), text)
    return switches.before_xml + text.encode() + switches.after_xml


def encode_http(status: int, body: bytes, switches: IgdSwitches) -> bytes:
    """Return the answer as it goes over the connection, which ends after it."""
    lines = [
        f"Content-Type: {switches.content_type}",
        *([f"Server: {switches.server}"] if switches.server else []),
        *switches.extra_headers,
        *_framing(body, switches),
        "Connection: close",
    ]
    repeated = [line for line in lines for _ in range(2 if switches.headers_twice else 1)]
    interim = _head(switches, 100, []) if switches.interim else b""
    return interim + _head(switches, status, repeated) + _framed(body, switches) + switches.after_body


def _head(switches: IgdSwitches, status: int, lines: list[str]) -> bytes:
    start = f"{switches.http_version} {status} {responses.get(status, 'Odd')}"
    return switches.line_end.join([start, *lines, "", ""]).encode("latin-1")


def _framing(body: bytes, switches: IgdSwitches) -> list[str]:
    known = {"length": [f"Content-Length: {len(body)}"], "chunked": ["Transfer-Encoding: chunked"], "close": []}
    return known[switches.framing]


def _framed(body: bytes, switches: IgdSwitches) -> bytes:
    if switches.framing != "chunked":
        return body
    pieces = [body[begin : begin + _CHUNK] for begin in range(0, len(body), _CHUNK)]
    chunks = [f"{len(piece):x}{switches.chunk_extension}\r\n".encode() + piece + b"\r\n" for piece in pieces]
    return b"".join(chunks) + b"0\r\n\r\n"
