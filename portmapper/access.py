"""One gateway and how it is asked: the backends that it answers to, and what was learnt about it."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import anyio

from portmapper import limits
from portmapper.asking import ask
from portmapper.backend import Backend, BackendOptions
from portmapper.errors import (
    MapperClosed,
    NoGateway,
    NoService,
    PortMapperError,
    RequestRefused,
    UnsupportedRequest,
)
from portmapper.holding import Grant
from portmapper.model import Gateway, MappingRequest
from portmapper.net import clock
from portmapper.net.tasks import shielded
from portmapper.refusals import Refusals
from portmapper.registry import Candidate
from portmapper.selection import Selection

T = TypeVar("T")


def _joins_nobody(_request: MappingRequest) -> bool:
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What is used to ask any gateway: see BackendOptions; `candidates` are the backends in their order.

    `joins` tells of a request whether another program has what it asks for already, and shares it.
    """

    candidates: Sequence[Candidate]
    key: bytes
    permanent: bool
    left_ports: Callable[[MappingRequest], frozenset[int]]
    joins: Callable[[MappingRequest], bool] = _joins_nobody


class Access:
    """The backends of one gateway, opened when they are needed; the one that granted last is asked first for 10 min.

    `locate` tells which gateway it is now; `moved` is told of the old and the new one, whoever noticed.
    """

    def __init__(
        self,
        locate: Callable[[], Gateway],
        means: Means,
        *,
        state_lost: Callable[[], None],
        moved: Callable[[Gateway, Gateway], None],
    ) -> None:
        self._locate = locate
        self._means = means
        self._state_lost = state_lost
        self._moved = moved
        self._gateway: Gateway | None = None
        self._behind = False  # another, since its link is down
        self._trusted: tuple[Backend, float] | None = None
        self._memory: dict[str, Any] = {}
        self._opened: list[Backend] = []
        self._searching: anyio.Event | None = None  # somebody waits for a first answer; set at the end of that
        self.refusals = Refusals()

    @property
    def gateway(self) -> Gateway:
        """The gateway in use. Raises MapperClosed before it was looked up."""
        if self._gateway is None:
            raise MapperClosed("the gateway is known once the mapper is entered")
        return self._gateway

    def use_key(self, key: bytes) -> None:
        """Derive nonces from another secret from now on; before anything was asked."""
        self._means = replace(self._means, key=key)

    def settle(self) -> None:
        """Look the gateway up, if that has not been done. Raises NoGateway."""
        if self._gateway is None:
            self._gateway = self._locate()

    def look_up(self) -> Gateway:
        """Return which gateway it is now. Raises NoGateway."""
        return self._locate()

    def relocate(self) -> None:
        """Look it up again: it may be another one, or reached from another address of this host. Raises NoGateway."""
        old, found = self.gateway, self._locate()
        was_behind, self._behind = self._behind, found != old and _is_behind(old, found)
        if self._behind:
            if not was_behind:
                self._moved(old, found)
            raise NoGateway(f"the link to the gateway {old} is down")
        if found != old:
            self._gateway, self._trusted, self._memory = found, None, {}
            self.refusals.clear()
            self._moved(old, found)

    def distrust(self) -> None:
        """Ask all backends afresh next time: the gateway may be back in another form."""
        self._trusted = None

    async def obtain(self, request: MappingRequest, *, patient: bool = False) -> Grant:
        """Get a lease from the best backend that gives one. Raises NoService with each backend's reason.

        Of many that are asked for at once, the first finds out whom to ask.
        """
        if patient or self._trusted_backend() is not None:
            return await self._obtain(request, patient=patient)
        if self._searching is not None:
            await self._searching.wait()
            return await self._obtain(request, patient=patient)
        self._searching = anyio.Event()
        try:
            return await self._obtain(request, patient=patient)
        finally:
            self._searching.set()
            self._searching = None

    async def _obtain(self, request: MappingRequest, *, patient: bool) -> Grant:
        seconds = limits.OBTAIN + (limits.PATIENT_DISCOVERY if patient else 0)
        with anyio.move_on_after(seconds):
            while True:
                grant = await self._ask_each(request, patient=patient)
                if grant.lease.gateway == self.gateway:
                    return grant  # else the network has changed meanwhile
        text = f"the gateway {self.gateway} did not come to an answer within {seconds:g} s"
        raise NoService(text, reasons={})

    async def obtain_again(self, request: MappingRequest, patient: bool) -> Grant:
        """Do as `obtain`, from whichever gateway it is now. Raises NoGateway too, before anything is sent."""
        self.relocate()
        return await self.obtain(request, patient=patient)

    async def by_each(self, work: Callable[[Backend], Awaitable[None]]) -> tuple[str, ...]:
        """Do `work` with each backend that answers; return the names of those that said yes. Raises NoService."""
        done: list[str] = []
        async with self.select() as selection:
            while (backend := await selection.next()) is not None:
                try:
                    await work(backend)
                except PortMapperError as reason:
                    selection.reject(backend, reason)
                    self._note_refusal(backend, reason)
                else:
                    done.append(backend.name)
            if not done:
                raise selection.failure()
        return tuple(done)

    async def by_first(self, work: Callable[[Backend], Awaitable[T]]) -> T:
        """Do `work` with the best backend that answers and can do it. Raises NoService."""
        async with self.select() as selection:
            while (backend := await selection.next()) is not None:
                try:
                    return await work(backend)
                except PortMapperError as reason:
                    selection.reject(backend, reason)
            raise selection.failure()

    async def ask_every(self, work: Callable[[Backend, float], Awaitable[T]]) -> dict[str, T | PortMapperError]:
        """Do `work` with every backend, all at once; return by name what came of it, or why nothing did.

        `work` is told the seconds after which the gateway answered.
        """
        outcomes: dict[str, T | PortMapperError] = {}
        options = self._options(patient=False)

        async def ask_one(name: str, kind: type[Backend]) -> None:
            begin = clock.now()
            try:
                opened = await kind.open(self.gateway, options)
                outcomes[name] = await _ask_opened(opened, work, clock.now() - begin)
            except PortMapperError as reason:
                outcomes[name] = reason

        loaded = {candidate.name: _loaded(candidate) for candidate in self._means.candidates}  # takes time by itself
        async with anyio.create_task_group() as tasks:
            for name, kind in loaded.items():
                if isinstance(kind, PortMapperError):
                    outcomes[name] = kind
                else:
                    tasks.start_soon(ask_one, name, kind)
        return {name: outcomes[name] for name in loaded}

    def select(self, *, patient: bool = False) -> Selection:
        """Return the backends that answer, to be entered."""
        return Selection(self._means.candidates, self.gateway, self._options(patient=patient))

    def _options(self, *, patient: bool) -> BackendOptions:
        return BackendOptions(
            timeout=limits.PATIENT_DISCOVERY if patient else limits.DISCOVERY,
            key=self._means.key,
            state_lost=self._state_lost,
            patient=patient,
            memory=self._memory,
            permanent=self._means.permanent,
            left_ports=self._means.left_ports,
        )

    async def close_unused(self, is_used: Callable[[Backend], bool]) -> None:
        """Close the backends that nothing was granted by and that will not be asked first, nor just are."""
        trusted = self._trusted[0] if self._trusted else None
        for backend in tuple(self._opened):
            if backend is not trusted and not is_used(backend):
                self._opened.remove(backend)
                await backend.close()

    async def _ask_each(self, request: MappingRequest, *, patient: bool) -> Grant:
        refusal: tuple[Backend, PortMapperError] | None = None
        if (trusted := self._trusted_backend()) is not None:
            try:
                return await self._ask(trusted, request)
            except (RequestRefused, UnsupportedRequest) as reason:
                refusal = (trusted, reason)
            except PortMapperError:
                self._trusted = None  # it may be back in another form: ask afresh
        async with self.select(patient=patient) as selection:
            if refusal is not None:
                selection.reject(*refusal)
            grant = await self._ask_in_turn(selection, request)
        self._keep(grant, trust=not patient)  # not before the wait at the end of the block: nobody uses it yet
        return grant

    async def _ask_in_turn(self, selection: Selection, request: MappingRequest) -> Grant:
        while (backend := await selection.next()) is not None:
            try:
                grant = await self._ask(backend, request)
            except PortMapperError as reason:
                selection.reject(backend, reason)
            else:
                selection.keep(backend)
                return grant
        raise selection.failure()

    async def _ask(self, backend: Backend, request: MappingRequest) -> Grant:
        return await ask(backend, request, self.refusals, joins=self._means.joins(request))

    def _note_refusal(self, backend: Backend, reason: PortMapperError) -> None:
        if isinstance(reason, RequestRefused) and reason.general:
            self.refusals.note(backend.name, None, reason, clock.now())

    def _keep(self, grant: Grant, *, trust: bool) -> None:
        self._opened.append(grant.backend)
        here = grant.lease.gateway == self.gateway  # else the network changed meanwhile, and this is of the old one
        if trust and here:  # a patient one is too slow for somebody who waits
            self._trusted = (grant.backend, clock.now() + limits.BACKEND_TRUST)

    def _trusted_backend(self) -> Backend | None:
        if self._trusted is None or self._trusted[1] < clock.now():
            return None
        return self._trusted[0]


def _is_behind(old: Gateway, found: Gateway) -> bool:
    # One that is named was on this host's link or in its tunnel; what is meant for it would leave by another way now.
    near, still = ((one.tunnel or one.network is not None) for one in (old, found))
    return near and not still and found.address == old.address


def _loaded(candidate: Candidate) -> type[Backend] | PortMapperError:
    try:
        return candidate.load()
    except PortMapperError as reason:
        return reason


async def _ask_opened(backend: Backend, work: Callable[[Backend, float], Awaitable[T]], seconds: float) -> T:
    try:
        return await work(backend, seconds)
    finally:
        with shielded(limits.GRACE):
            await backend.close()
