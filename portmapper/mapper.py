"""PortMapper: makes mappings on one gateway, keeps them and takes them back."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from types import TracebackType
from typing import Self

import anyio
from anyio.abc import TaskGroup

from portmapper import limits, registry, state
from portmapper.announcements import listen
from portmapper.backend import Backend, BackendOptions
from portmapper.errors import (
    GatewayTimeout,
    GatewayUnreachable,
    InvalidRequest,
    MapperClosed,
    NoService,
    PortMapperError,
    PortUnavailable,
    ProtocolError,
    RequestRefused,
)
from portmapper.gateway.detect import default_gateways, gateway_at
from portmapper.holding import Grant, Holding
from portmapper.keeper import Keeper
from portmapper.mapping import Mapping
from portmapper.model import Gateway, IPAddress, Lease, MappingRequest, Protocol
from portmapper.net import clock
from portmapper.net.tasks import end_tasks, finish_begun
from portmapper.selection import Selection

_KEY_MINIMUM = 16


class PortMapper:
    """Maps ports on one gateway, as an async context manager; everything is released on the way out.

    `gateway` is a Gateway or its address, by default that of the default route. `backends` are names in the order of
    trying, by default all. `key` is a secret of 16 bytes or more: with the same one, a later run recognises the
    mappings of this one; by default it is random.
    """

    def __init__(
        self,
        *,
        gateway: Gateway | str | None = None,
        backends: Sequence[str] | None = None,
        key: bytes | None = None,
    ) -> None:
        if key is not None and len(key) < _KEY_MINIMUM:
            raise InvalidRequest(f"key must have at least {_KEY_MINIMUM} bytes")
        self._candidates = registry.select(backends)
        self._key = key or state.new_key()
        self._gateway = gateway_at(gateway) if isinstance(gateway, str) else gateway
        self._keeper = Keeper(self._obtain_again)
        self._tasks: TaskGroup | None = None
        self._trusted: tuple[Backend, float] | None = None
        self._opened: list[Backend] = []

    async def __aenter__(self) -> Self:
        if self._gateway is None:
            self._gateway = default_gateways()[0]
        self._tasks = await anyio.create_task_group().__aenter__()
        self._keeper.start(self._tasks)
        self._tasks.start_soon(listen, self._gateway, self._keeper.check)
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        tasks, self._tasks = self._running(), None
        try:
            await end_tasks(tasks)
        finally:
            await self._leave()

    @property
    def gateway(self) -> Gateway:
        """The gateway in use. Raises MapperClosed before the mapper is entered, if none was given."""
        if self._gateway is None:
            raise MapperClosed("the gateway is known once the mapper is entered")
        return self._gateway

    @property
    def mappings(self) -> tuple[Mapping, ...]:
        """The mappings that are wanted, lost ones included."""
        return self._keeper.mappings

    async def map(
        self,
        port: int,
        protocol: str = "tcp",
        *,
        external_port: int = 0,
        exact: bool = False,
        lifetime: int = limits.DEFAULT_LIFETIME,
        description: str = "portmapper",
    ) -> Mapping:
        """Open `port` of this host and keep it open until the mapping or the mapper is closed.

        `external_port` 0 leaves the choice to the gateway, which may also grant another than asked, unless it has to be
        `exact`ly that one. `lifetime` is the seconds to ask for; renewal is automatic. Raises InvalidRequest, NoService
        with each backend's reason.
        """
        self._running()
        request = MappingRequest(
            protocol=Protocol.parse(protocol),
            internal_port=port,
            external_port=external_port,
            exact=exact,
            lifetime=lifetime,
            description=description,
        )
        await self._close_unused()
        return self._keeper.adopt(request, await self._obtain(request))

    async def unmap(self, port: int, protocol: str = "tcp", *, external_port: int = 0) -> tuple[str, ...]:
        """Remove a mapping of this host that an earlier run left, by every backend that answers.

        UPnP finds it by `external_port` (0: the same as `port`). Returns the names of the backends that said yes; a
        gateway also says yes to removing what is not there. Raises InvalidRequest, NoService.
        """
        self._running()
        request = MappingRequest(protocol=Protocol.parse(protocol), internal_port=port, external_port=external_port)
        removed: list[str] = []
        async with self._select() as selection:
            while (backend := await selection.next()) is not None:
                try:
                    await backend.unmap(await backend.find(request))
                except PortMapperError as reason:
                    selection.reject(backend, reason)
                else:
                    removed.append(backend.name)
            if not removed:
                raise selection.failure()
        return tuple(removed)

    async def external_address(self) -> IPAddress | None:
        """Ask the gateway for its external address; None when it has none now. Raises NoService."""
        self._running()
        async with self._select() as selection:
            while (backend := await selection.next()) is not None:
                try:
                    return await backend.external_address()
                except PortMapperError as reason:
                    selection.reject(backend, reason)
            raise selection.failure()

    async def _obtain(self, request: MappingRequest) -> Grant:
        with anyio.move_on_after(limits.OBTAIN):
            return await self._ask_each(request)
        text = f"the gateway {self.gateway} did not come to an answer within {limits.OBTAIN:g} s"
        raise NoService(text, reasons={})

    async def _ask_each(self, request: MappingRequest) -> Grant:
        refusal: tuple[Backend, RequestRefused] | None = None
        if (trusted := self._trusted_backend()) is not None:
            try:
                return await _ask(trusted, request)
            except RequestRefused as reason:
                refusal = (trusted, reason)
            except PortMapperError:
                self._trusted = None  # it may be back in another form: ask afresh
        async with self._select() as selection:
            if refusal is not None:
                selection.reject(*refusal)
            while (backend := await selection.next()) is not None:
                try:
                    grant = await _ask(backend, request)
                except PortMapperError as reason:
                    selection.reject(backend, reason)
                else:
                    self._trust(selection.keep(backend))
                    return grant
            raise selection.failure()

    async def _obtain_again(self, holding: Holding) -> Grant:
        wish = holding.request.external_port if holding.request.exact else holding.lease.external.port
        return await self._obtain(replace(holding.request, external_port=wish))

    def _trust(self, backend: Backend) -> None:
        self._opened.append(backend)
        self._trusted = (backend, clock.now() + limits.BACKEND_TRUST)

    def _trusted_backend(self) -> Backend | None:
        if self._trusted is None or self._trusted[1] < clock.now():
            return None
        return self._trusted[0]

    def _select(self) -> Selection:
        options = BackendOptions(timeout=limits.DISCOVERY, key=self._key, state_lost=self._keeper.recover)
        return Selection(self._candidates, self.gateway, options)

    def _running(self) -> TaskGroup:
        if self._tasks is None:
            raise MapperClosed("use the mapper inside its `async with` block")
        return self._tasks

    async def _close_unused(self) -> None:
        trusted = self._trusted_backend()
        for backend in tuple(self._opened):
            if backend is not trusted and not self._keeper.uses(backend):
                self._opened.remove(backend)
                await backend.close()

    async def _leave(self) -> None:
        with anyio.CancelScope(shield=True):
            await self._keeper.release_all()
            self._trusted = None
            await self._close_unused()


async def _ask(backend: Backend, request: MappingRequest) -> Grant:
    """Ask for a mapping. A cancellation lets the gateway answer first and then undoes what it granted.

    When it stays unknown whether anything was granted (no answer, or one that makes no sense), what there is to be
    found is undone.
    """
    granted: list[Lease] = []

    async def ask() -> None:
        granted.append(await backend.map(request))

    begin = clock.now()
    try:
        await finish_begun(ask, grace=limits.GRACE)
    except (GatewayTimeout, GatewayUnreachable, ProtocolError, anyio.get_cancelled_exc_class()):
        with anyio.move_on_after(limits.GRACE, shield=True), suppress(PortMapperError):
            await backend.unmap(granted[0] if granted else await backend.find(request))
        raise
    await _check_port(backend, granted[0])
    return Grant(backend, granted[0], begin)


async def _check_port(backend: Backend, lease: Lease) -> None:
    """Release a lease at another port than it has to be. Raises PortUnavailable."""
    wanted, port = lease.request.external_port, lease.external.port
    if not lease.request.exact or port == wanted:
        return
    with anyio.move_on_after(limits.GRACE, shield=True), suppress(PortMapperError):
        await backend.unmap(lease)
    raise PortUnavailable(f"external port {wanted} is not to be had; the gateway offered {port}", granted=port)


@asynccontextmanager
async def open_mapping(
    port: int,
    protocol: str = "tcp",
    *,
    external_port: int = 0,
    exact: bool = False,
    lifetime: int = limits.DEFAULT_LIFETIME,
    description: str = "portmapper",
    gateway: Gateway | str | None = None,
    backends: Sequence[str] | None = None,
) -> AsyncGenerator[Mapping]:
    """Open one port for the time of an ``async with`` block; arguments and errors as for PortMapper and its map."""
    async with PortMapper(gateway=gateway, backends=backends) as mapper:
        yield await mapper.map(
            port, protocol, external_port=external_port, exact=exact, lifetime=lifetime, description=description
        )
