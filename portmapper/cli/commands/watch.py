"""`portmapper watch`: see what happens on the gateway, change nothing."""

import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import anyio
import click
from anyio.abc import TaskGroup

from portmapper import limits
from portmapper.cli.drawing.screen import Screen
from portmapper.cli.drawing.terminal import ECHO
from portmapper.cli.options.settings import Settings, settings_of, with_settings
from portmapper.cli.signals import run_session
from portmapper.cli.words.watched import sighting_line, sighting_object
from portmapper.errors import LocalError
from portmapper.request import watch_interval
from portmapper.sightings import Sighting
from portmapper.watching import GatewayWatch

_REFRESH = 1.0  # seconds: how soon a terminal of another size is drawn to


@click.command("watch", short_help="Show what happens on the gateway; change nothing.")
@click.option(
    "--interval",
    type=float,
    default=limits.LOOK,
    show_default=True,
    metavar="SECONDS",
    help="How often to look; after an announcement at once.",
)
@with_settings
def watch_command(interval: float, **options: Any) -> int:
    """Show what the gateway announces, answers and lists, until interrupted; nothing is changed there.

    \b
    portmapper watch                   a view that is kept up to date; in a pipe one line for each change
    portmapper watch --interval 10     look every 10 seconds (at least 5)
    portmapper watch --json | jq .     for programs, one object for each change

    What there is at the beginning comes as changes too. Announcements are those of PCP, NAT-PMP and UPnP; anybody on
    the network can send them, so they are shown and the gateway is asked. PCP alone does not tell the external address.
    """  # noqa: D301 - \b is click's word for "keep these lines"
    watch_interval(interval)
    return run_session(partial(_watch, settings_of(options), interval))


async def _watch(settings: Settings, interval: float, tasks: TaskGroup) -> None:
    async with settings.open_gateway(tasks) as gateway:
        begin = partial(
            GatewayWatch,
            gateway=gateway,
            interface=settings.interface,
            backends=settings.backends,
            state=settings.journals,
            interval=interval,
        )
        await (_draw(begin) if settings.output.draws else _print(begin, settings))


async def _print(begin: Callable[[Callable[[Sighting], None]], GatewayWatch], settings: Settings) -> None:
    unwritten: list[LocalError] = []  # raised outside: the groups of the watch would wrap it
    with anyio.CancelScope() as watching:

        def tell(sighting: Sighting) -> None:
            now = time.time()
            try:
                settings.output.write(sighting_object(sighting, now), [sighting_line(sighting, now)])
            except LocalError as error:
                unwritten.append(error)
                watching.cancel()

        await begin(tell).run()
    if unwritten:
        raise unwritten[0]


async def _draw(begin: Callable[[Callable[[Sighting], None]], GatewayWatch]) -> None:
    from rich.constrain import Constrain  # noqa: PLC0415 - 80 ms that most calls need not spend
    from rich.live import Live  # noqa: PLC0415

    screen = Screen()
    watch = begin(lambda sighting: screen.take(sighting, time.time()))
    # No thread of rich's: drawn from here. And what goes to a file by 2> stays out of it.
    with Live(auto_refresh=False, vertical_overflow="crop", redirect_stderr=sys.stderr.isatty()) as live:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch.run)
            while True:
                size = live.console.size
                width = size.width - ECHO
                drawn = screen.draw(watch.view, width, size.height, time.time())
                live.update(Constrain(drawn, width), refresh=True)
                await anyio.sleep(_REFRESH)
