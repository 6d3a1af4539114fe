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
from portmapper.model import Changed, Closed, Event, Lease, Lost, Mapped, MappingRequest, MappingState, Renewed


class EventStream(AsyncIterator[Event]):
    """The events of one mapping, from its present state on; ends after Closed.

    A reader that falls behind loses the oldest events, never the latest.
    """

    def __init__(self) -> None:
        self._events: deque[Event] = deque(maxlen=limits.EVENT_QUEUE)
        self._arrived = anyio.Event()
        self._ended = False

    def push(self, event: Event) -> None:
        """Add an event."""
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
    """A lease, the backend that gave it, and when it was asked for: it cannot have begun before."""

    backend: Backend
    lease: Lease
    time: float


class Holding:
    """One wanted mapping with the lease it has now, or had last, and the backend that gave it."""

    def __init__(self, request: MappingRequest, grant: Grant) -> None:
        self.request = request
        self.backend = grant.backend
        self.lease = grant.lease
        self.state = MappingState.MAPPED
        self.ends = inf  # when the lease ends by itself, on the clock of leases
        self.problem: PortMapperError | None = None
        self.failures = 0
        self.asked = grant.time  # when the gateway was last asked for it
        self.doubted = False  # the gateway has lost its state: the lease may be gone before its time
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

    def again(self, request: MappingRequest) -> MappingRequest:
        """Return `request` so that it asks for the port that was granted, if it need not be a certain one."""
        port = self.lease.external.port
        if request.exact or not request.internal_port or port + request.count - 1 > limits.LAST_PORT:
            return request
        return replace(request, external_port=port)

    def is_twin_of(self, other: "Holding") -> bool:
        """Whether both have the same external port on the same gateway, one by TCP and one by UDP."""
        mine, others = self.lease, other.lease
        same = (mine.gateway, mine.backend, mine.external.port) == (
            others.gateway,
            others.backend,
            others.external.port,
        )
        return same and mine.external.port != 0 and self.request.protocol != other.request.protocol and not other.lost

    def events(self) -> EventStream:
        """Return a new stream that begins with the present state."""
        stream = EventStream()
        if self.state is MappingState.MAPPED:
            stream.push(Mapped(self.lease))
        elif self.closed:
            stream.push(Closed(self.lease, self.problem, self._remaining))
        self._streams.add(stream)
        return stream

    def establish(self, grant: Grant) -> None:
        """Take over a grant, and tell what it changed."""
        old, was_lost, lease = self.lease, self.lost, grant.lease
        self.backend, self.lease, self.state = grant.backend, lease, MappingState.MAPPED
        self.problem, self.failures, self.doubted = None, 0, False
        if was_lost:
            self._tell(Mapped(lease))
        elif old.external == lease.external:
            self._tell(Renewed(lease))
        else:
            self._tell(Changed(old, lease))

    def fail(self, problem: PortMapperError) -> None:
        """Note that an attempt came to nothing; a lease that is held stands until it ends."""
        self.problem = problem
        self.failures += 1

    def lose(self) -> None:
        """Note that the lease has ended."""
        self.state, self.failures = MappingState.LOST, 0
        reason = self.problem or PortMapperError("the lease ended before it could be renewed")
        self._tell(Lost(self.lease, reason))

    def end(self, problem: PortMapperError | None, now: float) -> None:
        """Note that the mapping is over; `problem` is why the lease could not be released."""
        self.state, self.problem = MappingState.CLOSED, problem
        self._remaining = max(self.ends - now, 0.0) if problem else 0.0
        self._tell(Closed(self.lease, problem, self._remaining))

    def detach(self, now: float) -> None:
        """Note that the mapping is over for us, while its lease stays on the gateway until it ends."""
        self.state = MappingState.CLOSED
        self._remaining = max(self.ends - now, 0.0)
        self._tell(Closed(self.lease, None, self._remaining))

    def cut_short(self) -> None:
        """Stop the renewals that are under way."""
        for scope in self.attempts:
            scope.cancel()

    def _tell(self, event: Event) -> None:
        for stream in tuple(self._streams):
            stream.push(event)
