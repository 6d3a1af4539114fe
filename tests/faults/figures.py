"""Figures of a measurement as text."""

from collections.abc import Mapping, Sequence


def share_of(series: Sequence[float], share: float) -> float:
    """Return the value that `share` of `series` do not exceed; not a number when there are none."""
    return sorted(series)[int(share * (len(series) - 1))] if series else float("nan")


def spread(times: Mapping[str, Sequence[float]]) -> str:
    """Return how many there are of each, with median, 95 % and the longest."""
    lines = [f"{'':10} {'n':>6} {'p50':>7} {'p95':>7} {'max':>7}"]
    for name, series in times.items():
        values = " ".join(f"{share_of(series, share):7.3f}" for share in (0.5, 0.95, 1.0))
        lines.append(f"{name:10} {len(series):6} {values}")
    return "\n".join(lines)
