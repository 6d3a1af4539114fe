"""What the shell completes: names of backends, interfaces and gateways. Nothing is sent for that."""

from collections.abc import Iterable

import click
from click.shell_completion import CompletionItem

from portmapper import registry
from portmapper.gateway.detect import survey


def complete_backend(_ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the backends, plug-ins too."""
    told = ((one.name, one.distribution or "built-in") for one in registry.candidates())
    return _matching(told, incomplete)


def complete_interface(_ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the interfaces that default routes go through."""
    told = ((one.interface, f"towards {one.gateway or 'no gateway'}") for one, _ in survey())
    return _matching(told, incomplete)


def complete_gateway(_ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the gateways of the routes that can be asked."""
    told = ((str(gateway), f"through {one.interface}") for one, gateway in survey() if gateway is not None)
    return _matching(told, incomplete)


def _matching(told: Iterable[tuple[str, str]], incomplete: str) -> list[CompletionItem]:
    once = dict(reversed(list(told)))
    return [CompletionItem(value, help=help_) for value, help_ in sorted(once.items()) if value.startswith(incomplete)]
