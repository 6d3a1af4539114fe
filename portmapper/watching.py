"""Watch a gateway without changing anything on it: what it announces, answers and lists, and what comes and goes."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread

from portmapper import limits, registry
from portmapper.access import Access, Means
from portmapper.announcements import Announcement, hear
from portmapper.backend import Backend
from portmapper.errors import LocalError, NoGateway, PortMapperError
from portmapper.gateway.detect import locate
from portmapper.gateway.watch import Watch, make_bell
from portmapper.known import join
from portmapper.model import Gateway, IPAddress, ListedMapping
from portmapper.net import clock
from portmapper.request import watch_interval
from portmapper.sightings import Announced, Answering, Restarted, Sighting, View, differences
from portmapper.state.folder import NotedMapping, noted_mappings
from portmapper.state.key import new_key

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Told:
    """What one backend tells; None where it does not."""

    answering: Answering
    address: tuple[IPAddress | None] | None
    listed: tuple[ListedMapping, ...] | None


class GatewayWatch:
    """Looks at a gateway every `interval` seconds and after each announcement, and calls `tell` for all that is new.

    What there is at the first look is new too. `gateway`, `interface` and `backends` are those of PortMapper, `state`
    is the folder with the journals of this host, None for not to look.
    Raises InvalidRequest, UnknownBackend and NoGateway.
    """

    def __init__(
        self,
        tell: Callable[[Sighting], None],
        *,
        gateway: Gateway | str | None = None,
        interface: str | None = None,
        backends: Sequence[str] | None = None,
        state: Path | None = None,
        interval: float = limits.LOOK,
    ) -> None:
        watch_interval(interval)
        means = Means(candidates=registry.select(backends), key=new_key(), permanent=False, left_ports=_nothing_left)
        self._access = Access(
            partial(locate, gateway, interface), means, state_lost=self._note_restart, moved=self._note_move
        )
        self._access.settle()
        self._tell = tell
        self._state = state
        self._interval = interval
        self._view = View()
        self._hurry, self._moved = anyio.Event(), anyio.Event()
        self._restarted = self._complained = False

    @property
    def view(self) -> View:
        """What the last look showed."""
        return self._view

    async def run(self) -> None:
        """Watch until cancelled."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._listen)
            tasks.start_soon(self._follow)
            while True:
                self._hurry = anyio.Event()
                await self._look()
                await anyio.sleep(min(limits.LOOK_GAP, self._interval))
                with anyio.move_on_after(self._interval - limits.LOOK_GAP):
                    await self._hurry.wait()

    async def _look(self) -> None:
        try:
            self._access.relocate()
        except NoGateway:
            new = View()
        else:
            new = await self._seen()
        if self._restarted and new.gateway is not None:
            self._tell(Restarted(new.gateway))
        self._restarted = False
        old, self._view = self._view, new
        for sighting in differences(old, new):
            self._tell(sighting)

    async def _seen(self) -> View:
        gateway = self._access.gateway
        told = await self._access.ask_every(_ask)
        known = [one for one in told.values() if isinstance(one, _Told)]
        before = self._view if self._view.gateway == gateway else View()
        # What is not told now is as it was: a list that came too late is no reason to call everything gone.
        addresses = [one.address[0] for one in known if one.address is not None]
        listed = next((one.listed for one in known if one.listed is not None), None)
        if listed is None:
            listed = _as_before(before, clock.wall())
        noted = await self._noted()
        return View(
            gateway=gateway,
            backends={name: one.answering if isinstance(one, _Told) else one for name, one in told.items()},
            address=addresses[0] if addresses else before.address,
            mappings=join(_marked(listed, gateway), noted, gateway, clock.wall()),
        )

    async def _noted(self) -> tuple[NotedMapping, ...]:
        if self._state is None:
            return ()
        try:
            return await anyio.to_thread.run_sync(noted_mappings, self._state)
        except LocalError as problem:
            if not self._complained:
                _log.warning("going on without the journals of this host: %s", problem)
            self._complained = True
            return ()

    async def _listen(self) -> None:
        while True:
            self._moved = anyio.Event()
            gateway = self._access.gateway
            async with anyio.create_task_group() as listeners:
                listeners.start_soon(hear, gateway, partial(self._note_announcement, gateway))
                await self._moved.wait()
                listeners.cancel_scope.cancel()

    async def _follow(self) -> None:
        with Watch(make_bell(self._peek)) as watch:
            await watch.run(self._react)

    async def _react(self, _slept: bool) -> None:
        self._hurry.set()

    def _peek(self) -> Gateway | None:
        try:
            return self._access.look_up()
        except NoGateway:
            return None

    def _note_announcement(self, gateway: Gateway, announcement: Announcement) -> None:
        self._tell(Announced(gateway, announcement))
        self._hurry.set()

    def _note_restart(self) -> None:
        self._restarted = True

    def _note_move(self, _old: Gateway, _new: Gateway) -> None:
        self._moved.set()


async def _ask(backend: Backend, seconds: float) -> _Told:
    return _Told(Answering(seconds, backend.epoch), await _address(backend), await _listed(backend))


async def _address(backend: Backend) -> tuple[IPAddress | None] | None:
    if not backend.tells_address:
        return None
    try:
        return (await backend.external_address(),)
    except PortMapperError:
        return None


async def _listed(backend: Backend) -> tuple[ListedMapping, ...] | None:
    try:
        return await backend.list_mappings()
    except PortMapperError:
        return None


def _as_before(view: View, now: float) -> tuple[ListedMapping, ...]:
    known = [(one.listed, one.lifetime(now)) for one in view.mappings if one.listed is not None]
    return tuple(replace(listed, lifetime=lifetime) for listed, lifetime in known)


def _marked(listed: Sequence[ListedMapping], gateway: Gateway) -> tuple[ListedMapping, ...]:
    return tuple(one.seen_from(gateway.source) for one in listed)


def _nothing_left(_request: object) -> frozenset[int]:
    return frozenset()
