"""What was refused, and until when not to ask again (RFC 6887 sections 8.3 and 11.4). No I/O."""

from collections import OrderedDict
from dataclasses import dataclass

from portmapper import limits
from portmapper.errors import RequestRefused
from portmapper.model import MappingRequest


@dataclass(frozen=True, slots=True)
class _Refusal:
    error: RequestRefused
    until: float


class Refusals:
    """Remembers the refusals of one gateway for as long as they hold."""

    def __init__(self) -> None:
        self._refusals: OrderedDict[tuple[str, MappingRequest | None], _Refusal] = OrderedDict()

    def note(self, backend: str, request: MappingRequest | None, error: RequestRefused, now: float) -> None:
        """Remember that `backend` refused `request`; a general refusal counts for any other new mapping too."""
        if error.retry_after is None:
            return
        self._refusals[backend, None if error.general else request] = _Refusal(error, now + error.retry_after)
        while len(self._refusals) > limits.REFUSALS:
            self._refusals.popitem(last=False)

    def check(self, backend: str, request: MappingRequest, now: float, *, renewal: bool = False) -> None:
        """Raise RequestRefused when the gateway said not long ago that it would refuse this."""
        keys: list[tuple[str, MappingRequest | None]] = [(backend, request)]
        if not renewal:
            keys.append((backend, None))  # a general refusal leaves renewals, or every lease would be lost
        for key in keys:
            refusal = self._refusals.get(key)
            if refusal is not None and now < refusal.until:
                raise _again(refusal.error, refusal.until - now)
            self._refusals.pop(key, None)

    def clear(self) -> None:
        """Forget all: it is another gateway, or one that has started afresh."""
        self._refusals.clear()


def _again(error: RequestRefused, left: float) -> RequestRefused:
    return RequestRefused(
        f"{error}; it is not asked again for {left:.0f} s",
        code=error.code,
        name=error.name,
        retry_after=left,
        lasting=error.lasting,
        general=error.general,
        remembered=True,
    )
