"""Find out which backends a gateway answers to, the best one first, without waiting for the silent ones.

The first step of every backend changes nothing on the gateway. So the steps run side by side, each better one with a
head start, and only a backend that answered is asked for a mapping: nothing can be left behind by a loser.
"""

from collections.abc import Mapping as Dict
from collections.abc import Sequence
from dataclasses import replace
from types import TracebackType
from typing import Self

import anyio
from anyio.abc import TaskGroup

from portmapper import limits
from portmapper.backend import Backend, BackendOptions
from portmapper.errors import NoService, PortMapperError, RequestRefused, UnsupportedRequest
from portmapper.model import Gateway
from portmapper.net import clock
from portmapper.net.tasks import end_tasks
from portmapper.registry import Candidate


class Selection:
    """The backends that answer, handed out one after the other, as an async context manager.

    `reasons` collects why the others are out of the question. What is not kept is closed on the way out.
    """

    def __init__(self, candidates: Sequence[Candidate], gateway: Gateway, options: BackendOptions) -> None:
        self._candidates = tuple(candidates)
        self._gateway = gateway
        self._options = options
        self._begin = clock.now()
        self._opened: dict[str, Backend] = {}
        self._untried = [candidate.name for candidate in candidates]
        self._changed = anyio.Event()
        self._tasks: TaskGroup
        self.reasons: dict[str, PortMapperError] = {}

    async def __aenter__(self) -> Self:
        self._tasks = await anyio.create_task_group().__aenter__()
        for rank, candidate in enumerate(self._candidates):
            self._tasks.start_soon(self._probe, rank, candidate)
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        try:
            await end_tasks(self._tasks)
        finally:
            with anyio.CancelScope(shield=True):
                for backend in self._opened.values():
                    await backend.close()

    async def next(self) -> Backend | None:
        """Return the best backend that answered and was not handed out before; None when there is none left."""
        while self._untried:
            for name in self._untried:
                if name in self._opened:
                    self._untried.remove(name)
                    return self._opened[name]
            await self._changed.wait()
        return None

    def keep(self, backend: Backend) -> Backend:
        """Hand `backend` over to the caller, who closes it."""
        return self._opened.pop(backend.name)

    def reject(self, backend: Backend, reason: PortMapperError) -> None:
        """Note that `backend` answered, but cannot do it."""
        self._rule_out(backend.name, reason)

    def failure(self) -> NoService:
        """Return the error that names each backend's own reason."""
        tried = {one.name: self.reasons[one.name] for one in self._candidates if one.name in self.reasons}
        return failure(self._gateway, tried)

    async def _probe(self, rank: int, candidate: Candidate) -> None:
        await self._wait_for_turn(rank)
        timeout = max(self._options.timeout - (clock.now() - self._begin), 0.0)
        try:
            opened = await candidate.load().open(self._gateway, replace(self._options, timeout=timeout))
        except PortMapperError as reason:
            self._rule_out(candidate.name, reason)
        else:
            self._opened[candidate.name] = opened
            self._notify()

    async def _wait_for_turn(self, rank: int) -> None:
        # Its head start over, or every better one out of the question: whichever comes first.
        with anyio.move_on_after(limits.HEAD_START if rank else 0):
            while any(better.name not in self.reasons for better in self._candidates[:rank]):
                await self._changed.wait()

    def _rule_out(self, name: str, reason: PortMapperError) -> None:
        self.reasons[name] = reason
        if name in self._untried:
            self._untried.remove(name)
        self._notify()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()


def failure(gateway: Gateway, reasons: Dict[str, PortMapperError]) -> NoService:
    """Return the error for a question that no backend answered, from each one's own reason."""
    if any(isinstance(reason, RequestRefused) for reason in reasons.values()):
        return NoService(f"the gateway {gateway} refused", reasons=reasons)
    if any(isinstance(reason, UnsupportedRequest) for reason in reasons.values()):
        text = f"no port mapping service at the gateway {gateway} that answered can do this"
        return NoService(text, reasons=reasons)
    hint = "is UPnP or NAT-PMP switched on there?"
    return NoService(f"no port mapping service answered at the gateway {gateway}; {hint}", reasons=reasons)
