"""`portmapper completion`: the script that makes a shell complete the command."""

import os
from pathlib import PurePath

import click
from click.shell_completion import get_completion_class

from portmapper.cli.output import Output

_SHELLS = ("bash", "zsh", "fish")
_NAME, _VARIABLE = "portmapper", "_PORTMAPPER_COMPLETE"  # as cli.app has them


@click.command("completion", short_help="Print the script for completion in a shell.")
@click.argument("shell", type=click.Choice(_SHELLS), required=False)
@click.pass_context
def completion_command(context: click.Context, shell: str | None) -> int:
    """Print the script that makes a shell complete the command; without SHELL for the one in use.

    \b
    eval "$(portmapper completion bash)"                                         in ~/.bashrc
    eval "$(portmapper completion zsh)"                                          in ~/.zshrc, below compinit
    portmapper completion fish > ~/.config/fish/completions/portmapper.fish      once

    Names of backends, interfaces and gateways are completed too, without asking any gateway.
    """  # noqa: D301 - \b is click's word for "keep these lines"
    wanted = shell or PurePath(os.environ.get("SHELL", "")).name
    kind = get_completion_class(wanted) if wanted in _SHELLS else None
    if kind is None:
        raise click.UsageError(f"name the shell: {', '.join(_SHELLS)}")
    completion = kind(context.find_root().command, {}, _NAME, _VARIABLE)
    # `source` would start a bash to see its version; the template is what it prints then.
    Output(as_json=False).page(completion.source_template % completion.source_vars())
    return 0
