"""A gateway whose PCP server answers otherwise than it should, and what a gateway was asked."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from portmapper.backend import BackendOptions
from portmapper.model import IPAddress
from portmapper.pcp import wire
from portmapper.pcp.backend import PcpBackend
from portmapper.testing import SimulatedGateway

Change = Callable[[wire.Response], Iterable[wire.Response]]
"""What is sent instead of the true answer."""


class Lying(SimulatedGateway):
    """Speaks PCP alone, and sends what `change` makes of each answer."""

    def __init__(self, change: Change = lambda answer: [answer], **switches: Any) -> None:
        super().__init__(natpmp=False, upnp=False, **switches)
        self.change = change

    def answer_datagram(self, data: bytes, sender: IPAddress) -> list[bytes]:
        answers = [wire.decode_response(answer) for answer in super().answer_datagram(data, sender)]
        return [lie.encode() for answer in answers for lie in self.change(answer)]


def with_changes(**changes: Any) -> Change:
    """Return the change that gives each answer about a mapping these fields."""

    def change(answer: wire.Response) -> list[wire.Response]:
        about_mapping = isinstance(answer, wire.MapResponse | wire.PeerResponse)
        return [replace(answer, **changes) if about_mapping else answer]

    return change


def asked(simulated: SimulatedGateway) -> list[wire.Request]:
    """Return the PCP requests that came."""
    return [wire.decode_request(data) for data in simulated.datagrams if data[0] == wire.VERSION]


def maps(simulated: SimulatedGateway) -> list[wire.MapRequest]:
    """Return the MAP requests that came."""
    return [one for one in asked(simulated) if isinstance(one, wire.MapRequest)]


def peers(simulated: SimulatedGateway) -> list[wire.PeerRequest]:
    """Return the PEER requests that came."""
    return [one for one in asked(simulated) if isinstance(one, wire.PeerRequest)]


def codes(request: wire.Request) -> list[int]:
    """Return the codes of the options of a request."""
    return [option.code for option in request.options]


def backend_of(simulated: SimulatedGateway, losses: list[str] | None = None, *, key: bytes = bytes(32)) -> PcpBackend:
    """Return a backend that was not opened, so that nothing was asked; it notes each loss of state."""

    def lost() -> None:
        if losses is not None:
            losses.append("lost")

    return PcpBackend(simulated.gateway, BackendOptions(timeout=2, key=key, state_lost=lost))
