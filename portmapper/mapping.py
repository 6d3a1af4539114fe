"""Mapping: what the user holds."""

from collections.abc import Callable
from typing import Protocol as Interface

from portmapper.backend import Backend
from portmapper.errors import NoMapping, PortMapperError
from portmapper.holding import EventStream, Holding
from portmapper.model import (
    Endpoint,
    Gateway,
    IPAddress,
    Lease,
    MappingState,
    Protocol,
    Reachability,
    RemoteFilter,
    reachability,
)
from portmapper.net import clock
from portmapper.notifying import Callback
from portmapper.request import parse_remote


class Owner(Interface):
    """What a mapping needs of the mapper that keeps it."""

    async def refresh(self, holding: Holding, *, hard: bool) -> None:
        """Renew the lease now."""
        ...

    async def restrict(self, holding: Holding, remote: tuple[RemoteFilter, ...]) -> None:
        """Renew with other filters."""
        ...

    async def release(self, holding: Holding) -> None:
        """Give the lease back and forget it."""
        ...

    def detach(self, holding: Holding) -> None:
        """Forget it without giving the lease back."""
        ...

    def next_attempt(self, holding: Holding) -> float:
        """Return when it is to be renewed, or tried for again, on the clock of leases."""
        ...

    def notify(self, holding: Holding, callback: Callback) -> Callable[[], None]:
        """Call `callback` for its events."""
        ...


class Mapping:
    """A port that is wanted open, and what the gateway grants for it from moment to moment.

    Made by PortMapper.map, which renews it until it is closed.
    """

    def __init__(self, owner: Owner, holding: Holding) -> None:
        self._owner = owner
        self._holding = holding

    def __repr__(self) -> str:
        lease = self._holding.lease
        return f"<Mapping {lease.internal}/{self.protocol} at {lease.external}, {self.state}>"

    @property
    def protocol(self) -> Protocol:
        """The transport."""
        return self._holding.request.protocol

    @property
    def internal_port(self) -> int:
        """The port on this host."""
        return self._holding.request.internal_port

    @property
    def state(self) -> MappingState:
        """Whether a gateway grants it now."""
        return self._holding.state

    @property
    def external(self) -> Endpoint | None:
        """Where peers reach the port; None while it is lost, and after the end."""
        return self._holding.lease.external if self.state is MappingState.MAPPED else None

    @property
    def external_port(self) -> int:
        """The port on the gateway; 0 while there is none."""
        external = self.external  # once: another thread may look while it changes
        return external.port if external else 0

    def external_address(self) -> IPAddress:
        """Return the gateway's external address as it was last told. Raises NoMapping while there is none."""
        external = self.external
        if external is None or external.address is None:
            raise NoMapping(f"{self._holding.request} has no external address now ({self.state})")
        return external.address

    @property
    def lease(self) -> Lease:
        """The lease held now, or the last one held."""
        return self._holding.lease

    @property
    def backend(self) -> Backend:
        """The backend that gave the lease."""
        return self._holding.backend

    @property
    def gateway(self) -> Gateway:
        """The gateway that gave the lease."""
        return self._holding.lease.gateway

    @property
    def remaining(self) -> float:
        """The seconds until the lease ends by itself; infinity for one without end, 0 while there is none."""
        return max(self._holding.ends - clock.now(), 0.0) if self.state is MappingState.MAPPED else 0.0

    @property
    def next_attempt(self) -> float:
        """The seconds until it is renewed, or tried for again while it is lost.

        Infinity while it is being tried for, and after the end.
        """
        return max(self._owner.next_attempt(self._holding) - clock.now(), 0.0)

    @property
    def problem(self) -> PortMapperError | None:
        """Why the last attempt to keep it, or to get it back, came to nothing; None after one that succeeded."""
        return self._holding.problem

    @property
    def reachability(self) -> Reachability:
        """What the external address says about being reached from the Internet."""
        external = self.external
        return reachability(external.address if external else None)

    async def refresh(self, *, hard: bool = False) -> None:
        """Renew now. Raises MapperClosed after the end, else the gateway's answer; a lease that is held then stands.

        With `hard` the mapping is taken back first and made again, for a router that says it has the mapping and lets
        nothing in. It may come to another external port, and when it is refused now it is lost.
        """
        await self._owner.refresh(self._holding, hard=hard)

    async def restrict(self, *remote: RemoteFilter | str) -> None:
        """Let only these remote peers in from now on; as `remote` of PortMapper.map, nothing for everybody.

        Raises InvalidRequest, UnsupportedRequest, MapperClosed, or the gateway's answer; the old filters then stand.
        """
        await self._owner.restrict(self._holding, parse_remote(remote))

    def pin(self) -> None:
        """Have it at this external port or not at all from now on: where that is not to be had any more, it is lost."""
        self._holding.pin()

    async def close(self) -> None:
        """Release the lease, within 2 s. Never raises for what a gateway does: the Closed event tells."""
        if self.state is not MappingState.CLOSED:
            await self._owner.release(self._holding)

    def detach(self) -> None:
        """Renew no more and leave the lease on the gateway until it ends by itself; one without end stays for good."""
        if self.state is not MappingState.CLOSED:
            self._owner.detach(self._holding)

    def events(self) -> EventStream:
        """Return a new stream of events: the present state first, Closed last."""
        return self._holding.events()

    def on_event(self, callback: Callback) -> Callable[[], None]:
        """Have `callback` called for each event, as `events` has them; returns a function that ends that.

        A coroutine function runs in the event loop and may use the mapper; any other function is called in a worker
        thread, where it may block. Calls of one callback never overlap. What it raises is logged, and changes nothing.
        Raises MapperClosed when the mapper is not open.
        """
        return self._owner.notify(self._holding, callback)
