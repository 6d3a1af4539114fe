"""Verdict and findings as text for a person: the verdict first, then what to do, then what was seen. No I/O."""

from collections.abc import Callable, Iterable, Iterator
from textwrap import wrap

from portmapper import limits
from portmapper.doctor.findings import (
    Connection,
    Device,
    Findings,
    FirstQuestion,
    GatewayFindings,
    Interface,
    PortFindings,
    Search,
    Trial,
)
from portmapper.doctor.problem import Problem
from portmapper.doctor.reach import refusal_words
from portmapper.doctor.verdict import Verdict
from portmapper.model import ListedMapping
from portmapper.text import safe_text

_LONGEST, _BYTES = 2000, 32
WIDTH = 100  # a line that is longer is hard to read


def report_lines(
    verdict: Verdict, findings: Findings, mask: Callable[[str], str] = str, width: int = WIDTH
) -> Iterator[str]:
    """Yield the lines of the report; nothing in them can steer a terminal.

    What is to be masked has to be before a text is cut or broken into lines: `mask` does that.
    """

    def lines(text: str, first: str = "") -> list[str]:
        return _lines(mask(text), first, width)

    yield from lines(verdict.headline)
    yield from _section("What to do", (lines(one, "  * ") for one in verdict.advice))
    yield from _section("Also", (_other(one, lines) for one in verdict.others))
    yield from _section("What was seen", (lines(text, f"  {label:<10}") for label, text in _evidence(findings)))


def _section(title: str, parts: Iterable[Iterable[str]]) -> Iterator[str]:
    lines = [line for part in parts for line in part]
    if lines:
        yield from ("", title, *lines)


def _other(one: Problem, lines: Callable[[str, str], list[str]]) -> Iterator[str]:
    yield from lines(one.headline, "  * ")
    for advice in one.advice:
        yield from lines(advice, "    - ")


def _lines(text: str, first: str, width: int) -> list[str]:
    shown = safe_text(text, limit=_LONGEST)
    rest = " " * len(first)
    return wrap(
        shown, width, initial_indent=first, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False
    )


def _evidence(findings: Findings) -> Iterator[tuple[str, str]]:
    for interface in findings.network.interfaces:
        if not interface.loopback:
            yield "link", _interface(interface)
    for candidate, gateway in findings.network.candidates[: limits.DOCTOR_EVIDENCE]:
        reached = "" if gateway else ", which cannot be asked"
        yield (
            "route",
            f"{candidate.gateway or 'a tunnel'} through {candidate.interface}{reached}: "
            + "; ".join(candidate.reasons),
        )
    for one in findings.gateways:
        yield from _gateway(one)
    if findings.gateways:
        yield "firewall", _firewall(findings)
    if findings.port is not None:
        yield from _port(findings, findings.port)
    yield "took", f"{findings.seconds:.1f} s; no host outside was asked, and no name looked up"


def _interface(one: Interface) -> str:
    state = "up" if one.up and one.running else "no cable or radio link" if one.up else "switched off"
    kind = ", a tunnel" if one.tunnel else ""
    return f"{one.name}: {state}{kind}, {', '.join(map(str, one.addresses)) or 'no address'}"


def _gateway(one: GatewayFindings) -> Iterator[tuple[str, str]]:
    alive = {True: "; it is there on the link", False: "; it is not there on the link", None: ""}[one.neighbour.alive]
    hardware = f" ({one.neighbour.hardware})" if one.neighbour.hardware else ""
    yield "router", f"{one.gateway}{hardware}, asked from {one.gateway.source}{alive}"
    for question in one.questions:
        yield question.backend, f"{one.gateway}: {_question(question)}"
    if one.search is not None:
        yield "upnp", f"{one.gateway}: {_search(one.search)}"
    for device in one.devices:
        yield "device", _device(device)
        for connection in device.connections:
            yield "", _connection(connection)


def _question(one: FirstQuestion) -> str:
    result = f" {one.result}" if one.result else ""
    address = f", external address {one.address}" if one.address else ""
    why = f" ({refusal_words(one.refusal)})" if one.refusal else ""
    received = f", received {_hex(one.received)}" if one.received else ""
    sent = f"sent {_hex(one.sent)} {_count(one.times, 'time')}"
    return f"{one.outcome}{result}{why} after {_time(one.seconds)}{address}; {sent}{received}"


def _search(one: Search) -> str:
    why = f" ({one.refusal.text})" if one.refusal else ""
    odd = f", {one.nonsense} that make no sense" if one.nonsense else ""
    told = [f"{each.sender} after {_time(each.seconds)}: {each.location} ({each.server})" for each in one.answers]
    number = _count(len(told), "answer")
    return "; ".join([f"{one.outcome}{why} in {_time(one.seconds)}, {number}{odd}", *told[: limits.DOCTOR_EVIDENCE]])


def _device(one: Device) -> str:
    if one.problem:
        return f"{one.address}: of no use, {one.problem}"
    names = " ".join(filter(None, (one.manufacturer, one.model))) or "without a name"
    firewall = ", opens an IPv6 firewall" if one.firewall else ""
    return f"{one.address}: {names} ({one.friendly_name}), {_count(len(one.connections), 'WAN connection')}{firewall}"


def _connection(one: Connection) -> str:
    kind = ":".join(one.service_type.split(":")[-2:])
    if one.problem:
        return f"{kind}: {one.problem}"
    nat = {True: ", translates addresses", False: ", translates no addresses", None: ""}[one.nat]
    address = str(one.address) if one.address else "none" if one.told_address else "not told"
    return f"{kind}: {one.status or 'no status'} {one.connection_type}{nat}, external address {address}"


def _firewall(findings: Findings) -> str:
    one = findings.firewall
    unknown = "; whether its rules stop anything only root can see" if one.drops_incoming is None else ""
    incoming = "; drops what comes in unless a rule takes it" if one.drops_incoming else ""
    outgoing = "; stops some of what leaves" if one.stops_outgoing else ""
    return f"of this host: {', '.join(one.active) or 'none seen'}{incoming}{outgoing}{unknown}"


def _port(findings: Findings, port: PortFindings) -> Iterator[tuple[str, str]]:
    if port.listeners is None:
        yield "port", f"{port.request}: who listens there this system does not tell"
    else:
        where = ", ".join(str(one.local) for one in port.listeners)
        yield "port", f"{port.request}: {f'a program listens on {where}' if where else 'no program listens'}"
    for noted in port.noted:
        where = f" at {noted.note.external}" if noted.note.external else ""
        yield "journal", f"{noted.program} (process {noted.pid}) has it: {noted.note.state}{where}"
    for listed in port.listed or ():
        yield "list", _listed(listed)
    yield from (("not known", text) for text in port.unknown)
    for trial in port.trials:
        yield "trial", _trial(trial)
    if port.is_claimed:
        yield "trial", "none was made: what a program of this host has or asks for was not touched"
    elif not port.trials and findings.gateways:
        yield "trial", "none was made: there was no service to ask"


def _listed(one: ListedMapping) -> str:
    whose = "this host" if one.own else one.internal_client
    named = f" ({one.description})" if one.description else ""
    return f"{one.external_port}/{one.protocol} leads to {whose} port {one.internal_port}{named}"


def _trial(one: Trial) -> str:
    if one.external is None:
        return f"{one.backend}: not granted after {_time(one.seconds)}: {one.problem}"
    shown = {True: ", shown in the router's list", False: ", not shown in the router's list", None: ""}[one.shown]
    end = f"for {one.lifetime} s" if one.lifetime else "without end"
    gone = f"NOT REMOVED: {one.left}" if one.left else "removed again"
    return (
        f"{one.backend}: {one.internal} was open at {one.external} {end}{shown}; {gone} ({_time(one.seconds)} in all)"
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _hex(data: bytes) -> str:
    more = f"... ({len(data)} bytes)" if len(data) > _BYTES else ""
    return f"{data[:_BYTES].hex()}{more}"


def _time(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
