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
    lifetime = 0 if lease.permanent else min(request.lifetime, limits.UPNP_LIFETIME)
    return Attempt(lease.external.port, lifetime, _text(request, short=habits.short_text))


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
        self.habits = habits
        self.attempt = Attempt(
            self._wish(),
            0 if habits.permanent and permanent else min(request.lifetime, limits.UPNP_LIFETIME),
            _text(request, short=habits.short_text),
        )
        self._made = {self.attempt}

    def climb(self, code: int) -> bool:
        """Go on to what to ask after the device said no with `code`; False when there is nothing left to try."""
        following = self._same_port_otherwise(code) or self._other_port(code)
        if following is None or following in self._made:
            return False
        self._made.add(following)
        self.attempt = following
        return True

    def _same_port_otherwise(self, code: int) -> Attempt | None:
        attempt = self.attempt
        if code == _TOO_LONG and not self.habits.short_text:
            self.habits = replace(self.habits, short_text=True)
            return replace(attempt, description=_text(self._request, short=True))
        if attempt.lifetime and self._permanent and self._wants_permanent(code):
            self.habits = replace(self.habits, permanent=True)
            port = self._wish() if code == _FAILED else attempt.external_port  # then the port was not the reason
            return replace(attempt, lifetime=0, external_port=port)
        if code == _BAD_ARGUMENT and not attempt.lifetime:  # what it wanted once, it wants no more
            self.habits = replace(self.habits, permanent=False)
            return replace(attempt, lifetime=min(self._request.lifetime, limits.UPNP_LIFETIME))
        return None

    def _wants_permanent(self, code: int) -> bool:
        # Version 2 has no mappings without end (WANIPConnection:2 section 2.3.16); only 725 is to be believed there.
        picky = code in {_BAD_ARGUMENT, *_VENDOR} or code < 0 or (code == _FAILED and self._may_be_the_lease())
        return code == _ONLY_PERMANENT or (picky and self._version == 1 and not self.attempt.any_port)

    def _may_be_the_lease(self) -> bool:
        return self._request.exact or self._other_ports > 0  # another port made no difference

    def _other_port(self, code: int) -> Attempt | None:
        attempt, wish = self.attempt, self._wish()
        if self._request.exact:
            return None
        if code == _SAME_PORT:
            self.habits = replace(self.habits, same_port=True)
            return replace(attempt, external_port=self._request.internal_port, any_port=False)
        conflict = code in {*_CONFLICT, _FAILED}
        if conflict and self._version > 1 and not attempt.any_port and attempt.external_port == wish:
            # Not at the port that is taken: a device may take that for a change of what this host has there.
            following = self._next_port()
            return None if following is None else replace(following, any_port=True)
        privileged = attempt.external_port < _FIRST_UNPRIVILEGED  # which some devices refuse with any code
        if conflict or attempt.any_port or code == _NO_WILDCARD or privileged:
            return self._next_port()
        return None

    def _next_port(self) -> Attempt | None:
        port = next(self._ports, None)
        self._other_ports += 1
        return None if port is None else replace(self.attempt, external_port=port, any_port=False)

    def _wish(self) -> int:
        # Port 0 would be a wildcard: all ports (WANIPConnection:2 section 2.3.18).
        if self.habits.same_port and not self._request.exact:
            return self._request.internal_port
        return self._request.external_port or self._request.internal_port


def _text(request: MappingRequest, *, short: bool) -> str:
    return request.description[: limits.SHORT_DESCRIPTION] if short else request.description
