"""Subcommands that are imported when they are used: `address` need not wait for what `doctor` needs."""

from collections.abc import Mapping as Dict
from importlib import import_module
from typing import Any

import click


class LazyGroup(click.Group):
    """A group whose commands are named by their places: "map" for `map_command` in the module of that name."""

    def __init__(self, *args: Any, places: Dict[str, str], **options: Any) -> None:
        super().__init__(*args, **options)
        self._places = places

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names, in the order they are shown."""
        return list(self._places)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Import a command; None if there is none of that name."""
        place = self._places.get(cmd_name)
        if place is None:
            return None
        command = getattr(import_module(f"portmapper.cli.commands.{place}"), f"{cmd_name}_command")
        assert isinstance(command, click.Command)  # noqa: S101
        return command
