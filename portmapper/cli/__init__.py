"""The command."""

from portmapper.cli.app import main

__all__ = ["main"]
