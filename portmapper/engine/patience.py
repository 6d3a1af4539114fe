"""How long to wait before a lost mapping is tried for again. No I/O."""

from portmapper import limits
from portmapper.errors import NoService, PortMapperError, RequestRefused


def was_refused(problem: PortMapperError) -> bool:
    """Whether a gateway answered and said no."""
    return isinstance(problem, RequestRefused) or (isinstance(problem, NoService) and problem.refused)


def patience(problem: PortMapperError, failures: int) -> float:
    """Return how many seconds to wait before a lost mapping is tried for again, after so many failures."""
    if isinstance(problem, NoService) and problem.lasting:
        left = _left_of_earlier(problem)
        if left is None:
            return limits.RETRY_LAST  # somebody has to change something first
        return max(min(left, limits.RETRY_LAST), limits.RETRY_FIRST)  # they may have: it was not asked this time
    wait = min(limits.RETRY_FIRST * 2.0 ** min(failures - 1, 10), limits.RETRY_LAST)
    holds = told(problem)
    return wait if holds is None else max(min(wait, holds), limits.RETRY_FIRST)


def told(problem: PortMapperError) -> float | None:
    """Return the seconds for which a refusal holds, if the gateway said so."""
    return problem.retry_after if isinstance(problem, NoService | RequestRefused) else None


def _left_of_earlier(problem: NoService) -> float | None:
    """Return for how long the first refusal goes on holding of those that were not asked for anew."""
    refusals = [one for one in problem.reasons.values() if isinstance(one, RequestRefused) and one.remembered]
    return min((one.retry_after for one in refusals if one.retry_after is not None), default=None)
