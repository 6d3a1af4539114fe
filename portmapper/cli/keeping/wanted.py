"""What `map` and `run` are told to open, how, and whom to tell."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import click

from portmapper import limits
from portmapper.cli.drawing.live import Board
from portmapper.cli.hooks.attendant import Hooks
from portmapper.cli.keeping.following import Attendant, Printing
from portmapper.cli.keeping.written import Place, Written, place_for
from portmapper.cli.options.ports import Wish, parse_ports
from portmapper.cli.options.settings import Settings, settings_of
from portmapper.cli.output import mention
from portmapper.request import parse_host, parse_remote

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Wanted:
    """The ports, in the order of the command line, and everything else."""

    wishes: tuple[Wish, ...]
    settings: Settings
    hook: str | None
    place: Place | None
    ipv6: bool = False
    live: bool = False

    def attendants(self) -> list[Attendant]:
        """Return whom to tell what happens; to be called in the event loop."""
        wanted: list[Attendant] = [Board() if self.live else Printing(self.settings.output)]
        written = Written(self.place, mention) if self.place is not None else None
        if written is not None:
            wanted.append(written)
        if self.hook is not None:
            wanted.append(Hooks(self.hook, mention, ready=None if written is None else written.written))
        return wanted


def with_wishes(command: F) -> F:
    """Add the ports and the options about them to a command; `wanted_of` makes sense of what they say."""
    for parameter in (
        click.option(
            "--write",
            metavar="FILE",
            type=click.Path(),  # for its completion
            help="Keep the external ports that are open in FILE, one a line.",
        ),
        click.option("--exec", "hook", metavar="COMMAND", help="Run this in a shell on every change."),
        click.option(
            "--check",
            type=float,
            metavar="SECONDS",
            help="How often to look whether they are still there: 60, 0: never.",
        ),
        click.option("--share", is_flag=True, help="Join a program of this host that has the port."),
        click.option(
            "--no-permanent",
            is_flag=True,
            help="Rather nothing than a mapping without end, if the router has no other.",
        ),
        click.option(
            "--third-party", metavar="ADDRESS", help="Map to another host, in a network where all are trusted."
        ),
        click.option(
            "--remote", multiple=True, metavar="ADDRESS[/PREFIX]", help="Let only these peers in; repeatable."
        ),
        click.option("--ipv6", is_flag=True, help="Open them in the firewall of the IPv6 gateway too, for this host."),
        click.option("--exact", is_flag=True, help="EXTERNAL or nothing: no other external port will do."),
        click.option("--external", type=int, metavar="PORT", help="The wished external port, for a single PORT."),
        click.option("--lifetime", type=int, metavar="SECONDS", help="How long to ask for: 7200, through a tunnel 60."),
        click.argument("ports", nargs=-1, required=True, metavar="PORT[:EXTERNAL][/PROTOCOL]..."),
    ):
        command = parameter(command)
    return command


def wanted_of(options: dict[str, Any]) -> Wanted:
    """Return what the parameters of a command say. Raises click.UsageError, and as `settings_of`."""
    host = None if options["third_party"] is None else parse_host(options["third_party"])
    lifetime, check = options["lifetime"], options["check"]
    shared = {"exact": options["exact"], "remote": parse_remote(options["remote"]), "internal_address": host}
    shared |= {} if lifetime is None else {"lifetime": lifetime}
    wishes = parse_ports(options["ports"], external=options["external"], **shared)
    settings = settings_of(
        options,
        allow_third_party=host is not None,
        allow_permanent=not options["no_permanent"],
        lifetime=lifetime,
        check=limits.CHECK if check is None else check,
    )
    place = None if options["write"] is None else place_for(options["write"])
    return Wanted(wishes, replace(settings, share=options["share"]), options["hook"], place, options["ipv6"])
