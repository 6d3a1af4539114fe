"""PORT[:EXTERNAL][/PROTOCOL] on the command line: one port, a range of them, or TCP and UDP of each."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

from portmapper import limits
from portmapper.errors import InvalidRequest
from portmapper.model import MappingRequest, Protocol
from portmapper.text import safe_text

_ALL, _BOTH = "all", "both"
_WORD = re.compile(r"(all|\d{1,5})(?:-(\d{1,5}))?(?::(\d{1,5})(?:-(\d{1,5}))?)?(?:/(.*))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Wish:
    """One port to open; with `both`, by TCP and UDP at one external port."""

    request: MappingRequest
    both: bool = False

    @property
    def requests(self) -> tuple[MappingRequest, ...]:
        """What is asked for: one mapping, or one by each protocol."""
        protocols = (Protocol.TCP, Protocol.UDP) if self.both else (self.request.protocol,)
        return tuple(replace(self.request, protocol=protocol) for protocol in protocols)

    def __str__(self) -> str:
        return f"{self.request.internal_port}/{_BOTH}" if self.both else str(self.request)


def parse_ports(texts: Sequence[str], *, external: int | None = None, **options: Any) -> tuple[Wish, ...]:
    """Return the wishes that `texts` and the other fields of a request stand for, in their order.

    `external` is the wished external port, if a single port is named without one. Raises InvalidRequest.
    """
    wishes: list[Wish] = []
    for text in _with_external(texts, external):
        wishes += _parse(text, **options)
        if sum(len(wish.requests) for wish in wishes) > limits.COMMAND_PORTS:
            raise InvalidRequest(f"one command opens at most {limits.COMMAND_PORTS} ports")
    _check_different(wishes)
    return tuple(wishes)


def _parse(text: str, **options: Any) -> list[Wish]:
    found = _WORD.fullmatch(text)
    if found is None:
        raise _nonsense(text)
    first, last, external, external_last, name = found.groups()
    both = name is not None and name.lower() == _BOTH
    protocol = Protocol.TCP if both or name is None else Protocol.parse(name)
    if first == _ALL:
        return [_all_ports(text, protocol, both=both, ranged=last, external=int(external or 0), **options)]
    count = _length(text, int(first), int(last or first))
    wished = int(external) if external else 0
    if external_last is not None and _length(text, wished, int(external_last)) != count:
        raise InvalidRequest(f"{safe_text(text)!r} names {count} ports and another number of external ones")
    return [
        Wish(
            MappingRequest(
                protocol=protocol,
                internal_port=int(first) + offset,
                external_port=wished + offset if wished else 0,
                **options,
            ),
            both,
        )
        for offset in range(count)
    ]


def _all_ports(text: str, protocol: Protocol, *, both: bool, ranged: str | None, external: int, **options: Any) -> Wish:
    if both:
        raise InvalidRequest("all ports have no external port that TCP and UDP could share: name all/tcp all/udp")
    if ranged is not None:
        raise _nonsense(text)
    return Wish(
        MappingRequest(
            protocol=protocol, internal_port=0, external_port=external, all_ports=protocol.has_ports, **options
        )
    )


def _length(text: str, first: int, last: int) -> int:
    if last < first:
        raise InvalidRequest(f"{safe_text(text)!r} is a range that ends before it begins")
    if last - first >= limits.COMMAND_PORTS:
        raise InvalidRequest(f"{safe_text(text)!r} is more than {limits.COMMAND_PORTS} ports")
    return last - first + 1


def _with_external(texts: Sequence[str], external: int | None) -> Iterable[str]:
    if external is None:
        return texts
    internal, slash, name = texts[0].partition("/")
    if len(texts) > 1 or ":" in internal or "-" in internal:
        raise InvalidRequest("--external goes with one port: for several write PORT:EXTERNAL")
    return (f"{internal}:{external}{slash}{name}",)


def _check_different(wishes: Iterable[Wish]) -> None:
    for one, other in combinations([request for wish in wishes for request in wish.requests], 2):
        if one.overlaps(other):
            raise InvalidRequest(f"{other} is named twice")


def _nonsense(text: str) -> InvalidRequest:
    return InvalidRequest(f"{safe_text(text)!r} is not PORT[:EXTERNAL][/PROTOCOL]")
