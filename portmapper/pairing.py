"""TCP and UDP of one port, at one external port."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from portmapper import limits
from portmapper.errors import NoService, RequestRefused
from portmapper.mapping import Mapping
from portmapper.model import MappingRequest, Protocol

Ask = Callable[[MappingRequest], Awaitable[Mapping]]
"""Get one mapping. Raises PortMapperError."""


async def map_pair(ask: Ask, request: MappingRequest, dice: Callable[[], float]) -> tuple[Mapping, Mapping]:
    """Get `request` by TCP, and by UDP at the port that TCP got; where UDP cannot have that, both at another one.

    The port that is wished for is tried first, then ports by chance, which `dice` (uniform in [0, 1)) tells. Of a try
    that fails, or is cancelled, nothing is left. Neither half moves away later: it is lost instead. Raises as `ask`
    does; NoService after the last try.
    """
    wish, left = request, limits.PAIR_TRIES
    while True:
        first = await ask(replace(wish, protocol=Protocol.TCP))
        try:
            second = await _join(ask, first, wish)
        except NoService as problem:
            left -= 1
            if request.exact or not _may_be_free_elsewhere(problem):
                raise
            if not left:
                raise _given_up(request, problem) from problem
        else:
            first.pin()
            return first, second
        wish = replace(request, external_port=_by_chance(dice()))


async def _join(ask: Ask, first: Mapping, wish: MappingRequest) -> Mapping:
    there = replace(wish, protocol=Protocol.UDP, external_port=first.lease.external.port, exact=True)
    try:
        return await ask(there)
    except BaseException:
        await first.close()
        raise


def _may_be_free_elsewhere(problem: NoService) -> bool:
    return any(isinstance(one, RequestRefused) and not one.lasting for one in problem.reasons.values())


def _given_up(request: MappingRequest, last: NoService) -> NoService:
    text = f"the gateway gave {request.internal_port} no external port for both TCP and UDP"
    return NoService(f"{text}, in {limits.PAIR_TRIES} tries", reasons=last.reasons)


def _by_chance(dice: float) -> int:
    first, last = limits.PAIR_PORTS
    return first + int(dice * (last - first + 1))
