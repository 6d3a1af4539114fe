"""The mapper's side of a mapping: what is held, and how each answer changes it."""

from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from math import inf
from weakref import WeakSet

import anyio

from portmapper import limits
from portmapper.backend import Backend
from portmapper.errors import PortMapperError
from portmapper.model import (
    Changed,
    Closed,
    Event,
    Lease,
    Lost,
    Mapped,
    MappingRequest,
    MappingState,
    Renewed,
    Restored,
)


class EventStream(AsyncIterator[Event]):
    """The events of one mapping, from its present state on; ends after Closed.

    A reader that falls behind loses the oldest events, never the latest.
    """

    def __init__(self) -> None:
        self._events: deque[Event] = deque(maxlen=limits.EVENT_QUEUE)
        self._arrived = anyio.Event()
        self._ended = False

    def push(self, event: Event) -> None:
        """Add an event; of renewals in a row the last is kept."""
        if isinstance(event, Renewed) and self._events and isinstance(self._events[-1], Renewed):
            self._events.pop()
        self._events.append(event)
        self._arrived.set()

    async def __anext__(self) -> Event:
        if self._ended:
            raise StopAsyncIteration
        while not self._events:
            self._arrived = anyio.Event()
            await self._arrived.wait()
        event = self._events.popleft()
        self._ended = isinstance(event, Closed)
        return event


@dataclass(frozen=True, slots=True)
class Grant:
    """A lease, the backend that gave it, and when it was asked for: it cannot have begun before.

    `restored` is whether it was made anew because the gateway had it no more.
    """

    backend: Backend
    lease: Lease
    time: float
    restored: bool = False


class Holding:
    """One wanted mapping with the lease it has now, or had last, and the backend that gave it."""

    def __init__(self, request: MappingRequest, grant: Grant) -> None:
        self.request = request
        self.backend = grant.backend
        self.lease = grant.lease
        self.state = MappingState.MAPPED
        self.wanted = True  # until somebody closes it; what is granted after that is given back,
        self.detached = False  # unless it was to be left on the gateway
        self.ends = inf  # when the lease ends by itself, on the clock of leases: if it began when it was asked for,
        self.ends_at_last = inf  # and if it began when the answer came
        self.problem: PortMapperError | None = None
        self.turn = anyio.Lock()  # one renewal, refresh or release at a time
        self.attempts: set[anyio.CancelScope] = set()  # renewals under way, to be cut short by a release
        self._remaining = 0.0
        self._streams: WeakSet[EventStream] = WeakSet()

    @property
    def closed(self) -> bool:
        """Whether it is over."""
        return self.state is MappingState.CLOSED

    @property
    def lost(self) -> bool:
        """Whether it is wanted, but no gateway grants it now."""
        return self.state is MappingState.LOST

    def may_stand(self, now: float) -> bool:
        """Whether the gateway may have the lease still; one that is lost may be there all the same."""
        return self.ends_at_last > now

    def write_off(self) -> None:
        """Note that there is nothing to take back: it was taken back, or the gateway is out of reach."""
        self.ends = self.ends_at_last = -inf

    def again(self, request: MappingRequest) -> MappingRequest:
        """Return `request` so that it asks for the port that was granted, if it need not be a certain one."""
        port = self.lease.external.port
        if request.exact or not request.internal_port or port + request.count - 1 > limits.LAST_PORT:
            return request
        return replace(request, external_port=port)

    def pin(self) -> None:
        """Let no other external port do than the one that was granted."""
        self.request = replace(self.request, external_port=self.lease.external.port, exact=True)

    def events(self) -> EventStream:
        """Return a new stream that begins with the present state."""
        stream = EventStream()
        if self.state is MappingState.MAPPED:
            stream.push(Mapped(self.lease))
        elif self.closed:
            stream.push(Closed(self.lease, self.problem, self._remaining))
        self._streams.add(stream)
        return stream

    def establish(self, grant: Grant, *, restored: bool) -> None:
        """Take over a grant, and tell what it changed; `restored` is whether the gateway had lost what it grants."""
        old, was_lost, lease = self.lease, self.lost, grant.lease
        self.backend, self.lease, self.state, self.problem = grant.backend, lease, MappingState.MAPPED, None
        if was_lost:
            self._tell(Mapped(lease))
        elif old.external != lease.external:
            self._tell(Changed(old, lease))
        else:
            self._tell(Restored(lease) if restored else Renewed(lease))

    def see(self, lease: Lease) -> None:
        """Take over what the gateway shows of the lease."""
        old, self.lease, self.problem = self.lease, lease, None
        if old.external != lease.external:
            self._tell(Changed(old, lease))

    def lose(self, reason: PortMapperError | None) -> None:
        """Note that the lease is over, for `reason` or that of the last failure."""
        self.problem = reason or self.problem or PortMapperError("the lease ended before it could be renewed")
        self.state = MappingState.LOST
        self._tell(Lost(self.lease, self.problem))

    def end(self, problem: PortMapperError | None, now: float) -> None:
        """Note that the mapping is over; `problem` is why the lease could not be released."""
        self.state, self.problem = MappingState.CLOSED, problem
        self._remaining = max(self.ends - now, 0.0) if problem else 0.0
        self._tell(Closed(self.lease, problem, self._remaining))

    def detach(self, now: float) -> None:
        """Note that the mapping is over for us, while its lease stays on the gateway until it ends."""
        self.state, self.detached = MappingState.CLOSED, True
        self._remaining = max(self.ends - now, 0.0)
        self._tell(Closed(self.lease, None, self._remaining))

    def cut_short(self) -> None:
        """Stop the renewals that are under way."""
        for scope in self.attempts:
            scope.cancel()

    def _tell(self, event: Event) -> None:
        for stream in tuple(self._streams):
            stream.push(event)
