"""Two ways to talk to the router in memory: one as PCP (keyed by the internal port), one as UPnP (by the external)."""

from collections.abc import Callable
from functools import partial
from typing import ClassVar, Self, TypeVar

from portmapper.backend import Backend, BackendOptions, lease_for
from portmapper.errors import MappingGone, NoMapping, RequestRefused
from portmapper.model import Endpoint, Gateway, IPAddress, Lease, MappingRequest
from tests.model.router import HOST, Entry, Router

T = TypeVar("T")

ROUTERS: dict[Gateway, Router] = {}
"""What is plugged in where."""

# Seconds until silence is taken for that.
_ASKED, _RENEWED, _DELETED, _QUESTION = 8.0, 3.75, 1.75, 2.0
_PORT_TRIES = 8


class ModelBackend(Backend):
    """What both have in common."""

    def __init__(self, gateway: Gateway, options: BackendOptions) -> None:
        self._gateway = gateway
        self._options = options
        self._router = ROUTERS[gateway]
        self._memory = options.memory.setdefault(self.name, {"started": self._router.started})

    @classmethod
    async def open(cls, gateway: Gateway, options: BackendOptions) -> Self:
        backend = cls(gateway, options)
        await backend.ask(min(options.timeout, _QUESTION), lambda: None, question=True)
        return backend

    async def ask(self, timeout: float, work: Callable[[], T], *, question: bool = False) -> T:
        return await self._router.exchange(self.name, timeout, work, question=question)

    async def check(self) -> None:
        await self.ask(_QUESTION, lambda: None, question=True)

    async def external_address(self) -> IPAddress | None:
        return await self.ask(_QUESTION, lambda: self._router.address, question=True)

    async def delete(self, request: MappingRequest, chosen: Callable[[], list[Entry]]) -> None:
        def remove() -> None:
            for entry in chosen():
                self._router.remove(entry)

        try:
            await self.ask(_DELETED, remove)
        except BaseException:
            self._router.doubt(request.protocol, request.internal_port)
            raise

    def lease(self, request: MappingRequest, entry: Entry) -> Lease:
        entry.doubtful = self._router.left
        external = Endpoint(self._router.address, entry.external_port)
        return lease_for(self, request, self._gateway, external, lifetime=entry.lifetime)


class KeyedBackend(ModelBackend):
    """One mapping for each internal port, whatever external port is wished for; each answer carries an epoch."""

    name: ClassVar[str] = "keyed"
    title: ClassVar[str] = "Keyed"

    async def ask(self, timeout: float, work: Callable[[], T], *, question: bool = False) -> T:
        result = await super().ask(timeout, work, question=question)
        started = self._router.started
        if self._memory["started"] != started:
            self._memory["started"] = started
            self._options.state_lost()
        return result

    async def map(self, request: MappingRequest, *, renew: Lease | None = None) -> Lease:
        return self.lease(request, await self.ask(_RENEWED if renew else _ASKED, lambda: self._put(request, renew)))

    async def unmap(self, lease: Lease) -> None:
        request = lease.request
        await self.delete(request, lambda: self._router.to(request.protocol, request.internal_port))

    async def find(self, request: MappingRequest) -> Lease:
        return lease_for(self, request, self._gateway, Endpoint(None, request.external_port), lifetime=1)

    def _put(self, request: MappingRequest, renew: Lease | None) -> Entry:
        router, protocol = self._router, request.protocol
        there = router.to(protocol, request.internal_port)
        wished = renew.external.port if renew else request.external_port or request.internal_port
        port = there[0].external_port if there else router.free_port(protocol, wished)
        return router.put(protocol, port, request.internal_port, request.lifetime)


class ListedBackend(ModelBackend):
    """One mapping for each external port; shows what it has."""

    name: ClassVar[str] = "listed"
    title: ClassVar[str] = "Listed"

    async def map(self, request: MappingRequest, *, renew: Lease | None = None) -> Lease:
        begun: list[int] = self._memory.setdefault("begun", [])
        wished = renew.external.port if renew else request.external_port or request.internal_port
        for port in range(wished, wished + (1 if renew or request.exact else _PORT_TRIES)):
            if await self._is_taken(request, port):
                continue
            begun.append(port)
            entry = await self.ask(_ASKED, partial(self._put, request, port))
            if port in begun:  # else it was undone meanwhile, for another request
                begun.remove(port)
            return self.lease(request, entry)
        if renew:
            raise MappingGone(f"external port {wished} is somebody else's")
        raise RequestRefused("no port is free", code=718, name="ConflictInMappingEntry")

    async def verify(self, lease: Lease) -> Lease | None:
        if await self._is_taken(lease.request, lease.external.port) is not False:
            raise MappingGone("it is not there")
        entry = await self.ask(_QUESTION, lambda: self._mine(lease), question=True)
        if entry is None:
            raise MappingGone("it is not there any more")
        return lease

    async def unmap(self, lease: Lease) -> None:
        await self.delete(lease.request, lambda: [entry] if (entry := self._mine(lease)) else [])

    async def find(self, request: MappingRequest) -> Lease:
        found = await self.ask(
            _QUESTION, lambda: self._router.to(request.protocol, request.internal_port), question=True
        )
        if not found:
            raise NoMapping("there is none")
        return lease_for(self, request, self._gateway, Endpoint(None, found[0].external_port), lifetime=1)

    async def undo(self, request: MappingRequest) -> None:
        begun: list[int] = self._memory.get("begun", [])
        while begun:
            port = begun.pop()
            await self.delete(request, partial(self._to, request, port))

    def _to(self, request: MappingRequest, port: int | None = None) -> list[Entry]:
        there = self._router.to(request.protocol, request.internal_port)
        return [one for one in there if port in {None, one.external_port}]

    async def _is_taken(self, request: MappingRequest, port: int) -> bool:
        there = await self.ask(_QUESTION, lambda: self._router.at(request.protocol, port), question=True)
        return there is not None and (there.client, there.internal_port) != (HOST, request.internal_port)

    def _mine(self, lease: Lease) -> Entry | None:
        there = self._router.at(lease.request.protocol, lease.external.port)
        return there if there and (there.client, there.internal_port) == (HOST, lease.internal.port) else None

    def _put(self, request: MappingRequest, port: int) -> Entry:
        there = self._router.at(request.protocol, port)
        if there is not None and (there.client, there.internal_port) != (HOST, request.internal_port):
            raise RequestRefused("taken", code=718, name="ConflictInMappingEntry")
        return self._router.put(request.protocol, port, request.internal_port, request.lifetime)


CLASSES: dict[str, type[ModelBackend]] = {one.name: one for one in (KeyedBackend, ListedBackend)}
