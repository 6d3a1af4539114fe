"""Mapping and its events, without await."""

from collections.abc import Callable, Iterator
from concurrent.futures import wait
from typing import Any

from portmapper import mapping as asynchronous
from portmapper.backend import Backend
from portmapper.background.calls import run
from portmapper.background.residence import Residence
from portmapper.errors import GatewayTimeout, MapperClosed, PortMapperError
from portmapper.holding import EventStream
from portmapper.model import (
    Endpoint,
    Event,
    Gateway,
    IPAddress,
    Lease,
    MappingState,
    Protocol,
    Reachability,
    RemoteFilter,
)
from portmapper.notifying import Callback


class Events(Iterator[Event]):
    """The events of one mapping, from its present state on; ends after Closed. For one thread at a time.

    A reader that falls behind loses the oldest events, never the latest.
    """

    def __init__(self, residence: Residence[Any], stream: EventStream) -> None:
        self._residence = residence
        self._stream = stream

    def __next__(self) -> Event:
        event = self._next(None)
        if event is None:
            raise StopIteration
        return event

    def wait(self, timeout: float) -> Event | None:
        """Return the next event; None if none comes within `timeout` seconds, or after the end."""
        try:
            return self._next(timeout)
        except GatewayTimeout:
            return None

    def _next(self, timeout: float | None) -> Event | None:
        try:
            return self._residence.call(self._read, timeout)
        except MapperClosed:
            wait([self._residence.left], timeout)
            return self._read_the_rest(timeout)

    def _read_the_rest(self, timeout: float | None) -> Event | None:
        try:
            return run(self._read, timeout)  # Closed comes last, so this does not wait
        except MapperClosed:
            return None  # the program ends

    async def _read(self) -> Event | None:
        return await anext(self._stream, None)


class Mapping:
    """A port that is wanted open, and what the gateway grants for it from moment to moment.

    Made by PortMapper.map, which renews it until it is closed. Equal to any other for the same mapping.
    """

    def __init__(self, residence: Residence[Any], mapping: asynchronous.Mapping) -> None:
        self._residence = residence
        self._mapping = mapping

    def __repr__(self) -> str:
        return repr(self._mapping)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mapping) and other._mapping is self._mapping

    def __hash__(self) -> int:
        return hash(self._mapping)

    @property
    def protocol(self) -> Protocol:
        """The transport."""
        return self._mapping.protocol

    @property
    def internal_port(self) -> int:
        """The port on this host."""
        return self._mapping.internal_port

    @property
    def state(self) -> MappingState:
        """Whether a gateway grants it now."""
        return self._mapping.state

    @property
    def external(self) -> Endpoint | None:
        """Where peers reach the port; None while it is lost, and after the end."""
        return self._mapping.external

    @property
    def external_port(self) -> int:
        """The port on the gateway; 0 while there is none."""
        return self._mapping.external_port

    def external_address(self) -> IPAddress:
        """Return the gateway's external address as it was last told. Raises NoMapping while there is none."""
        return self._mapping.external_address()

    @property
    def lease(self) -> Lease:
        """The lease held now, or the last one held."""
        return self._mapping.lease

    @property
    def remaining(self) -> float:
        """The seconds until the lease ends by itself; infinity for one without end, 0 while there is none."""
        return self._mapping.remaining

    @property
    def next_attempt(self) -> float:
        """The seconds until it is renewed, or tried for again while it is lost.

        Infinity while it is being tried for, and after the end.
        """
        return self._mapping.next_attempt

    @property
    def backend(self) -> Backend:
        """The backend that gave the lease."""
        return self._mapping.backend

    @property
    def gateway(self) -> Gateway:
        """The gateway that gave the lease."""
        return self._mapping.gateway

    @property
    def problem(self) -> PortMapperError | None:
        """Why the last attempt to keep it, or to get it back, came to nothing; None after one that succeeded."""
        return self._mapping.problem

    @property
    def reachability(self) -> Reachability:
        """What the external address says about being reached from the Internet."""
        return self._mapping.reachability

    def refresh(self, *, hard: bool = False, timeout: float | None = None) -> None:
        """Renew now. Raises MapperClosed after the end, else the gateway's answer; a lease that is held then stands.

        With `hard` the mapping is taken back first and made again, for a router that says it has the mapping and lets
        nothing in. It may come to another external port, and when it is refused now it is lost. Raises GatewayTimeout
        after `timeout` seconds.
        """
        self._residence.call(lambda: self._mapping.refresh(hard=hard), timeout)

    def restrict(self, *remote: RemoteFilter | str, timeout: float | None = None) -> None:
        """Let only these remote peers in from now on; as `remote` of PortMapper.map, nothing for everybody.

        Raises InvalidRequest, UnsupportedRequest, MapperClosed, or the gateway's answer; the old filters then stand.
        Raises GatewayTimeout after `timeout` seconds.
        """
        self._residence.call(lambda: self._mapping.restrict(*remote), timeout)

    def pin(self) -> None:
        """Have it at this external port or not at all from now on: where that is not to be had any more, it is lost."""
        if self.state is not MappingState.CLOSED:
            self._residence.do(self._mapping.pin)

    def close(self) -> None:
        """Release the lease, within 2 s. Never raises for what a gateway does: the Closed event tells."""
        if self.state is not MappingState.CLOSED:
            self._residence.call(self._mapping.close)

    def detach(self) -> None:
        """Renew no more and leave the lease on the gateway until it ends by itself; one without end stays for good."""
        if self.state is not MappingState.CLOSED:
            self._residence.do(self._mapping.detach)

    def events(self) -> Events:
        """Return a new iterator over the events: the present state first, Closed last; each step waits for the next."""
        try:
            stream = self._residence.do(self._mapping.events)
        except MapperClosed:
            stream = self._mapping.events()  # of one that has ended: nobody changes it any more
        return Events(self._residence, stream)

    def on_event(self, callback: Callback) -> Callable[[], None]:
        """Have `callback` called for each event, as `events` has them; returns a function that ends that.

        It is called in a worker thread, where it may block and use the mapper. (A coroutine function runs in the event
        loop behind this, and may not.) Calls of one callback never overlap. What it raises is logged, and changes
        nothing. Raises MapperClosed when the mapper is not open.
        """
        end = self._residence.do(lambda: self._mapping.on_event(callback))

        def end_there() -> None:
            if not self._residence.left.done():
                self._residence.do(end)

        return end_there
