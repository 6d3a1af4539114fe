"""--exec: run a command of the user's on every change of a mapping."""

from collections.abc import Awaitable, Callable, Sequence
from math import inf

import anyio

from portmapper import limits
from portmapper.cli.hooks.process import Tell, run_hook
from portmapper.cli.hooks.variables import hook_name, hook_variables
from portmapper.mapping import Mapping
from portmapper.model import Closed, Event, Renewed


class _Desk:
    """What the hook of one mapping has to be told next: the newest event, and until when."""

    def __init__(self) -> None:
        self._newest: Event | None = None
        self._arrived = anyio.Event()
        self._closed_at = inf
        self._running: anyio.CancelScope | None = None

    def put(self, event: Event) -> None:
        """Replace what was to be told; one that closes leaves a run that is under way little time."""
        self._newest = event
        self._arrived.set()
        if isinstance(event, Closed):
            self._closed_at = anyio.current_time()
            if self._running is not None:
                self._running.deadline = min(self._running.deadline, self._closed_at + limits.HOOK_LEFT)

    async def take(self) -> Event:
        """Wait for an event, and for those that come with it; return the newest."""
        await self._arrived.wait()
        if self._closed_at == inf:
            await anyio.sleep(limits.HOOK_QUIET)
        self._arrived = anyio.Event()
        event, self._newest = self._newest, None
        if event is None:
            raise RuntimeError("nothing is there to be told")
        return event

    def scope(self, event: Event) -> anyio.CancelScope:
        """Return the scope for a run, with the time that it has."""
        limit = self._closed_at + limits.HOOK_CLOSED if isinstance(event, Closed) else self._running_limit()
        self._running = anyio.CancelScope(deadline=limit)
        return self._running

    def _running_limit(self) -> float:
        return min(anyio.current_time() + limits.HOOK, self._closed_at + limits.HOOK_LEFT)


class Hooks:
    """Runs `command` for each change of each mapping, of one mapping one after the other, the newest state alone.

    What goes wrong is told and has no other effect. `ready` is awaited, for a second at most, before each run: what a
    hook may look at is up to date then.
    """

    def __init__(self, command: str, complain: Tell, ready: Callable[[], Awaitable[None]] | None = None) -> None:
        self._command = command
        self._complain = complain
        self._ready = ready
        self._desks: dict[Mapping, _Desk] = {}
        self._room = anyio.CapacityLimiter(limits.HOOKS_AT_ONCE)

    def tell(self, mapping: Mapping, event: Event) -> None:
        """Take note of an event; a renewal changes nothing."""
        if not isinstance(event, Renewed):
            self._desk(mapping).put(event)

    async def run(self, mappings: Sequence[Mapping]) -> None:
        """Run hooks until that of each mapping has been told that it is closed."""
        async with anyio.create_task_group() as tasks:
            for mapping in mappings:
                tasks.start_soon(self._serve, mapping)

    async def _serve(self, mapping: Mapping) -> None:
        desk = self._desk(mapping)
        event: Event | None = None
        while not isinstance(event, Closed):
            event = await desk.take()
            trouble = await self._run(desk, event)
            if trouble:
                self._complain(f"{hook_name(mapping, event)} {trouble}")

    async def _run(self, desk: _Desk, event: Event) -> str:
        trouble = "was stopped: it took too long"
        begun = False
        with desk.scope(event):
            await self._wait_until_ready()
            async with self._room:
                begun = True
                trouble = await run_hook(self._command, hook_variables(event), self._pass_on)
        return trouble if begun else "was not run: others took too long"

    async def _wait_until_ready(self) -> None:
        if self._ready is not None:
            with anyio.move_on_after(limits.HOOK_FILE):
                await self._ready()

    def _pass_on(self, line: str) -> None:
        self._complain(f"--exec: {line}")

    def _desk(self, mapping: Mapping) -> _Desk:
        return self._desks.setdefault(mapping, _Desk())
