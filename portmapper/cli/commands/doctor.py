"""`portmapper doctor`: why can nobody reach this host, and what to do about it."""

import getpass
import json
import os
import platform
import socket
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Literal

import click
from anyio.abc import TaskGroup

from portmapper import __version__
from portmapper.cli.drawing.progress import progress
from portmapper.cli.drawing.terminal import room
from portmapper.cli.options.ports import parse_ports
from portmapper.cli.options.settings import Settings, settings_of, with_settings
from portmapper.cli.signals import run_session
from portmapper.doctor.evidence import doctor_object
from portmapper.doctor.examine import examine
from portmapper.doctor.findings import Findings
from portmapper.doctor.redaction import Masker
from portmapper.doctor.report import WIDTH, report_lines
from portmapper.doctor.verdict import Verdict, verdict
from portmapper.errors import LocalError
from portmapper.model import MappingRequest, Protocol
from portmapper.text import safe_text

EXIT_WRONG = 1
_LOOKED_AT = {Protocol.TCP, Protocol.UDP}


@click.command("doctor")
@click.argument("port", required=False, metavar="[PORT[:EXTERNAL][/PROTOCOL]]")
@click.option(
    "--bundle",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write a report for a bug report too; public addresses, names and numbers that tell whose it is are masked.",
)
@with_settings
def doctor_command(port: str | None, bundle: Path | None, **options: Any) -> int:
    """Find out why nobody can reach this host, and say what to do.

    \b
    portmapper doctor                      look around; nothing is opened
    portmapper doctor 8080                 try that port too
    portmapper doctor --bundle report.txt  for a bug report

    Without PORT nothing is opened on the router. With PORT a trial mapping is made for some seconds, looked at and
    removed again, unless a program of this host has the port open already. Nobody but the router is asked.

    Ends with 0 when all is well, with 1 when something keeps people out.
    """  # noqa: D301 - \b is click's word for "keep these lines"
    request = None if port is None else _one_port(port)
    settings = settings_of(options)
    if bundle is not None:
        _write(bundle, "", mode="a")  # told before anything is opened, if it cannot be done
    found: list[Findings] = []
    code = run_session(partial(_examine, settings, request, found))
    if not found:
        return code
    judged = verdict(found[0])
    settings.output.write(doctor_object(judged, found[0]), report_lines(judged, found[0], width=room(WIDTH)))
    if bundle is not None:
        _write(bundle, bundle_text(judged, found[0], _names()))
    return code or (0 if judged.well else EXIT_WRONG)


async def _examine(settings: Settings, request: MappingRequest | None, found: list[Findings], tasks: TaskGroup) -> None:
    async with settings.open_gateway(tasks) as gateway, progress("Looking around ..."):
        findings = await examine(
            gateway=gateway,
            interface=settings.interface,
            backends=settings.backends,
            request=request,
            state=None if settings.simulate else settings.state,
        )
    found.append(findings)


def _one_port(text: str) -> MappingRequest:
    wish, *more = parse_ports([text])
    request = wish.request
    if more or wish.both or not request.internal_port or request.protocol not in _LOOKED_AT:
        raise click.UsageError(f"doctor looks at one TCP or UDP port, not at {safe_text(text)}")
    return request


def bundle_text(judged: Verdict, findings: Findings, names: Iterable[tuple[str, str]]) -> str:
    """Return the report twice, for people and for programs, with everything masked that tells whose it is.

    `names` are those of this host and its user, by kind.
    """
    masker = Masker(names)
    about = {"portmapper": __version__, "python": platform.python_version(), "system": platform.platform()}
    facts = masker.redacted({**about, **doctor_object(judged, findings)})
    text = "\n".join(report_lines(judged, findings, masker.redacted_text))
    return f"{text}\n\n{json.dumps(facts, indent=2)}\n"


def _names() -> Iterator[tuple[str, str]]:
    """Yield what this host and its user are called."""
    host = socket.gethostname()
    yield from (("host", host), ("host", host.partition(".")[0]))
    with suppress(OSError, KeyError):
        yield "user", getpass.getuser()
    yield "user", Path(os.path.expanduser("~")).name  # noqa: PTH111 - Path.home raises where there is none


def _write(path: Path, text: str, *, mode: Literal["w", "a"] = "w") -> None:
    try:
        with path.open(mode, encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise LocalError(f"cannot write {path}: {error.strerror}") from error
