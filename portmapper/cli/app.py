"""The command: its subcommands, and what they end with."""

import logging
import os
import signal
import sys
from collections.abc import Sequence

import click

from portmapper import __version__
from portmapper.cli.loading import LazyGroup
from portmapper.cli.output import Complaints, Output, complain
from portmapper.cli.shortage import shortage
from portmapper.cli.streams import forget_unwritten, make_usable
from portmapper.errors import InUseLocally, InvalidRequest, NoGateway, NoService, PortMapperError, UnknownBackend

_NAME = "portmapper"
COMPLETING = "_PORTMAPPER_COMPLETE"
"""The variable by which a shell asks what to complete, without any word: click's own choice for this name."""

_INTERRUPTED = 128 + signal.SIGINT

EXIT_OTHER, EXIT_USAGE, EXIT_NO_GATEWAY, EXIT_NO_SERVICE, EXIT_REFUSED, EXIT_IN_USE = 1, 2, 3, 4, 5, 6

_EXIT_CODES = """\b
Exit codes:
  0        done
  1        something else went wrong
  2        the command line makes no sense
  3        no gateway was found
  4        no port mapping service answered
  5        the gateway refused
  6        another program of this host has the port (--share joins it)
  128 + n  ended by signal n, after a clean release
`run` ends with the exit code of its command; 126 and 127 if that cannot be run or found.
"""


_PLACES = {
    "map": "map",
    "run": "run",
    "unmap": "unmap",
    "list": "show",
    "address": "show",
    "gateway": "show",
    "watch": "watch",
    "doctor": "doctor",
    "backends": "backends",
    "schema": "schema",
    "completion": "completion",
}
"""In which module each command is."""

COMPLAINING = ("portmapper.recording", "portmapper.state", "portmapper.watching")
"""The loggers that have something to say to whoever runs the command."""


@click.group(
    cls=LazyGroup, places=_PLACES, epilog=_EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(__version__, prog_name="portmapper")
def app() -> None:
    """Open a port on the router by PCP, NAT-PMP or UPnP, keep it open, and close it on the way out."""


def exit_code(error: PortMapperError) -> int:
    """Return the exit code that an error stands for."""
    if isinstance(error, (InvalidRequest, UnknownBackend)):
        return EXIT_USAGE
    if isinstance(error, InUseLocally):
        return EXIT_IN_USE
    if isinstance(error, NoGateway):
        return EXIT_NO_GATEWAY
    if isinstance(error, NoService):
        return EXIT_REFUSED if error.refused else EXIT_NO_SERVICE
    return EXIT_OTHER


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and exit the process."""
    make_usable()
    logging.getLogger("portmapper").addHandler(logging.NullHandler())  # the command says it in its own words
    for name in COMPLAINING:
        logging.getLogger(name).addHandler(Complaints(logging.WARNING))
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words and COMPLETING not in os.environ:  # some versions of click would call that a success
        click.echo(app.get_help(click.Context(app, info_name=_NAME)), err=True)
        sys.exit(EXIT_USAGE)
    try:
        sys.exit(app.main(args=words, prog_name=_NAME, standalone_mode=False, complete_var=COMPLETING))
    except click.ClickException as error:
        complain(error.format_message())
        sys.exit(EXIT_USAGE)
    except click.Abort as abort:  # "no" to a question, or Ctrl-C at it or before anything was begun
        sys.exit(_INTERRUPTED if isinstance(abort.__cause__, KeyboardInterrupt) else EXIT_OTHER)
    except PortMapperError as error:
        _output(words).error(error)
        sys.exit(exit_code(error))
    except (OSError, ExceptionGroup) as error:
        short = shortage(error)
        if short is None:
            raise
        forget_unwritten()
        _output(words).error(short)
        sys.exit(EXIT_OTHER)


def _output(words: Sequence[str]) -> Output:
    ours = words[: words.index("--")] if "--" in words else words
    return Output(as_json="--json" in ours, to="stderr" if ours[:1] == ["run"] else "stdout")
