"""What to ask next when a device refuses to add a mapping. No I/O: the other ports to try are an argument."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from portmapper import limits
from portmapper.model import Lease, MappingRequest

_CONFLICT = {718, 729}
_FAILED = 501  # some devices say so for a conflict, others for a finite lease
_NO_WILDCARD = 716
_SAME_PORT = 724
_ONLY_PERMANENT = 725
_BAD_ARGUMENT = 402
_TOO_LONG = 605
_VENDOR = range(800, 900)  # UDA 1.1 clause 3.2.2
_FIRST_UNPRIVILEGED = 1024


@dataclass(frozen=True, slots=True)
class Attempt:
    """One form of the request. `any_port` is AddAnyPortMapping; `lifetime` 0 asks for a mapping without end."""

    external_port: int
    lifetime: int
    description: str
    any_port: bool = False


@dataclass(frozen=True, slots=True)
class Habits:
    """Which forms a device was seen to need, so that the next mapping starts with them."""

    permanent: bool = False
    same_port: bool = False
    short_text: bool = False


def renewal(request: MappingRequest, lease: Lease, habits: Habits) -> Attempt:
    """Return what to ask to extend `lease`: what was granted."""
    return Attempt(
        lease.external.port, 0 if lease.permanent else _lease(request), _text(request, short=habits.short_text)
    )


class Ladder:
    """The attempts for one new mapping, from the best form to the last resort; each is made once."""

    def __init__(
        self, request: MappingRequest, habits: Habits, *, version: int, permanent: bool, ports: Iterator[int]
    ) -> None:
        self._request = request
        self._version = version
        self._permanent = permanent
        self._ports = ports
        self._other_ports = 0
        self._habits = habits
        self._may_be_finite = habits.permanent and permanent  # what it wanted once, it may want no more
        self.attempt = Attempt(
            self._wish(), 0 if self._may_be_finite else _lease(request), _text(request, short=habits.short_text)
        )
        self._made = {self.attempt}

    @property
    def habits(self) -> Habits:
        """What the device is seen to need when it takes the present attempt."""
        return replace(self._habits, permanent=not self.attempt.lifetime)

    def climb(self, code: int) -> bool:
        """Go on to what to ask after the device said no with `code`; False when there is nothing left to try."""
        for following in self._following(code):
            if following not in self._made:
                self._made.add(following)
                self.attempt = following
                return True
        return False

    def _following(self, code: int) -> Iterator[Attempt]:
        """Yield what may help against `code`, best first."""
        attempt = self.attempt
        if code == _TOO_LONG:
            self._habits = replace(self._habits, short_text=True)
            yield replace(attempt, description=_text(self._request, short=True))
        if attempt.lifetime and self._permanent and self._wants_permanent(code):
            port = self._wish() if code == _FAILED else attempt.external_port  # then the port was not the reason
            yield replace(attempt, lifetime=0, external_port=port)
        if code == _BAD_ARGUMENT and not attempt.lifetime and self._may_be_finite:
            self._may_be_finite = False
            yield replace(attempt, lifetime=_lease(self._request))
        if not self._request.exact:
            yield from self._elsewhere(code)

    def _wants_permanent(self, code: int) -> bool:
        # Version 2 has no mappings without end (WANIPConnection:2 section 2.3.16); only 725 is to be believed there.
        picky = code in {_BAD_ARGUMENT, *_VENDOR} or code < 0 or (code == _FAILED and self._may_be_the_lease())
        return code == _ONLY_PERMANENT or (picky and self._version == 1 and not self.attempt.any_port)

    def _may_be_the_lease(self) -> bool:
        return self._request.exact or self._other_ports > 0  # another port made no difference

    def _elsewhere(self, code: int) -> Iterator[Attempt]:
        """Yield the same at other external ports, if the port may be the reason."""
        attempt = self.attempt
        if code == _SAME_PORT:
            self._habits = replace(self._habits, same_port=True)
            yield replace(attempt, external_port=self._request.internal_port, any_port=False)
            return
        conflict = code in {*_CONFLICT, _FAILED}
        # Not at the port that is taken: a device may take that for a change of what this host has there.
        any_port = conflict and self._version > 1 and attempt.external_port == self._wish() and not attempt.any_port
        privileged = attempt.external_port < _FIRST_UNPRIVILEGED  # which some devices refuse with any code
        if conflict or attempt.any_port or code == _NO_WILDCARD or privileged:
            self._other_ports += 1
            for port in self._ports:
                yield replace(attempt, external_port=port, any_port=any_port)

    def _wish(self) -> int:
        # Port 0 would be a wildcard: all ports (WANIPConnection:2 section 2.3.18).
        if self._habits.same_port and not self._request.exact:
            return self._request.internal_port
        return self._request.external_port or self._request.internal_port


def _lease(request: MappingRequest) -> int:
    return min(request.lifetime, limits.UPNP_LIFETIME)


def _text(request: MappingRequest, *, short: bool) -> str:
    return request.description[: limits.SHORT_DESCRIPTION] if short else request.description
