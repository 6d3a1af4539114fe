"""Run the Python of a page, in its order, as one program: await works at the top, as in `python -m asyncio`."""

import ast
import inspect
import io
import re
from contextlib import AsyncExitStack, redirect_stdout
from typing import Any

import anyio

from tests.docs.alike import alike, plain
from tests.docs.blocks import Block

_PATIENCE = 20.0
_COMMENT = re.compile(r"^\s*print\(.*\)  # (.+)$", re.MULTILINE)


class Program:
    """What the blocks of one page share: their names, and `stack`, which ends after the last of them."""

    def __init__(self, stack: AsyncExitStack, **names: Any) -> None:
        self.names: dict[str, Any] = {"__name__": "docs", "stack": stack, **names}

    async def run(self, block: Block, shown: str | None) -> None:
        """Run a block; fail unless it prints what is `shown`, or what the comments behind its prints say."""
        printed = io.StringIO()
        with anyio.fail_after(_PATIENCE), redirect_stdout(printed):
            await self.execute(block.code, str(block.path), block.line)
        expected = "\n".join(_COMMENT.findall(block.code)) if shown is None else shown
        if not block.hidden and not alike(expected, printed.getvalue()):
            raise AssertionError(f"{block} prints\n{plain(printed.getvalue())}\nand the page shows\n{plain(expected)}")

    async def execute(self, code: str, file: str, line: int = 1) -> None:
        """Run code; without await it runs in a thread, for it may block."""
        compiled = compile("\n" * (line - 1) + code, file, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        if compiled.co_flags & inspect.CO_COROUTINE:
            await eval(compiled, self.names)
        else:
            await anyio.to_thread.run_sync(eval, compiled, self.names)
