"""Find out what can be seen from here. Without a port nothing is opened on the router.

Everything that does not depend on something else is done at the same time, and everything has a bound.
"""

import functools
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import anyio
import anyio.to_thread

from portmapper import limits, registry
from portmapper.doctor import firewall, host
from portmapper.doctor.devices import look_at_all
from portmapper.doctor.exchanges import READERS, ask_first
from portmapper.doctor.findings import (
    Device,
    Findings,
    Firewall,
    FirstQuestion,
    GatewayFindings,
    Outcome,
    PortFindings,
    Search,
    Step,
    Trial,
)
from portmapper.doctor.searching import search
from portmapper.doctor.trial import list_port, trial_request, try_backend
from portmapper.errors import LocalError, PortMapperError
from portmapper.gateway.detect import locate
from portmapper.model import Gateway, ListedMapping, MappingRequest
from portmapper.net import clock
from portmapper.state.folder import NotedMapping, noted_mappings
from portmapper.state.journal import NoteState
from portmapper.upnp.mappings import PortMappings

T = TypeVar("T")
_UPNP = "upnp"


async def examine(
    *,
    gateway: Gateway | str | None = None,
    interface: str | None = None,
    backends: Sequence[str] | None = None,
    request: MappingRequest | None = None,
    state: Path | None = None,
) -> Findings:
    """Return what can be found out from here, in a few seconds.

    `gateway` is the one to ask; by default those of all default routes are asked, or of those through `interface`.
    `backends` are names as for PortMapper. For the port of `request` a trial mapping is made at the first gateway, by
    each backend that answers, and removed; not while a program of this host has it open, by the journals in `state` or
    the router's list.
    Raises InvalidRequest, NoGateway (no route to the gateway that was named) and UnknownBackend.
    """
    examination = _Examination(interface, tuple(one.name for one in registry.select(backends)), state)
    return await examination.run(None if gateway is None else locate(gateway, interface), request)


@dataclass(slots=True)
class _Asked:
    """What is collected of one gateway, by tasks side by side."""

    gateway: Gateway
    questions: dict[str, FirstQuestion] = field(default_factory=dict[str, FirstQuestion])
    search: Search | None = None
    devices: tuple[Device, ...] = ()
    mappings: PortMappings | None = None

    def findings(self) -> GatewayFindings:
        return GatewayFindings(
            gateway=self.gateway,
            questions=tuple(self.questions[name] for name in READERS if name in self.questions),
            search=self.search,
            devices=self.devices,
            neighbour=host.neighbour(self.gateway.address),
        )


class _Examination:
    def __init__(self, interface: str | None, backends: tuple[str, ...], state: Path | None) -> None:
        self._interface = interface
        self._backends = backends
        self._state = state
        self._begin = clock.now()
        self._steps: list[Step] = []
        self._firewall = Firewall()

    async def run(self, named: Gateway | None, request: MappingRequest | None) -> Findings:
        network = host.network(self._interface)
        found = [gateway for _, gateway in network.candidates if gateway is not None]
        asked = [_Asked(one) for one in ([named] if named else found)[: limits.DOCTOR_GATEWAYS]]
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._look_at_firewall)
            for one in asked:
                self._ask(one, tasks.start_soon)
        port = None if request is None else await self._look_at_port(trial_request(request), asked)
        return Findings(
            network=network,
            gateways=tuple(one.findings() for one in asked),
            named=named is not None,
            backends=self._backends,
            firewall=self._firewall,
            port=port,
            steps=tuple(self._steps),
            seconds=clock.now() - self._begin,
        )

    def _ask(self, asked: _Asked, start: Callable[..., object]) -> None:
        for backend in READERS:
            if backend in self._backends:
                start(self._put_question, asked, backend)
        if _UPNP in self._backends:
            start(self._search, asked)

    async def _look_at_firewall(self) -> None:
        self._firewall = await self._timed("firewall of this host", firewall.look(), _firewall_words)

    async def _put_question(self, asked: _Asked, backend: str) -> None:
        question = ask_first(asked.gateway, backend)
        name = f"{backend} at {asked.gateway}"
        asked.questions[backend] = await self._timed(name, question, lambda one: one.outcome)

    async def _search(self, asked: _Asked) -> None:
        found = await self._timed(f"upnp search at {asked.gateway}", search(asked.gateway), _search_words)
        asked.search = found
        if found.outcome is Outcome.ANSWERED:
            looks = look_at_all(found, asked.gateway)
            name = f"upnp devices at {asked.gateway}"
            asked.devices, asked.mappings = await self._timed(name, looks, lambda pair: f"{len(pair[0])} looked at")

    async def _look_at_port(self, request: MappingRequest, asked: list[_Asked]) -> PortFindings:
        port = PortFindings(request=request, listeners=host.listeners(request.protocol, request.internal_port))
        if not asked:
            return port
        first = asked[0]
        port = await self._with_noted(port, first.gateway)
        port = await self._with_listed(port, first)
        return port if port.is_claimed else replace(port, trials=await self._trials(request, first))

    async def _with_noted(self, port: PortFindings, gateway: Gateway) -> PortFindings:
        if self._state is None:
            return port
        try:
            found = await anyio.to_thread.run_sync(functools.partial(noted_mappings, self._state))
        except LocalError as error:
            return replace(port, unknown=(*port.unknown, f"what other programs of this host have: {error}"))
        now = clock.wall()
        mine = (one for one in found if _is_claimed(one, now) and _is_of(one, port.request, gateway))
        return replace(port, noted=tuple(mine))

    async def _with_listed(self, port: PortFindings, asked: _Asked) -> PortFindings:
        if asked.mappings is None:
            return port
        listing = list_port(port.request, asked.gateway, asked.mappings)
        try:
            found = await self._timed(f"list of mappings at {asked.gateway}", listing, _list_words)
        except PortMapperError as error:
            return replace(port, unknown=(*port.unknown, f"the router's list of mappings: {error}"))
        return replace(port, listed=found)

    async def _trials(self, request: MappingRequest, asked: _Asked) -> tuple[Trial, ...]:
        return tuple([await self._try(request, asked, backend) for backend in self._answering(asked)])

    def _answering(self, asked: _Asked) -> list[str]:
        questions = [one.backend for one in asked.questions.values() if one.outcome is Outcome.ANSWERED]
        devices = [_UPNP] if any(not one.problem for one in asked.devices) else []
        plugins = [name for name in self._backends if name not in {*READERS, _UPNP}]
        return [name for name in self._backends if name in {*questions, *devices, *plugins}]

    async def _try(self, request: MappingRequest, asked: _Asked, backend: str) -> Trial:
        trying = try_backend(asked.gateway, request, backend, state=self._state, mappings=asked.mappings)
        return await self._timed(f"trial mapping by {backend}", trying, lambda one: one.name or one.problem or "made")

    async def _timed(self, name: str, work: Coroutine[Any, Any, T], say: Callable[[T], str]) -> T:
        begin = clock.now()
        result = await work
        self._steps.append(Step(name=name, seconds=clock.now() - begin, outcome=say(result)))
        return result


def _is_claimed(one: NotedMapping, now: float) -> bool:
    # What a dead program left is no hindrance: a new mapping takes its place.
    kept = one.living or one.note.state is NoteState.DETACHED
    return kept and not one.note.ended(now)


def _is_of(one: NotedMapping, request: MappingRequest, gateway: Gateway) -> bool:
    return one.note.gateway == gateway and one.note.request.overlaps(request)


def _firewall_words(found: Firewall) -> str:
    return ", ".join(found.active) or "none seen"


def _list_words(found: tuple[ListedMapping, ...]) -> str:
    return f"{len(found)} of this port"


def _search_words(found: Search) -> str:
    return f"{len(found.answers)} answers" if found.answers else str(found.outcome)
