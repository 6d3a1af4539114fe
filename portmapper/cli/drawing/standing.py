"""The table of what is open now, as `map` shows it on a terminal."""

from collections.abc import Sequence
from math import ceil, inf

from portmapper.cli.drawing.sheets import duration
from portmapper.cli.drawing.tables import Cell, Column, Sheet, cell
from portmapper.mapping import Mapping
from portmapper.model import MappingState

_STYLES = {MappingState.LOST: "red", MappingState.CLOSED: "dim"}


def standing_sheet(mappings: Sequence[Mapping], room: int) -> Sheet:
    """Return the table of mappings with at most `room` rows: where there are more, what is lost comes first."""
    columns = [
        Column("port"),
        Column("of", rank=4),
        Column("state"),
        Column("external"),
        Column("by", rank=3),
        Column("renewal", rank=2, right=True),
        Column("lease ends", rank=1, right=True),
    ]
    shown = mappings
    if len(mappings) > room:
        shown = sorted(mappings, key=lambda one: one.state is not MappingState.LOST)[: max(room - 1, 0)]
    rows = [_row(one) for one in shown]
    if len(shown) < len(mappings):
        rows.append([cell(f"{len(mappings) - len(shown)} more", "dim"), *[cell("")] * (len(columns) - 1)])
    return Sheet(columns, rows)


def _row(mapping: Mapping) -> list[Cell]:
    lease = mapping.lease
    return [
        cell(f"{lease.internal.port or 'all'}/{mapping.protocol}"),
        cell(lease.internal.address),
        _state(mapping),
        cell(lease.external, "" if mapping.state is MappingState.MAPPED else "dim"),
        cell(f"{lease.backend} on {lease.gateway}"),
        cell(_in(mapping.next_attempt, never="trying" if mapping.state is MappingState.LOST else "")),
        cell(_in(mapping.remaining, never="no end") if mapping.state is MappingState.MAPPED else ""),
    ]


def _state(mapping: Mapping) -> Cell:
    if mapping.state is MappingState.MAPPED and mapping.problem is not None:
        return cell("at risk", "yellow")  # the lease stands, but could not be renewed
    return cell(mapping.state, _STYLES.get(mapping.state, "green"))


def _in(seconds: float, *, never: str) -> str:
    return never if seconds == inf else duration(max(ceil(seconds), 1))
