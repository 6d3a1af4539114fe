"""Say what is wrong: findings in, a verdict out. No I/O.

The verdicts, the most decisive first, are those of `Code`; docs/doctor.md has a table of them.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from portmapper.doctor.findings import Findings, GatewayFindings, PortFindings
from portmapper.doctor.granting import external_addresses, granting_problems
from portmapper.doctor.listening import listening_problems
from portmapper.doctor.problem import Code, Problem
from portmapper.doctor.reach import network_problems, port_words, service_problems, services
from portmapper.doctor.wording import remark
from portmapper.model import Endpoint

_ORDER = {code: place for place, code in enumerate(Code)}
_FROM_OUTSIDE = (
    "Nobody outside was asked. To test the rest, connect from outside while the port is open: from a phone with "
    "its Wi-Fi switched off, say."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What is wrong in a sentence, and what to do first. `others` are further problems, in their order.

    `well` is whether people can come in, as far as that shows from here.
    """

    code: Code
    headline: str
    advice: tuple[str, ...]
    well: bool
    others: tuple[Problem, ...] = ()


def verdict(findings: Findings) -> Verdict:
    """Return what the findings mean: the most decisive problem as the headline, the others after it."""
    found = [
        *network_problems(findings),
        *service_problems(findings),
        *granting_problems(findings),
        *listening_problems(findings),
    ]
    ranked = _once(sorted(found, key=lambda one: (not one.blocking, _ORDER[one.code])))
    well = not any(one.blocking for one in ranked)
    chosen, *others = ranked or [_all_well(findings)]
    more = tuple(_next_steps(findings)) if well else ()
    return Verdict(
        code=chosen.code, headline=chosen.headline, advice=(*chosen.advice, *more), well=well, others=tuple(others)
    )


def _once(problems: Iterable[Problem]) -> list[Problem]:
    """Return the first of each kind."""
    kinds: dict[Code, Problem] = {}
    for one in problems:
        kinds.setdefault(one.code, one)
    return list(kinds.values())


def _all_well(findings: Findings) -> Problem:
    first, port = findings.first, findings.port
    what = "there is nothing to ask"
    if first is not None:
        what = _router_words(findings, first) if port is None else _port_words(findings, port)
    return remark(Code.OK, what=what)


def _router_words(findings: Findings, first: GatewayFindings) -> str:
    address = next(iter(external_addresses(findings).values()), None)
    outside = f"; its external address is {address}" if address else ""
    return f"the router at {first.gateway} answers by {', '.join(services(first))}{outside}"


def _port_words(findings: Findings, port: PortFindings) -> str:
    if port.is_open:
        where = _where_open(findings, port)
        return f"{port.request} is open already{f' at {where}' if where else ''}"
    made = next((one.external for one in port.trials if one.external), None)
    at = f", and would be reached at {made}" if made and made.address else ""
    return f"{port.request} can be opened{at}"


def _where_open(findings: Findings, port: PortFindings) -> Endpoint | None:
    noted = next((one.note.external for one in port.noted if one.note.external), None)
    listed = next((one.external_port for one in port.listed or () if one.own), 0)
    address = next(iter(external_addresses(findings).values()), None)
    return noted or (Endpoint(address, listed) if listed else None)


def _next_steps(findings: Findings) -> Iterator[str]:
    port, active = findings.port, findings.firewall.active
    if port is None:
        yield "Name the port to have more looked at: portmapper doctor PORT."
    elif not port.is_open:
        yield f"Open it: portmapper map {port.request}."
    if active:
        yield f"The firewall of this host ({', '.join(active)}) is on: see that it lets {port_words(findings)} in."
    yield _FROM_OUTSIDE
