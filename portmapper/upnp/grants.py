"""Make, keep and remove IPv4 port mappings, as the device shows them afterwards."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial

import anyio

from portmapper import limits
from portmapper.errors import MappingGone, NoMapping, PortMapperError, ProtocolError, UnsupportedRequest
from portmapper.model import Endpoint, IPAddress, Lease, ListedMapping, MappingRequest
from portmapper.net.tasks import finish_begun, first_of
from portmapper.upnp.attempts import Attempt, Habits, Ladder, renewal
from portmapper.upnp.entries import Entry, has_more_time, was_lengthened, who_has
from portmapper.upnp.faults import Fault
from portmapper.upnp.mappings import UNKNOWN_OUTCOME, PortMappings, remote_host
from portmapper.upnp.memory import Granted, Key, Memory
from portmapper.upnp.recent import Recent
from portmapper.upnp.shown import Shown

_FIRST_DYNAMIC_PORT = 49152  # RFC 6335 section 6
_CONFLICT = 718


class MappingGrants:
    """The mappings of this host on one device. Everything raises PortMapperError and nothing else."""

    def __init__(
        self,
        mappings: PortMappings,
        memory: Memory,
        make: tuple[str, str],
        *,
        permanent: bool,
        state_lost: Callable[[], None],
        left_ports: Callable[[MappingRequest], frozenset[int]],
    ) -> None:
        self._mappings = mappings
        self._memory = memory
        self._make = (*make, mappings.version)  # what version 1 needs may be wrong for version 2
        self._permanent = permanent
        self._shown = Shown(mappings, permanent=permanent)
        self._state_lost = state_lost
        self._left_ports = left_ports
        self._addresses: list[IPAddress | None] = []  # the external address that was told last, once it was
        self._begun = Recent[MappingRequest, Attempt]()  # asked for, neither settled nor refused yet

    async def map(self, request: MappingRequest) -> Granted:
        """Make a mapping, step by step in the forms that devices accept."""
        check_remote(request)
        self._begun.drop(request)
        habits = self._memory.habits.get(self._make, Habits())
        version = self._mappings.version
        first = await self._at_the_old_port(request)
        ladder = Ladder(first, habits, version=version, permanent=self._permanent, ports=_other_ports())
        while True:
            try:
                async with self._memory.making:
                    granted = await self._try(request, ladder.attempt)
            except Fault as fault:
                if not ladder.climb(fault.code):
                    raise
            else:
                self._memory.learn(self._make, ladder.habits)
                return granted

    async def renew(self, request: MappingRequest, lease: Lease) -> Granted:
        """Extend a mapping by adding it again. Raises MappingGone when the port is somebody else's now, or nobody's."""
        if request.remote != lease.request.remote:
            raise UnsupportedRequest("UPnP cannot change who may come in; close the mapping and make another")
        async with self._memory.making:  # of many at a slow device, one is renewed in time: else none might be
            return await self._renew(request, lease)

    async def _renew(self, request: MappingRequest, lease: Lease) -> Granted:
        attempt = renewal(request, lease, self._memory.habits.get(self._make, Habits()))
        known, entry = await self._shown.look_up(attempt.external_port, request)
        self._check_still_ours(entry, attempt.external_port, request)
        if known and entry is None and self._shown.tells:
            self._tell_lost(_key(attempt.external_port, request))
        granted = await self._add_again(request, attempt, entry)
        if granted is not None and was_lengthened(granted.lifetime, lease):
            return granted
        # The same again changes nothing there. Cut off between the two, there would be no mapping at all.
        return await finish_begun(partial(self._replace, request, attempt), grace=limits.GRACE)

    async def unmap(self, lease: Lease) -> None:
        """Delete a mapping unless it is gone or belongs to somebody else by now."""
        key = _key(lease.external.port, lease.request)
        self._memory.made.drop(key)
        self._memory.missed.drop(key)
        async with self._memory.removal:  # of many, one is gone before the next is looked up
            known, entry = await self._shown.look_up(lease.external.port, lease.request)
            if entry is not None and not self._mappings.leads_there(entry, lease.request):
                return
            if entry is not None or not known or not self._shown.tells:
                await self._mappings.delete(lease.external.port, lease.request)

    async def find(self, request: MappingRequest) -> Granted:
        """Return the mapping that leads where `request` wants it: at its external port, or else at any."""
        wanted = request.external_port or request.internal_port
        _, entry = await self._shown.look_up(wanted, request)
        if entry is not None and self._mappings.leads_there(entry, request):
            return Granted(Endpoint(None, wanted), request.lifetime)
        listed = None if request.external_port else await self._shown.find_listed(request, description=None)
        if listed is None:
            client = Endpoint(self._mappings.client_of(request), request.internal_port)
            raise NoMapping(f"external port {wanted}/{request.protocol} does not lead to {client}")
        return Granted(Endpoint(None, listed.external_port), request.lifetime)

    def settle(self, request: MappingRequest) -> None:
        """Note that the outcome of `map` or `renew` is known to whoever asked: there is nothing to undo any more."""
        self._begun.drop(request)

    async def undo(self, request: MappingRequest) -> None:
        """Delete what was asked for without a clear answer, if it shows."""
        attempt = self._begun.drop(request)
        port = await self._find_made(request, attempt) if attempt else None
        if port is not None:
            await self._mappings.delete(port, request)
            self._memory.begun.drop(_key(port, request))

    async def check(self) -> None:
        """Look whether the device still has what it gave; it has lost its state when one is missing.

        Another external address is as good as a loss, for the leases tell the old one.
        """
        await self._check_address()
        for key, request in tuple(self._memory.made)[-limits.CHECKED_LEASES :]:
            known, entry = await self._shown.look_up(key[0], request)
            gone = entry is None or not self._mappings.leads_there(entry, request)
            if known and gone and self._shown.tells:
                self._tell_lost(key)
                self._memory.made.drop(key)  # looked for once
                return

    async def shows(self, lease: Lease) -> bool:
        """Whether the device shows the mapping. Raises MappingGone when it shows that it has it no more."""
        port, request = lease.external.port, lease.request
        known, entry = await self._shown.look_up(port, request)
        if not known or (entry is None and not self._shown.tells):
            return False
        self._check_still_ours(entry, port, request)
        if entry is None:
            self._tell_lost(_key(port, request))
            self._memory.made.drop(_key(port, request))
            raise MappingGone(f"the gateway has nothing at external port {port}/{request.protocol} any more")
        return entry.enabled

    async def list_all(self) -> tuple[ListedMapping, ...]:
        """Return every mapping of the device."""
        return await self._mappings.list_all()

    async def external_address(self) -> IPAddress | None:
        """Return the external address, None when the device has none now."""
        self._addresses = [await self._mappings.external_address()]
        return self._addresses[0]

    async def _check_address(self) -> None:
        old = self._addresses
        with suppress(Fault, ProtocolError):  # it does not tell
            new = [await self.external_address()]
            if old and old != new:
                self._state_lost()

    async def _try(self, request: MappingRequest, attempt: Attempt) -> Granted:
        entry = None
        if not attempt.any_port:
            _, entry = await self._shown.look_up(attempt.external_port, request)
            if entry is not None and not self._may_take_over(entry, attempt, request):
                raise _taken(attempt.external_port, request, entry)
        return await self._add_and_verify(request, attempt, before=entry)

    async def _add_again(self, request: MappingRequest, attempt: Attempt, before: Entry | None) -> Granted | None:
        """Extend a mapping that was there `before`; None when the device takes it for a conflict with itself."""
        try:
            return await self._add_and_verify(request, attempt, before=before)
        except Fault as fault:
            if fault.code != _CONFLICT or before is None:
                raise
        if attempt.lifetime or before.lifetime:
            return None
        return Granted(Endpoint(None, attempt.external_port), 0)  # it is there, and has no end

    async def _replace(self, request: MappingRequest, attempt: Attempt) -> Granted:
        await self._mappings.delete(attempt.external_port, request)
        try:
            return await self._add_and_verify(request, attempt)
        except PortMapperError as problem:
            if isinstance(problem, Fault):
                self._memory.made.drop(_key(attempt.external_port, request))
            text = f"the device deleted the mapping to lengthen its lease, and did not make it again: {problem}"
            raise MappingGone(text) from problem

    async def _add_and_verify(
        self, request: MappingRequest, attempt: Attempt, *, before: Entry | None = None
    ) -> Granted:
        key, memory = _key(attempt.external_port, request), self._memory
        if before is None:
            memory.begun.note(key, None)
        ours = key in memory.begun or key in memory.made  # else it was there before, and is to stay whatever comes
        if ours:
            self._begun.note(request, attempt)
        try:
            port = await (self._extend(request, attempt, before) if before else self._add(request, attempt))
        except Fault:
            self._begun.drop(request)
            memory.begun.drop(key)
            raise
        made = replace(attempt, external_port=port, any_port=False)
        if ours:
            self._begun.note(request, made)
        lifetime = await self._shown.verify(request, made, before)
        memory.begun.drop(key)
        memory.made.note(_key(port, request), request)
        memory.missed.drop(_key(port, request))
        return Granted(Endpoint(None, port), lifetime)

    async def _add(self, request: MappingRequest, attempt: Attempt) -> int:
        begun = anyio.Event()

        async def add_or_look(number: int) -> int | None:
            if not number:
                return await self._mappings.add(request, attempt, begun.set)
            await begun.wait()  # of many at a slow device each waits for its turn: that is no silence
            await anyio.sleep(sum(limits.ADD_AGAIN[:number]))
            return await self._look_beside(request, attempt)

        try:
            return await first_of(add_or_look, () if attempt.any_port else (0.0,) * len(limits.ADD_AGAIN))
        except UNKNOWN_OUTCOME:
            port = await self._find_made(request, attempt)
            if port is None:
                raise
            return port

    async def _extend(self, request: MappingRequest, attempt: Attempt, before: Entry) -> int:
        """Add a mapping once more that the device showed `before`; return its port."""
        try:
            return await self._mappings.extend(request, attempt)
        except UNKNOWN_OUTCOME:
            with suppress(PortMapperError), anyio.move_on_after(limits.FOUND_AGAIN):
                _, entry = await self._shown.look_up(attempt.external_port, request)
                if entry is not None and self._mappings.leads_there(entry, request) and has_more_time(entry, before):
                    return attempt.external_port
            raise

    async def _look_beside(self, request: MappingRequest, attempt: Attempt) -> int | None:
        """Return the port of a mapping whose answer is late, if it shows; ask for it again if nothing is there."""
        beside = self._mappings.beside()
        with suppress(PortMapperError):
            entry = await beside.look_up(attempt.external_port, request)
            if entry is None:
                return await beside.add(request, attempt)
            if self._may_take_over(entry, attempt, request):
                return attempt.external_port
        return None

    async def _find_made(self, request: MappingRequest, attempt: Attempt) -> int | None:
        """Return the port of a mapping whose answer was lost, if it was made."""
        with suppress(PortMapperError), anyio.move_on_after(limits.FOUND_AGAIN):
            known, entry = (
                (False, None) if attempt.any_port else await self._shown.look_up(attempt.external_port, request)
            )
            if entry is not None and self._may_take_over(entry, attempt, request):
                return attempt.external_port
            listed = None if known else await self._shown.find_listed(request, description=attempt.description)
            if listed is not None and (attempt.any_port or listed.external_port == attempt.external_port):
                return listed.external_port
        return None

    def _tell_lost(self, key: Key) -> None:
        """Say that `key` is missing: perhaps the device lost the others too. One restart is told once."""
        if key not in self._memory.missed:
            self._memory.miss_all()
            self._state_lost()

    def _may_take_over(self, entry: Entry, attempt: Attempt, request: MappingRequest) -> bool:
        # With another text another program made it, and will remove it; but some devices change what we wrote.
        ours = (
            entry.description == attempt.description
            or _key(attempt.external_port, request) in self._memory.made
            or not self._left_ports(request).isdisjoint({attempt.external_port, 0})
        )
        return ours and self._mappings.leads_there(entry, request)

    async def _at_the_old_port(self, request: MappingRequest) -> MappingRequest:
        """Return `request` at the port where a program that died may have got it, without living to note where."""
        if request.exact or 0 not in self._left_ports(request):
            return request
        with suppress(PortMapperError):
            listed = await self._shown.find_listed(request, description=request.description)
            if listed is not None:
                return replace(request, external_port=listed.external_port)
        return request

    def _check_still_ours(self, entry: Entry | None, port: int, request: MappingRequest) -> None:
        if entry is not None and not self._mappings.leads_there(entry, request):
            self._memory.made.drop(_key(port, request))
            raise MappingGone(who_has(port, request, entry))


def check_remote(request: MappingRequest) -> None:
    """Raise UnsupportedRequest for filters that RemoteHost cannot express: it is one host, with any port."""
    if len(request.remote) > 1 or any(one.port or one.network.num_addresses > 1 for one in request.remote):
        raise UnsupportedRequest("UPnP can let in one remote host or all, not a network, a port or several")


def _taken(port: int, request: MappingRequest, entry: Entry) -> Fault:
    text = f"{who_has(port, request, entry)} ({_CONFLICT} ConflictInMappingEntry)"
    return Fault(text, code=_CONFLICT, name="ConflictInMappingEntry")


def _key(port: int, request: MappingRequest) -> Key:
    return (port, request.protocol, remote_host(request))


def _other_ports() -> Iterator[int]:
    for _ in range(limits.UPNP_PORT_TRIES):
        yield _FIRST_DYNAMIC_PORT + secrets.randbelow(limits.LAST_PORT + 1 - _FIRST_DYNAMIC_PORT)
