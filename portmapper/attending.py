"""Hear what the gateway and the system tell, and have the mappings looked after."""

import logging
from functools import partial

import anyio
from anyio.abc import TaskGroup

from portmapper.access import Access
from portmapper.announcements import listen, listen_for_restarts, listen_for_updates
from portmapper.errors import GatewayUnreachable, NoGateway
from portmapper.gateway.watch import Watch, make_bell
from portmapper.keeper import Keeper
from portmapper.model import Gateway

_log = logging.getLogger(__name__)


class Attendant:
    """Listens to the gateway that is in use, and follows the host to another."""

    def __init__(self, access: Access, keeper: Keeper) -> None:
        self._access = access
        self._keeper = keeper
        self._moved = anyio.Event()
        self._offline = False
        self._tasks: TaskGroup

    def start(self, tasks: TaskGroup) -> None:
        """Attend from now on, in `tasks`."""
        self._tasks = tasks
        tasks.start_soon(self._listen)
        tasks.start_soon(self._watch)

    async def _listen(self) -> None:
        while True:
            self._moved = anyio.Event()
            gateway = self._access.gateway
            async with anyio.create_task_group() as listeners:
                check = partial(self._check, gateway)
                listeners.start_soon(listen, gateway, check)
                listeners.start_soon(listen_for_updates, gateway, self._keeper.take_notice)
                listeners.start_soon(listen_for_restarts, gateway, check)
                await self._moved.wait()
                listeners.cancel_scope.cancel()

    async def _check(self, gateway: Gateway) -> None:
        if not self._offline:  # else it is asked when it is back
            await self._keeper.check(gateway)

    async def _watch(self) -> None:
        with Watch(make_bell(self._peek)) as watch:
            await watch.run(self._react)

    async def _react(self, slept: bool) -> None:
        before = self._access.gateway
        if slept:
            self._keeper.wake()
        try:
            self._access.relocate()
        except NoGateway:
            self._offline = True  # nothing is asked: there is nobody to ask
            return
        back, self._offline = self._offline, False
        if self._access.gateway != before:
            return  # and `follow` was called
        if slept:
            self._keeper.renew_all_soon()
        elif back:
            self._tasks.start_soon(self._keeper.check, before)

    def follow(self, old: Gateway, new: Gateway) -> None:
        """Have everything made anew at another gateway, and listen to that."""
        _log.info("the gateway is %s now, from %s", new, new.source)
        other = new.address != old.address
        what = f"the gateway is {new} now, not {old}" if other else f"this host is {new.source} now, not {old.source}"
        self._keeper.abandon(GatewayUnreachable(f"the network changed: {what}"))
        self._moved.set()

    def _peek(self) -> Gateway | None:
        try:
            return self._access.look_up()
        except NoGateway:
            return None
