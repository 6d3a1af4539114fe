"""The options that all commands share, and the mapper they lead to."""

import os
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import anyio
import click
from anyio.abc import TaskGroup, TaskStatus

from portmapper import limits, registry
from portmapper.cli.options.completing import complete_backend, complete_gateway, complete_interface
from portmapper.cli.output import Output
from portmapper.errors import NoGateway
from portmapper.gateway.detect import gateway_at, gateways
from portmapper.mapper import PortMapper
from portmapper.model import Gateway
from portmapper.request import check_interval
from portmapper.state.folder import default_folder
from portmapper.testing import SimulatedGateway

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Settings:
    """What the shared options say."""

    gateway: Gateway | str | None
    backends: tuple[str, ...] | None
    simulate: bool
    output: Output
    allow_third_party: bool = False
    allow_permanent: bool = True
    interface: str | None = None
    lifetime: int | None = None
    check: float = limits.CHECK  # 0 is never
    state: Path | None = None
    share: bool = False
    simulated: Callable[[], SimulatedGateway] | None = None  # instead of one that speaks everything by IPv4

    @property
    def journals(self) -> Path | None:
        """The folder where programs of this host note what they have on this gateway; None where they do not."""
        return None if self.simulate else self.state

    def with_backends(self, names: tuple[str, ...]) -> "Settings":
        """Return the same with other backends."""
        return replace(self, backends=names)

    def by_ipv6(self) -> "Settings":
        """Return the same for the best IPv6 gateway of this host. Raises NoGateway."""
        if self.simulate:
            return replace(self, simulated=partial(SimulatedGateway, pcp=False, natpmp=False, ipv6=True))
        for gateway in gateways(self.interface):
            if gateway.address.version == 6:  # noqa: PLR2004
                return replace(
                    self, gateway=str(gateway)
                )  # by its address: it is looked up again when something changes
        raise NoGateway("this host has no default route to an IPv6 gateway")

    @asynccontextmanager
    async def open_mapper(self, tasks: TaskGroup) -> AsyncGenerator[PortMapper]:
        """Open a mapper on the gateway that was named, the simulated one, or that of the default route.

        The simulated one runs in `tasks`: it has to outlive a cancellation here, to see its mappings released.
        """
        async with self.open_gateway(tasks) as gateway, self._mapper(gateway, self.journals) as mapper:
            yield mapper

    @asynccontextmanager
    async def open_gateway(self, tasks: TaskGroup) -> AsyncGenerator[Gateway | str | None]:
        """Yield what names the gateway to PortMapper: what the user said, or the simulated one, run in `tasks`."""
        if not self.simulate:
            yield self.gateway
            return
        stop = anyio.Event()
        gateway: Gateway = await tasks.start(_simulate, stop, self.simulated or SimulatedGateway)
        try:
            yield gateway
        finally:
            stop.set()

    def _mapper(self, gateway: Gateway | str | None, state: Path | None) -> PortMapper:
        return PortMapper(
            gateway=gateway,
            interface=self.interface,
            backends=self.backends,
            state=state,
            allow_third_party=self.allow_third_party,
            allow_permanent=self.allow_permanent,
            check=self.check or None,
        )


async def _simulate(
    stop: anyio.Event,
    make: Callable[[], SimulatedGateway],
    *,
    task_status: TaskStatus[Gateway] = anyio.TASK_STATUS_IGNORED,
) -> None:
    async with make() as simulated:
        task_status.started(simulated.gateway)
        await stop.wait()


def with_settings(command: F) -> F:
    """Add the shared options to a command; `settings_of` makes Settings of what they say."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line."),
        click.option("--no-state", is_flag=True, help="Keep nothing for later runs, and look at nothing kept."),
        click.option("--simulate", is_flag=True, help="Use a simulated gateway on the loopback interface."),
        click.option(
            "--backend",
            "backends",
            multiple=True,
            metavar="NAME",
            shell_complete=complete_backend,
            help="pcp, natpmp, upnp or a plug-in; repeatable.",
        ),
        click.option(
            "--interface",
            metavar="NAME",
            shell_complete=complete_interface,
            help="Use the default route through this interface.",
        ),
        click.option(
            "--gateway",
            metavar="ADDRESS",
            shell_complete=complete_gateway,
            help="The router to ask; by default that of the default route.",
        ),
    ):
        command = option(command)
    return command


def settings_of(
    options: dict[str, Any],
    *,
    allow_third_party: bool = False,
    allow_permanent: bool = True,
    lifetime: int | None = None,
    check: float = limits.CHECK,
) -> Settings:
    """Return the settings in the options of a command. Raises InvalidRequest, UnknownBackend, NoGateway."""
    backends = tuple(options["backends"]) or None
    registry.select(backends)
    check_interval(check or None)
    gateway, interface = options["gateway"], options["interface"]
    if gateway is not None:
        gateway_at(gateway, interface)  # told at once; it is looked up again when the network changes
    return Settings(
        gateway=gateway,
        interface=interface,
        lifetime=lifetime,
        backends=backends,
        simulate=options["simulate"],
        output=Output(as_json=options["as_json"]),
        allow_third_party=allow_third_party,
        allow_permanent=allow_permanent,
        check=check,
        state=None if options["no_state"] else _state_folder(),
    )


def _state_folder() -> Path:
    override = os.environ.get("PORTMAPPER_STATE")
    return Path(override) if override else default_folder()
