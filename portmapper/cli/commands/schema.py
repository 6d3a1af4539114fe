"""`portmapper schema`: what `--json` prints, for programs that check it or are made from it."""

from importlib.resources import files

import click

from portmapper.cli.output import Output


def schema_text() -> str:
    """Return the JSON Schema (draft 2020-12) of all objects that the command prints."""
    return files("portmapper.cli").joinpath("schema.json").read_text("utf-8")


@click.command("schema")
def schema_command() -> int:
    """Print the JSON Schema of what --json prints.

    \b
    portmapper schema                        all of it
    portmapper schema | jq '."$defs".listed' one kind of object

    Every object is named by its key event; none has keys that are not in the schema, but the evidence of doctor.
    """  # noqa: D301 - \b is click's word for "keep these lines"
    Output(as_json=True).page(schema_text().rstrip("\n"))
    return 0
