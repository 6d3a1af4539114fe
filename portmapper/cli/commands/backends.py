"""`portmapper backends`: which protocols there are, what they can, and whether the gateway answers to them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import click
from anyio.abc import TaskGroup

from portmapper import registry
from portmapper.cli.drawing.progress import progress
from portmapper.cli.drawing.tables import Cell, Column, Sheet, cell
from portmapper.cli.options.settings import Settings, settings_of, with_settings
from portmapper.cli.output import Output
from portmapper.cli.signals import run_session
from portmapper.errors import PortMapperError
from portmapper.model import Feature, Gateway
from portmapper.registry import Candidate
from portmapper.text import safe_text


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a backend; `problem` is why it cannot be used at all."""

    candidate: Candidate
    title: str
    offers: frozenset[Feature]
    problem: PortMapperError | None

    @property
    def origin(self) -> str:
        """Where it comes from, for people."""
        return f"{self.candidate.distribution} {self.candidate.version}".strip() or "built-in"

    @property
    def abilities(self) -> list[str]:
        """What it can do beyond a TCP or UDP port of this host."""
        return sorted(feature.name.lower().replace("_", "-") for feature in self.offers)


@dataclass(frozen=True, slots=True)
class Probed:
    """What came of asking a gateway: the seconds until it answered, or why it did not."""

    gateway: Gateway
    outcome: float | PortMapperError

    @property
    def milliseconds(self) -> float | None:
        """How long the answer took, None without one."""
        return None if isinstance(self.outcome, PortMapperError) else round(self.outcome * 1000, 1)

    @property
    def reason(self) -> str | None:
        """Why there is no answer, None with one."""
        return str(self.outcome) if isinstance(self.outcome, PortMapperError) else None


@click.command("backends", short_help="Print the protocols that can be used.")
@click.option("--probe", is_flag=True, help="Ask the gateway by each of them; nothing is changed there.")
@with_settings
def backends_command(probe: bool, **options: Any) -> int:
    """Print every protocol that can be used, plug-ins too, what it can do, and where it comes from.

    \b
    portmapper backends                       what is installed; nothing is sent
    portmapper backends --probe               and what the gateway answers to, in how many ms
    portmapper backends --probe --backend pcp one of them

    A plug-in that is broken is printed with its error.
    """  # noqa: D301 - \b is click's word for "keep these lines"
    settings = settings_of(options)
    wanted = registry.candidates() if settings.backends is None else registry.select(settings.backends)
    found = [facts_of(candidate) for candidate in wanted]
    if not probe:
        show(settings.output, [(one, None) for one in found])
        return 0
    return run_session(partial(_probe, found, settings))


def facts_of(candidate: Candidate) -> Facts:
    """Return what is known of a backend; it is imported for that."""
    try:
        backend = candidate.load()
    except PortMapperError as problem:
        return Facts(candidate, "", frozenset(), problem)
    return Facts(candidate, backend.title, backend.offers, None)


async def _probe(found: Sequence[Facts], settings: Settings, tasks: TaskGroup) -> None:
    names = tuple(one.candidate.name for one in found)
    async with settings.with_backends(names).open_mapper(tasks) as mapper:
        async with progress(f"Asking {mapper.gateway} ..."):
            outcomes = await mapper.probe()
        show(settings.output, [(one, Probed(mapper.gateway, outcomes[one.candidate.name])) for one in found])


def show(output: Output, told: Sequence[tuple[Facts, Probed | None]]) -> None:
    """Tell them all."""
    output.rows([backend_object(*one) for one in told], [_line(*one) for one in told], lambda: _sheet(told))


def backend_object(facts: Facts, probed: Probed | None) -> dict[str, Any]:
    """Return the object for a backend."""
    return {
        "event": "backend",
        "name": facts.candidate.name,
        "title": facts.title or None,
        "features": facts.abilities,
        "distribution": facts.candidate.distribution or None,
        "version": facts.candidate.version or None,
        "problem": str(facts.problem) if facts.problem else None,
        "gateway": str(probed.gateway) if probed else None,
        "answers": probed.reason is None if probed else None,
        "milliseconds": probed.milliseconds if probed else None,
        "reason": probed.reason if probed else None,
    }


def _line(facts: Facts, probed: Probed | None) -> str:
    if facts.problem:
        return f"{facts.candidate.name} ({safe_text(facts.origin)}) cannot be used: {facts.problem}"
    can = ", ".join(facts.abilities) or "TCP and UDP ports of this host only"
    line = f"{facts.candidate.name}: {safe_text(facts.title)} ({safe_text(facts.origin)}; {can})"
    return f"{line}: {_answer(probed)}" if probed else line


def _answer(probed: Probed) -> str:
    said = f"answers in {probed.milliseconds:g} ms" if probed.reason is None else f"does not answer: {probed.reason}"
    return f"{probed.gateway} {said}"


def _sheet(told: Sequence[tuple[Facts, Probed | None]]) -> Sheet:
    columns = [Column("name"), Column("protocol", rank=4), Column("from", rank=3), Column("can", rank=2)]
    probed = any(one for _, one in told)
    return Sheet([*columns, *([Column("gateway", rank=1)] if probed else [])], [_row(*one) for one in told])


def _row(facts: Facts, probed: Probed | None) -> list[Cell]:
    broken = facts.problem is not None
    cells = [
        cell(facts.candidate.name, "red" if broken else ""),
        cell(facts.title),
        cell(facts.origin),
        cell(facts.problem if broken else ", ".join(facts.abilities)),
    ]
    answers = probed is not None and probed.reason is None
    return [*cells, cell(_answer(probed), "green" if answers else "dim")] if probed else cells
