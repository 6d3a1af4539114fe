"""What goes into the tables that the command shows on a terminal."""

from collections.abc import Iterable, Sequence

from portmapper.cli.drawing.tables import Cell, Column, Sheet, cell
from portmapper.gateway.tables.ranking import Candidate
from portmapper.known import KnownMapping
from portmapper.model import Endpoint, Gateway
from portmapper.state.folder import NotedMapping
from portmapper.state.journal import NoteState

_OWN, _FAINT = "green", "dim"


def listed_sheet(known: Iterable[KnownMapping], now: float) -> Sheet:
    """Return the table of mappings; `now` is the time of day."""
    columns = [
        Column("external", right=True),
        Column("to"),
        Column("this host", rank=2),
        Column("left", rank=1, right=True),
        Column("known from", rank=4),
        Column("program", rank=5),
        Column("description", rank=3),
    ]
    return Sheet(columns, [_listed_row(one, now) for one in known])


def _listed_row(one: KnownMapping, now: float) -> list[Cell]:
    style = _OWN if one.own else ""
    if one.enabled is False:
        style = _FAINT
    only = f" for {one.remote} only" if one.remote else ""
    owner = f"{one.noted.program} ({one.noted.pid}{'' if one.noted.living else ', dead'})" if one.noted else ""
    return [
        cell(f"{one.external_port or 'all'}/{one.protocol}", style),
        cell(f"{one.internal_client}:{one.internal_port or 'all'}{only}", style),
        cell("yes" if one.own else "", style),
        cell(duration(one.lifetime(now)), style),
        cell(" + ".join(one.sources), _FAINT),
        cell(owner),
        cell(one.description if one.enabled is not False else f"switched off: {one.description}"),
    ]


def noted_sheet(noted: Iterable[NotedMapping], now: float) -> Sheet:
    """Return the table of what programs of this host have or left; `now` is the time of day."""
    columns = [
        Column("port"),
        Column("external", right=True),
        Column("state"),
        Column("left", rank=1, right=True),
        Column("gateway", rank=2),
        Column("by", rank=4),
        Column("program", rank=3),
    ]
    return Sheet(columns, [_noted_row(one, now) for one in noted])


def _noted_row(one: NotedMapping, now: float) -> list[Cell]:
    note = one.note
    stale = not one.living and note.state is not NoteState.DETACHED
    left = "" if note.state is NoteState.ASKED else duration(0 if note.ends is None else round(note.ends - now))
    return [
        cell(f"{Endpoint(note.client, note.request.internal_port)}/{note.request.protocol}"),
        cell((note.external.port or "all") if note.external else ""),
        cell("stale" if stale else note.state, "red" if stale else _OWN if one.living else ""),
        cell(left),
        cell(note.gateway),
        cell(note.backend or ""),
        cell(f"{one.program} ({one.pid}{'' if one.living else ', dead'})"),
    ]


def gateway_sheet(found: Sequence[tuple[Candidate, Gateway | None, Sequence[str]]]) -> Sheet:
    """Return the table of what the routes lead to."""
    columns = [Column("gateway"), Column("through", rank=2), Column("from", rank=3), Column("why", rank=1)]
    return Sheet(columns, [_gateway_row(*one) for one in found])


def _gateway_row(candidate: Candidate, gateway: Gateway | None, reasons: Sequence[str]) -> list[Cell]:
    style = "" if gateway else _FAINT
    return [
        cell(gateway or f"not {candidate.gateway or 'a gateway'}", _OWN if gateway else _FAINT),
        cell(candidate.interface, style),
        cell(gateway.source if gateway else "", style),
        cell("; ".join(reasons), style),
    ]


def duration(seconds: int) -> str:
    """Return seconds as a person reads them: "2 h 5 min"; 0 is no end."""
    if not seconds:
        return "no end"
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")]
    told = [f"{count} {unit}" for count, unit in parts if count]
    return " ".join(told[:2])
