"""What the answers of several protocols to one question come to: the external address."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from portmapper.errors import PortMapperError
from portmapper.model import IPAddress, Reachability, reachability

Answers: TypeAlias = Mapping[str, IPAddress | PortMapperError | None]
"""What each protocol said, by its name; None: the gateway has no external address now."""

_MEANINGS = {
    Reachability.PUBLIC: "a public address",
    Reachability.DOUBLE_NAT: "a private address: another router stands between this gateway and the Internet",
    Reachability.CGNAT: "shared by your provider (carrier-grade NAT): peers on the Internet cannot reach it",
    Reachability.UNKNOWN: "not an address of the Internet",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """`address` is what the best protocol said; `agree` whether all said the same, None if there were not two."""

    address: IPAddress | None
    agree: bool | None


def judge(answers: Answers) -> Verdict:
    """Return what the answers come to; errors do not count."""
    told = [one for one in answers.values() if not isinstance(one, PortMapperError)]
    agree = len(set(told)) == 1 if len(told) > 1 else None
    return Verdict(next((one for one in told if one is not None), None), agree)


def verdict_line(answers: Answers) -> str:
    """Return the verdict in words."""
    verdict = judge(answers)
    names = [name for name, one in answers.items() if not isinstance(one, PortMapperError)]
    who = f"{_listing(names)} {'agree' if len(names) > 1 else 'says so'}"
    if verdict.agree is False:
        who = f"warning: {_listing(names)} differ"
    if verdict.address is None:
        return f"{who}: the gateway has no external address now"
    alarm = "" if verdict.agree is False or reachability(verdict.address) not in _ALARMING else "warning: "
    return f"{alarm}{who}: {verdict.address} is {meaning(verdict.address)}"


def meaning(address: IPAddress) -> str:
    """Return what an external address promises, in words that follow "is"."""
    return _MEANINGS[reachability(address)]


_ALARMING = {Reachability.DOUBLE_NAT, Reachability.CGNAT}


def _listing(names: Iterable[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
