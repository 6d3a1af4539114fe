"""B22: the same fault gives the same typed error, in the same words and at the same time, on every loop.

In `make test` some of the scripts; `make torture` takes them all.
"""

import os
import re
from collections.abc import Iterator
from typing import Any

import anyio
import pytest

from portmapper import NoService, PortMapper, PortMapperError
from tests import virtual
from tests.faults.scripts import Play, plays
from tests.faults.stage import CASES, KEY

pytestmark = pytest.mark.usefixtures("virtual_time")

PLAYS = plays()
SOAK = "PORTMAPPER_SOAK" in os.environ
FEW = list(PLAYS)[3::13]
BAR = 0.02
_VARIES = re.compile(r"\d{5}|(?<=port )\d+|(?<=:)\d{4,5}")  # the ports that the system gave
Outcome = tuple[str, str, float]


async def outcome(play: Play) -> Outcome:
    """Return the kind of the result, its text, and how long it took."""
    async with (
        play.gateway() as gateway,
        PortMapper(gateway=gateway.gateway, backends=[play.backend], key=KEY) as mapper,
    ):
        held = await mapper.map(4001) if play.renewal else None
        gateway.broken = True
        begin = anyio.current_time()
        try:
            if held is None:
                text = str((await mapper.map(4001)).lease)
            else:
                await held.refresh()
                text = str(held.lease)
        except PortMapperError as problem:
            return kind_of(problem, play), masked(str(problem)), anyio.current_time() - begin
        return "Lease", masked(text), anyio.current_time() - begin


def kind_of(problem: PortMapperError, play: Play) -> str:
    """Return the type of the error and what it tells, of the backend's own in a NoService."""
    reason = problem.reasons[play.backend] if isinstance(problem, NoService) else problem
    told = {key: value for key, value in vars(reason).items() if key != "seconds"}
    return f"{type(problem).__name__} of {type(reason).__name__} {told}"


def masked(text: str) -> str:
    return _VARIES.sub("N", text)


def loops() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for name in ("asyncio", "trio"):
        backend, options = virtual.backend(name)
        yield name, backend, options


@pytest.mark.conforms("F24")
@pytest.mark.parametrize("name", PLAYS if SOAK else FEW)
def test_the_same_on_asyncio_and_trio(name: str) -> None:
    outcomes = {
        loop: anyio.run(outcome, PLAYS[name], backend=backend, backend_options=options)
        for loop, backend, options in loops()
    }
    asyncio, trio = outcomes["asyncio"], outcomes["trio"]
    if SOAK:
        print(f"{name}: {asyncio}")
    assert asyncio[:2] == trio[:2]
    assert asyncio[2] == pytest.approx(trio[2], abs=BAR)
    CASES["the same fault on asyncio and trio"] += 1


def test_there_are_enough_scripts() -> None:
    assert len(PLAYS) >= 150
