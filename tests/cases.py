"""Many cases in one test."""

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

import anyio

C = TypeVar("C")
Text = TypeVar("Text", str, bytes)


async def each(cases: Mapping[str, C], check: Callable[[C], Awaitable[None]]) -> None:
    """Check the cases side by side, some at once; fail with the names of those that fail."""
    failures: dict[str, Exception] = {}
    at_once = anyio.CapacityLimiter(30)

    async def one(name: str, case: C) -> None:
        async with at_once:
            try:
                await check(case)
            except Exception as error:  # noqa: BLE001 - collected
                failures[name] = error

    async with anyio.create_task_group() as tasks:
        for name, case in cases.items():
            tasks.start_soon(one, name, case)
    if failures:
        raise ExceptionGroup(f"in the cases {', '.join(failures)}", list(failures.values()))


def named(*cases: Text) -> dict[str, Text]:
    """Return the cases by how they begin."""
    return {repr(case[:40]): case for case in cases}
