"""How the HTTP server of a simulated device treats a request before and after the device carries it out."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field

import anyio

from portmapper.errors import ProtocolError
from portmapper.model import IPAddress
from portmapper.net import clock
from portmapper.testing.http_server import HttpRequest
from portmapper.testing.igd_answers import encode_fault, encode_http
from portmapper.testing.igd_calls import INVALID_ACTION
from portmapper.testing.igd_switches import IgdSwitches
from portmapper.upnp import soap

CarryOut = Callable[[str, str, bytes, IPAddress], tuple[int, bytes]]
"""(method, path, body, sender) to (status, body)."""

_MAN = re.compile(r'"http://schemas\.xmlsoap\.org/soap/envelope/"; *ns=([0-9]{2})')
_QUOTES = re.compile(rb"&(quot|apos);")


@dataclass(slots=True)
class Front:
    """Stands between the HTTP server and the device, which is `carry_out`, and notes what comes."""

    switches: IgdSwitches
    carry_out: CarryOut
    requests: list[HttpRequest] = field(default_factory=list[HttpRequest])
    calls: list[soap.Action] = field(default_factory=list[soap.Action])
    in_progress: int = 0
    last_answer: float = -math.inf

    async def answer(self, request: HttpRequest) -> bytes:
        """Return what is sent back; nothing where the connection is to end without an answer."""
        call = _call_in(request)
        self._note(request, call)
        if self._is_dropped(is_soap=call is not None):
            return b""
        self.in_progress += 1
        try:
            return await self._answer(request, call)
        finally:
            self.in_progress -= 1
            if call is not None:
                self.last_answer = clock.now()

    async def _answer(self, request: HttpRequest, call: soap.Action | None) -> bytes:
        rules = self.switches
        status, body = self._refusal(request, call) or self._carried_out(request)
        delay = rules.http_delay + (rules.soap_delay if call else 0)
        if delay:
            await anyio.sleep(delay)
        lost = call is not None and call.name in rules.loses_answers_to
        return b"" if lost else encode_http(status, body, rules)

    def _note(self, request: HttpRequest, call: soap.Action | None) -> None:
        self.requests.append(request)
        if call is not None:
            self.calls.append(call)

    def _is_dropped(self, *, is_soap: bool) -> bool:
        rules = self.switches
        too_soon = is_soap and clock.now() - self.last_answer < rules.soap_gap
        return too_soon or (rules.one_at_a_time and self.in_progress > 0)

    def _carried_out(self, request: HttpRequest) -> tuple[int, bytes]:
        method = "POST" if request.method == "M-POST" else request.method
        body = request.body if self.switches.decodes_quotes else _QUOTES.sub(rb"&amp;\1;", request.body)
        return self.carry_out(method, request.path, body, request.sender)

    def _refusal(self, request: HttpRequest, call: soap.Action | None) -> tuple[int, bytes] | None:
        rules = self.switches
        if rules.wants_http_1_1 and request.version != "1.1":
            return 505, b"HTTP/1.1 only"
        if rules.wants_mpost and request.method == "POST":
            return 405, b"M-POST only"
        if rules.refuses_chunked and request.header("Transfer-Encoding") is not None:
            return 411, b"Content-Length only"
        if rules.refuses_default_namespace and b" xmlns=" in request.body:
            return 500, b"no default namespace"
        if call is not None and not self._names(request, call):
            return 500, encode_fault(INVALID_ACTION, rules)
        return None

    def _names(self, request: HttpRequest, call: soap.Action) -> bool:
        """Whether the header that has to name the action does, in quotes."""
        named = f'"{call.service_type}#{call.name}"'
        if request.method == "M-POST":
            mandatory = _MAN.fullmatch(request.header("MAN") or "")
            return mandatory is not None and request.header(f"{mandatory[1]}-SOAPACTION") == named
        spelled = self.switches.action_header
        values = [value for name, value in request.headers if name.lower() == "soapaction" and spelled in {None, name}]
        return values == [named]


def _call_in(request: HttpRequest) -> soap.Action | None:
    if request.method not in {"POST", "M-POST"}:
        return None
    try:
        return soap.decode_action(request.body)
    except ProtocolError:
        return None
