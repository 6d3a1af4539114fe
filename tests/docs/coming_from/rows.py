"""The rows of the "coming from" tables, and what checks each of them.

A row is `| their call <!-- id --> | our code |`; several lines of code are several `...` with <br> between. What runs
is the cell's own code. Each id has one check, a coroutine function under `@checks(id)`.
"""

import ast
import inspect
import re
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import anyio

import portmapper
from portmapper.testing import SimulatedGateway
from tests.docs.blocks import ROOT
from tests.docs.home import Home, nobody_works

FOLDER = ROOT / "docs/coming-from"
_ROW = re.compile(r"\| (?P<theirs>.*?) <!-- (?P<id>[a-z0-9-]+) --> \| (?P<ours>.*) \|")
_CODE = re.compile(r"`` (.+?) ``|`(.+?)`")


@dataclass(frozen=True, slots=True)
class Row:
    """One row; `page` is the file's name without its ending, `code` what the second cell says in code."""

    page: str
    id: str
    code: str


@cache
def rows() -> dict[str, Row]:
    """Return every row by its id. Raises ValueError for a row of a table that has none, or the same as another."""
    found: dict[str, Row] = {}
    for path in sorted(FOLDER.glob("*.md")):
        for line in path.read_text("utf-8").splitlines():
            match = _ROW.fullmatch(line)
            if match is not None:
                if match["id"] in found:
                    raise ValueError(f"{path}: {match['id']} is there twice")
                lines = ["".join(code) for code in _CODE.findall(match["ours"])]
                code = "\n".join(lines).replace("\\|", "|").replace("\u00a0", " ")  # which keeps an indentation
                found[match["id"]] = Row(path.stem, match["id"], code)
            elif path.stem != "index" and line.startswith("| `"):
                raise ValueError(f"{path}: a row without an id: {line}")
    return found


class Ours:
    """The code of a row, in a home whose router is `simulated`; `stack` ends after the check."""

    def __init__(self, row: Row, simulated: SimulatedGateway, stack: AsyncExitStack) -> None:
        self.row = row
        self.simulated = simulated
        self.stack = stack
        self.names: dict[str, Any] = {}

    async def run(self, **names: Any) -> Any:
        """Run it with these names, and return the value of its last line if that is an expression.

        Without await it runs in a thread, for it may block. `names` has what it assigned afterwards.
        """
        self.names = {"__name__": "row", **names}
        tree = ast.parse(self.row.code)
        if isinstance(tree.body[-1], ast.Expr):
            tree.body[-1] = ast.Assign([ast.Name("_", ast.Store())], tree.body[-1].value)
        code = compile(ast.fix_missing_locations(tree), self.row.id, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        if code.co_flags & inspect.CO_COROUTINE:
            await eval(code, self.names)
        else:
            await anyio.to_thread.run_sync(partial(eval, code, self.names))
        return self.names.get("_")


Check = Callable[[Ours], Awaitable[None]]
CHECKS: dict[str, Check] = {}


def checks(identity: str) -> Callable[[Check], Check]:
    """Make a function the check of a row."""

    def note(check: Check) -> Check:
        if identity in CHECKS:
            raise ValueError(f"{identity} has a check already")
        CHECKS[identity] = check
        return check

    return note


async def run_check(identity: str) -> None:
    """Run the check of a row in a home of its own."""
    with anyio.fail_after(20):
        async with SimulatedGateway() as simulated, AsyncExitStack() as stack:
            stack.enter_context(Home((simulated.gateway,)).lived_in())
            stack.push_async_callback(nobody_works)
            await CHECKS[identity](Ours(rows()[identity], simulated, stack))


async def a_mapper(ours: Ours, **options: Any) -> portmapper.PortMapper:
    """Return an open mapper on the simulated gateway."""
    return await ours.stack.enter_async_context(portmapper.PortMapper(**options))


async def a_mapping(ours: Ours, port: int = 8080, protocol: str = "tcp") -> portmapper.Mapping:
    """Return a mapping on the simulated gateway."""
    return await (await a_mapper(ours)).map(port, protocol)


def on_the_router(ours: Ours) -> list[tuple[str, int, int]]:
    """Return protocol, internal and external port of what the gateway has."""
    return [(str(one.protocol), one.internal.port, one.external_port) for one in ours.simulated.table]
