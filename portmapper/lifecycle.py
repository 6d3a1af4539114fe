"""From the first moment of a mapper to its last: what it is made of, how it is entered and left."""

from collections.abc import Sequence
from functools import partial
from math import inf
from pathlib import Path
from types import TracebackType
from typing import Self

import anyio
from anyio.abc import TaskGroup

from portmapper import home, limits, registry
from portmapper.access import Access, Means
from portmapper.attending import Attendant
from portmapper.errors import InvalidRequest, MapperClosed
from portmapper.gateway.detect import locate
from portmapper.holding import Grant
from portmapper.keeper import Keeper
from portmapper.mapping import Mapping
from portmapper.model import Gateway, MappingRequest
from portmapper.net.tasks import end_tasks, shielded
from portmapper.recording import Record
from portmapper.request import check_interval
from portmapper.state.folder import default_folder
from portmapper.state.key import new_key

_KEY_MINIMUM = 16


class Lifecycle:
    """What PortMapper is before it is asked for anything."""

    def __init__(
        self,
        *,
        gateway: Gateway | str | None = None,
        interface: str | None = None,
        backends: Sequence[str] | None = None,
        key: bytes | None = None,
        state: Path | str | bool | None = None,
        allow_third_party: bool = False,
        allow_permanent: bool = True,
        check: float | None = limits.CHECK,
    ) -> None:
        if key is not None and len(key) < _KEY_MINIMUM:
            raise InvalidRequest(f"key must have at least {_KEY_MINIMUM} bytes")
        check_interval(check)
        if key is not None and state:
            raise InvalidRequest("key and state exclude each other: the state has a key of its own")
        self._record = Record(_state_folder(state), lambda: self._access.gateway)
        means = Means(
            candidates=registry.select(backends),
            key=key or new_key(),
            permanent=allow_permanent,
            left_ports=self._record.left_ports,
            joins=self._record.joins,
        )
        self._access = Access(
            partial(locate, gateway, interface), means, state_lost=self._state_lost, moved=self._follow
        )
        if gateway is not None:
            self._access.settle()  # so that a wrong one is told at once
        self._allow_third_party = allow_third_party
        interval = inf if check is None else check
        self._keeper = Keeper(self._obtain_again, self._access.refusals, self._record, interval=interval)
        self._attendant = Attendant(self._access, self._keeper)
        self._tasks: TaskGroup | None = None

    async def __aenter__(self) -> Self:
        self._access.settle()
        kept_key = await self._record.open()
        if kept_key is not None:
            self._access.use_key(kept_key)
        await self._keeper.open()
        self._tasks = await anyio.create_task_group().__aenter__()
        self._record.start(self._tasks)
        self._keeper.start(self._tasks)
        self._attendant.start(self._tasks)
        home.move_in(self._keeper)
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        tasks = self._entered()
        is_ours = self._keeper.check_exit()
        self._tasks = None
        if not is_ours:
            return
        try:
            await end_tasks(tasks)
        finally:
            await self._leave()
            await self._keeper.close()

    def __del__(self) -> None:
        if hasattr(self, "_keeper"):  # not after an __init__ that failed
            self._keeper.say_farewell()

    @property
    def gateway(self) -> Gateway:
        """The gateway in use. Raises MapperClosed before the mapper is entered, if none was given."""
        return self._access.gateway

    @property
    def default_lifetime(self) -> int:
        """The seconds that are asked for by default: two hours, one minute of a gateway that is reached by a tunnel."""
        return limits.TUNNEL_LIFETIME if self.gateway.tunnel else limits.DEFAULT_LIFETIME

    @property
    def mappings(self) -> tuple[Mapping, ...]:
        """The mappings that are wanted, lost ones included."""
        return self._keeper.mappings

    def _follow(self, old: Gateway, new: Gateway) -> None:
        self._attendant.follow(old, new)

    def _state_lost(self) -> None:
        self._access.distrust()
        self._keeper.recover()

    async def _obtain_again(self, request: MappingRequest, patient: bool) -> Grant:
        with shielded(limits.GRACE):  # or a mapping that is lost and found for years would leave one each time
            await self._access.close_unused(self._keeper.uses)
        return await self._access.obtain_again(request, patient)

    def _running(self) -> None:
        self._entered()
        self._keeper.check_here()

    def _entered(self) -> TaskGroup:
        if self._tasks is None:
            raise MapperClosed("use the mapper inside its `async with` block")
        return self._tasks

    async def _leave(self) -> None:
        with anyio.CancelScope(shield=True):
            await self._keeper.release_all()
            await self._record.close()
        home.move_out(self._keeper)
        self._access.distrust()
        with shielded(limits.GRACE):  # of plug-ins too
            await self._access.close_unused(self._keeper.uses)


def _state_folder(state: Path | str | bool | None) -> Path | None:
    if isinstance(state, bool) or state is None:
        return default_folder() if state else None
    return Path(state)
