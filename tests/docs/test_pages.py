"""All code in the documentation runs and does what the page says, on simulated gateways in a home of its own."""

import configparser
import json
import tomllib
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path

import anyio
import pytest

from portmapper.testing import IgdSwitches, PcpSwitches, SimulatedGateway
from tests.docs.blocks import ROOT, Block, blocks, pages
from tests.docs.console import Console
from tests.docs.home import Home, nobody_works
from tests.docs.python import Program

WITH_CODE = [path for path in pages() if blocks(path)]
_GATEWAYS = {
    "SimulatedGateway": SimulatedGateway,
    "IgdSwitches": IgdSwitches,
    "PcpSwitches": PcpSwitches,
    "IPv4Address": IPv4Address,
}


@pytest.mark.anyio
@pytest.mark.parametrize("path", WITH_CODE, ids=lambda path: str(path.relative_to(ROOT)))
async def test_the_code_of(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, anyio_backend_name: str
) -> None:
    """The blocks of a page are run in their order. A block of a language that nothing here runs or reads fails.

    The commands have a loop of their own, so they are run once, on asyncio; `commands_run` tells hidden code.
    """
    found = blocks(path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))  # where the state is kept
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    async with AsyncExitStack() as stack:
        simulated = await stack.enter_async_context(SimulatedGateway())
        console = Console(tmp_path)
        commands_run = anyio_backend_name == "asyncio"
        program = Program(stack, simulated=simulated, console=console, commands_run=commands_run)
        for number, block in enumerate(found):
            following = found[number + 1] if number + 1 < len(found) else None
            async with _home_of(block, simulated) as home:
                program.names["home"] = home
                if block.language != "console" or commands_run:
                    await _run(block, following, program, console, home)
        await nobody_works()


@asynccontextmanager
async def _home_of(block: Block, simulated: SimulatedGateway) -> AsyncIterator[Home]:
    async with AsyncExitStack() as stack:
        gateways = [simulated.gateway]
        if block.gateway:
            several = [eval(f"SimulatedGateway({arguments})", _GATEWAYS) for arguments in block.gateway.split(" | ")]
            gateways = [(await stack.enter_async_context(one)).gateway for one in several]
        home = Home(tuple(gateways))
        with home.lived_in():
            yield home


async def _run(block: Block, following: Block | None, program: Program, console: Console, home: Home) -> None:
    if block.file:
        await anyio.Path(block.file).write_text(block.code)
    elif block.language == "python":
        shown = following.code if following and following.language == "text" else None
        await program.run(block, shown)
    elif block.language == "console":
        await anyio.to_thread.run_sync(partial(console.run, block, home))
    elif block.language == "text":
        assert not block.gateway, "text is what the block before it prints"
    else:
        _READ[block.language](block.code)


def _read_ini(text: str) -> None:
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(text)


_READ: dict[str, Callable[[str], object]] = {"json": json.loads, "toml": tomllib.loads, "ini": _read_ini}


@pytest.mark.parametrize("path", WITH_CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_text_follows_the_python_that_prints_it(path: Path) -> None:
    languages = ["", *(block.language for block in blocks(path))]
    assert all(languages[number - 1] == "python" for number, name in enumerate(languages) if name == "text")


@pytest.mark.parametrize("path", WITH_CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_each_file_of_a_page_is_used_by_it(path: Path) -> None:
    found = blocks(path)
    used = "".join(block.code for block in found if not block.file)
    assert [block.file for block in found if block.file and block.file not in used] == []
