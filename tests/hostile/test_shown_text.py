"""Whatever text a router sends, it steers no terminal and forges no line: in output, errors, logs and traces."""

import json
import logging
import traceback
import unicodedata
from collections.abc import Callable, Iterator
from xml.sax.saxutils import escape

import pytest

from portmapper.cli import main
from portmapper.cli.options import settings
from portmapper.errors import NoService
from portmapper.mapper import PortMapper
from portmapper.testing import igd_answers, igd_front
from portmapper.testing.igd_switches import IgdSwitches
from portmapper.upnp import soap, ssdp
from tests.cases import each
from tests.hostile.rude import RudeIgd, a_description, a_fault, a_port, is_action, no_result

PAYLOADS = {
    "title": "\x1b]0;PWNED\x07",
    "title-st": "\x1b]2;PWNED\x1b\\",
    "link": "\x1b]8;;http://evil.example\x1b\\click\x1b]8;;\x1b\\",
    "clipboard": "\x1b]52;c;cm0gLXJmIH4=\x07",
    "notification": "\x1b]777;notify;a;b\x07",
    "colours": "\x1b]4;0;rgb:00/00/00\x07",
    "device-control": "\x1bP+q544e\x1b\\",
    "status-string": '\x1bP$q"p\x1b\\',
    "application": "\x1b_Gf=100;AAAA\x1b\\",
    "privacy": "\x1b^x\x1b\\",
    "clear": "\x1b[2J\x1b[1;1H",
    "colour": "\x1b[31mred\x1b[0m",
    "hidden": "\x1b[8mhidden",
    "report": "\x1b[6n\x1b[c",
    "window": "\x1b[8;1;1t\x1b[21t",
    "reset": "\x1bc",
    "charset": "\x1b(0\x0e",
    "csi-c1": "\x9b2J",
    "osc-c1": "\x9d0;x\x9c",
    "dcs-c1": "\x90q\x9c",
    "next-line-c1": "a\x85b",
    "crlf": "a\r\nportmapper: forged",
    "newline": "a\nINFO forged",
    "return": "secret\rpublic",
    "tab": "a\tb\x0bc\x0cd",
    "backspace": "evil\x08\x08\x08\x08good",
    "delete": "a\x7fb",
    "bell": "\x07" * 20,
    "nul": "a\0b",
    "other-c0": "".join(map(chr, range(32))),
    "other-c1": "".join(map(chr, range(0x80, 0xA0))),
    "bidi-override": "\u202egnp.exe\u202c",
    "bidi-isolate": "\u2066a\u2067b\u2068c\u2069",
    "bidi-mark": "\u200e\u200f\u061c",
    "separators": "a\u2028b\u2029c",
    "invisible": "a\u200bb\u2060c\ufeffd\u00ade",
    "joiners": "a\u200cb\u200dc",
    "tags": "a\U000e0041\U000e007f",
    "private": "\ue000\U000f0000",
    "unassigned": "\U0010ffff\u0378",
    "annotation": "\ufff9a\ufffab\ufffb",
    "json": '", "event": "mapped", "x": "',
    "shell": "$(reboot) `reboot` ; reboot",
    "percent": "%s%n%(message)s {0}",
    "markup": "[bold red]x[/] <b>x</b> &amp; :smiley:",
    "long": "x" * 5000,
}
REFERENCES = {"surrogate": "&#xD800;&#xDFFF;", "escape": "&#27;[2J", "c1": "&#x9b;2J", "huge": "&#x110000;&#0;"}
"""Which only a character reference can say in XML."""


def is_harmless(text: str) -> bool:
    """Whether `text` is lines of characters that print as one, and so are spaces of other widths."""
    return all(char == "\n" or char.isprintable() or unicodedata.category(char) == "Zs" for char in text)


def in_xml(text: str) -> str:
    return escape(text).replace("\r", "&#13;")


class Speaking(RudeIgd):
    """Puts `text` wherever a router has a say."""

    def __init__(self, text: str, place: str) -> None:
        super().__init__(igd=IgdSwitches(version=1))
        self._text, self._place = text, place
        self._xml = text if text in REFERENCES.values() else in_xml(text)

    def answer_search(self, data: bytes) -> list[bytes]:
        elsewhere = self._place == "location"
        location = f"http://127.0.0.1:{self._text}/" if elsewhere else self.location
        server = self._text if self._place == "server" else "router"
        head = f"HTTP/1.1 200 OK\r\nLOCATION: {location}\r\nSERVER: {server}\r\nST: {ssdp.TARGETS[0]}\r\nUSN: {server}"
        answer = f"{head}\r\n\r\n".encode("utf-8", "surrogatepass")
        return [answer] if elsewhere else [answer, *super().answer_search(data)]

    def rude(self, method: str, body: bytes, honest: tuple[int, bytes]) -> tuple[int, bytes]:
        if method == "GET" and self._place == "model":
            return 200, a_description(control="/ctl/IPConn", more=f"<modelName>{self._xml}</modelName>")
        if method == "GET" and self._place in {"control", "host"}:
            control = f"//{self._xml}/" if self._place == "host" else self._xml
            return 200, a_description(control=control)
        if method == "GET" and self._place in {"status-line", "header"}:
            return 200, f"{self._place}::{self._text}".encode("utf-8", "surrogatepass")
        if is_action(body, "GetExternalIPAddress") and self._place == "address":
            return 200, honest[1].replace(b"127.0.0.1", self._xml.encode())
        if is_action(body, "AddPortMapping") and self._place == "fault":
            detail = (
                f"<UPnPError><errorCode>899</errorCode><errorDescription>{self._xml}</errorDescription></UPnPError>"
            )
            return 500, a_fault(detail)
        return honest


SHOWN = {"location", "control", "host", "address", "fault", "status-line", "header"}
PLACES = ("location", "server", "model", "control", "host", "address", "fault", "status-line", "header")


@pytest.fixture
def log() -> Iterator[Callable[[], str]]:
    """Collects everything that is logged, by whichever library, as a program that debugs writes it."""
    lines: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record))

    root, handler = logging.getLogger(), Handler(logging.DEBUG)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s %(message)s"))
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield lambda: "\n".join(lines)
    root.removeHandler(handler)
    root.setLevel(level)


@pytest.fixture
def raw_heads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the device put bytes into status lines and headers: after "status-line:" and "header:" in the body."""
    honest = igd_answers.encode_http

    def encode(status: int, body: bytes, rules: IgdSwitches) -> bytes:
        place, _, text = body.partition(b"::")
        if place == b"status-line":
            return b"HTTP/1.1 " + text + b"\r\n\r\n"
        if place == b"header":
            return b"HTTP/1.1 200 OK\r\nServer: " + text + b"\r\n" + text + b": x\r\n\r\n"
        return honest(status, body, rules)

    monkeypatch.setattr(igd_front, "encode_http", encode)


def told(error: BaseException) -> list[str]:
    """Return the forms in which a program may show an error."""
    return [str(error), repr(error), "".join(traceback.format_exception(error))]


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # it is the same text on both
@pytest.mark.parametrize("place", PLACES)
async def test_no_text_of_a_router_comes_through_errors_leases_or_logs_s50_s51(
    place: str, log: Callable[[], str], raw_heads: None
) -> None:
    shown: list[str] = []

    async def check(text: str) -> None:
        async with (
            Speaking(text, place) as gateway,
            PortMapper(gateway=gateway.gateway, backends=["upnp"]) as mapper,
        ):
            for operation in (lambda: mapper.map(a_port()), mapper.external_address):
                try:
                    shown.append(f"{await operation()}")
                except NoService as error:
                    shown.extend(told(error))

    await each({**PAYLOADS, **REFERENCES}, check)
    assert any("PWNED" in text for text in shown) == (place in SHOWN)
    assert not [text for text in shown if not is_harmless(text)]
    assert not [line for line in log().split("\n") if not is_harmless(line)]
    assert not any(line.startswith(("portmapper: forged", "INFO forged")) for line in [*shown, *log().split("\n")])


ENTRIES = [
    {"NewRemoteHost": "", "NewInternalClient": "192.0.2.1", "NewPortMappingDescription": "", place: text}
    for place in ("NewRemoteHost", "NewInternalClient", "NewPortMappingDescription")
    for text in [*map(in_xml, PAYLOADS.values()), *REFERENCES.values()]
]


class Listing(RudeIgd):
    """Has a mapping for each payload in each of its texts."""

    def __init__(self) -> None:
        super().__init__(igd=IgdSwitches(version=1))

    def rude(self, method: str, body: bytes, honest: tuple[int, bytes]) -> tuple[int, bytes]:
        if not is_action(body, "GetGenericPortMappingEntry"):
            return honest
        index = int(soap.decode_action(body).arguments["NewPortMappingIndex"])
        if index >= len(ENTRIES):
            return 500, soap.encode_fault(713)
        facts = {"NewExternalPort": str(index + 1), "NewProtocol": "TCP", "NewInternalPort": "80", "NewEnabled": "1"}
        fields = {**facts, "NewLeaseDuration": "60", **ENTRIES[index]}
        content = "".join(f"<{name}>{value}</{name}>" for name, value in fields.items())
        return 200, no_result(f"<GetGenericPortMappingEntryResponse>{content}</GetGenericPortMappingEntryResponse>")


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_list_is_what_the_router_said_and_shows_without_steering_s50() -> None:
    """The texts are the program's to show; the form that a debugger shows is safe by itself."""
    async with Listing() as gateway, PortMapper(gateway=gateway.gateway, backends=["upnp"]) as mapper:
        listed = await mapper.list_mappings()
    assert len(listed) == len(ENTRIES)
    assert any(PAYLOADS["csi-c1"] in one.description for one in listed)
    assert is_harmless(f"{listed}")


Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs the command against a certain simulated gateway; returns exit code, output and complaints."""

    def run(gateway: Callable[[], RudeIgd], *arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(settings, "SimulatedGateway", gateway)
        with pytest.raises(SystemExit) as caught:
            main([*arguments, "--simulate", "--backend", "upnp"])
        return int(caught.value.code or 0), *capsys.readouterr()

    return run


def test_the_list_of_the_command_is_one_line_for_each_mapping_s50(command: Command) -> None:
    code, out, complaints = command(Listing, "list")
    assert (code, complaints) == (0, "")
    assert is_harmless(out)
    assert [line.partition("/tcp to ")[0] for line in out.splitlines()] == [
        str(number + 1) for number in range(len(ENTRIES))
    ]


def test_the_list_of_the_command_for_programs_is_ascii_and_one_object_a_line_s50(command: Command) -> None:
    code, out, complaints = command(Listing, "list", "--json")
    assert (code, complaints) == (0, "")
    assert out.replace("\n", "").isascii()
    assert out.replace("\n", "").isprintable()
    objects = [json.loads(line) for line in out.splitlines()]
    assert [one["external"]["port"] for one in objects] == [number + 1 for number in range(len(ENTRIES))]
    assert {one["event"] for one in objects} == {"listed"}


@pytest.mark.parametrize("form", [(), ("--json",)], ids=["plain", "json"])
@pytest.mark.parametrize("place", ["fault", "address"])
def test_the_command_shows_no_control_characters_of_a_router_s50(
    command: Command, place: str, form: tuple[str, ...]
) -> None:
    arguments = ("map", str(a_port()), "--once") if place == "fault" else ("address",)
    for name, text in {**PAYLOADS, **REFERENCES}.items():
        _, out, complaints = command(lambda text=text: Speaking(text, place), *arguments, *form)
        assert is_harmless(out + complaints), name
        assert len(complaints.splitlines()) == 2
        if form:
            assert out.isascii()
            (line,) = out.splitlines()
            assert json.loads(line)["event"] == "error"
        else:
            assert not out


@pytest.mark.parametrize("place", PLACES)
def test_the_command_shows_none_of_them_from_whatever_place_s50(command: Command, raw_heads: None, place: str) -> None:
    everything = "".join(PAYLOADS[name] for name in ("title", "csi-c1", "bidi-override", "separators", "bell", "tab"))
    for form in ((), ("--json",)):
        _, out, complaints = command(lambda: Speaking(everything, place), "map", str(a_port()), "--once", *form)
        assert is_harmless(out + complaints)


def test_who_has_a_port_is_told_without_control_characters_s50(command: Command) -> None:
    class Taken(RudeIgd):
        def __init__(self, text: str) -> None:
            super().__init__(igd=IgdSwitches(version=1))
            self._text = text

        def rude(self, method: str, body: bytes, honest: tuple[int, bytes]) -> tuple[int, bytes]:
            if not is_action(body, "GetSpecificPortMappingEntry"):
                return honest
            fields = {"NewInternalPort": "80", "NewInternalClient": "127.0.0.9", "NewEnabled": "1"}
            entry = {**fields, "NewPortMappingDescription": self._text, "NewLeaseDuration": "60"}
            return 200, soap.encode_result(soap.decode_action(body), entry)

    for name, text in PAYLOADS.items():
        port = a_port()
        code, out, complaints = command(lambda text=text: Taken(text), "map", f"{port}:{port}", "--exact")
        assert code == 5
        assert "leads to 127.0.0.9 port 80, for " in complaints
        assert is_harmless(out + complaints), name
        assert len(complaints.splitlines()) == 2
