"""Choose among the answers to a search: bounded, without doubles, the default gateway's own first. No I/O."""

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Address, IPv6Network

from portmapper import limits
from portmapper.errors import ProtocolError
from portmapper.model import Gateway, IPAddress
from portmapper.upnp import ssdp


@dataclass(frozen=True, slots=True)
class Candidate:
    """A device that answered: from where, and what it said."""

    address: IPAddress
    answer: ssdp.Answer


class AnswerTable:
    """What answered one search. Whatever a neighbour sends, the gateway's own answers keep their place (S5, S34)."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway.address
        self._link = on_link(gateway)
        self._waiting: list[Candidate] = []
        self._seen: set[tuple[IPAddress, str]] = set()
        self._counts: dict[IPAddress, int] = {}

    def add(self, data: bytes, sender: IPAddress) -> None:
        """Take a datagram; what is no answer of a gateway on this link changes nothing."""
        if not self._has_room(sender):
            return
        try:
            answer = ssdp.decode_answer(data)
        except ProtocolError:
            return
        self._counts[sender] = self._counts.get(sender, 0) + 1
        if ssdp.is_gateway(answer.target) and (sender, answer.location) not in self._seen:
            self._seen.add((sender, answer.location))
            self._waiting.append(Candidate(sender, answer))

    def next(self, *, others: bool) -> Candidate | None:
        """Return the best device that was not returned before; one that is not the gateway only if `others` may be."""
        usable = [one for one in self._waiting if others or self.is_gateway(one.address)]
        best = min(usable, key=self._rank, default=None)
        if best is not None:
            self._waiting.remove(best)
        return best

    def is_gateway(self, address: IPAddress) -> bool:
        """Whether an address is the gateway's own; a zone is no part of it."""
        return address.packed == self._gateway.packed

    def _has_room(self, sender: IPAddress) -> bool:
        if self.is_gateway(sender):
            return self._counts.get(sender, 0) < limits.SEARCH_ANSWERS
        if not self._is_near(sender) or self._counts.get(sender, 0) >= limits.ANSWERS_PER_HOST:
            return False
        others = sum(count for address, count in self._counts.items() if not self.is_gateway(address))
        return others < limits.SEARCH_ANSWERS

    def _is_near(self, sender: IPAddress) -> bool:
        link_local = isinstance(sender, IPv6Address) and sender.is_link_local
        return link_local or (self._link is not None and sender in self._link)

    def _rank(self, candidate: Candidate) -> tuple[bool, int]:
        return (not self.is_gateway(candidate.address), ssdp.rank(candidate.answer.target))


def on_link(gateway: Gateway) -> IPv4Network | IPv6Network | None:
    """Return the network of the link to a gateway, None if it is not known."""
    if gateway.network is None and isinstance(gateway.source, IPv6Address):
        return IPv6Network((gateway.source.packed[:8] + bytes(8), 64))  # RFC 4291 section 2.5.4
    return gateway.network
