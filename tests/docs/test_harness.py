"""What runs the documentation's code fails when it should."""

from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.docs import blocks as reading
from tests.docs.alike import alike
from tests.docs.blocks import ROOT, Block
from tests.docs.coming_from import rows as tables
from tests.docs.console import Console, steps
from tests.docs.home import Home
from tests.docs.python import Program
from tests.docs.test_pages import _run

PAGE = ROOT / "docs/page.md"
NOWHERE = Home(())


def a_block(language: str, code: str) -> Block:
    return Block(PAGE, 1, language, code)


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("192.168.1.10:8080/tcp is open", "127.0.0.1:41235/tcp is open"),
        ("[2001:db8::10]:8080/tcp is open", "[::1]:8080/tcp is open"),
        ("7200 s left", "7199 s left"),
        ("first\n...\nlast", "first\nof many\nlast"),
        ("a line\n that is broken", "a line that is broken"),
        ("12:34:56 the external address", "00:56:35 the external address"),
    ],
)
def test_what_differs_from_run_to_run_is_alike(shown: str, printed: str) -> None:
    assert alike(shown, printed)


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("127.0.0.1:8080/tcp is open", "127.0.0.1:8080/tcp is closed"),
        ("for 7200 s", "for 3600 s"),
        ("pcp on 127.0.0.1", "upnp on 127.0.0.1"),
        ("first\n...\nlast", "first\nof many"),
        ("", "anything"),
        ("8080/tcp", "8081/tcp"),
        ("a time of 7", "a time of 8"),
    ],
)
def test_what_matters_is_not(shown: str, printed: str) -> None:
    assert not alike(shown, printed)


@pytest.mark.anyio
async def test_python_that_prints_something_else_fails() -> None:
    async with AsyncExitStack() as stack:
        program = Program(stack)
        await program.run(a_block("python", "print(1)  # 1"), None)
        await program.run(a_block("python", "print(1)"), "1")
        for code, shown in (("print(1)  # 2", None), ("print(1)", None), ("print(1)", "2"), ("pass", "2")):
            with pytest.raises(AssertionError, match="the page shows"):
                await program.run(a_block("python", code), shown)


@pytest.mark.anyio
async def test_a_language_that_nothing_runs_or_reads_fails(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        for language in ("", "sh", "javascript"):
            with pytest.raises(KeyError):
                await _run(a_block(language, "x"), None, Program(stack), Console(tmp_path / (language or "_")), NOWHERE)


def test_a_command_that_prints_something_else_fails(tmp_path: Path) -> None:
    console = Console(tmp_path)
    console.run(a_block("console", "$ portmapper --version\nportmapper, version 0.1.0\n"), NOWHERE)
    with pytest.raises(AssertionError, match="the page shows"):
        console.run(a_block("console", "$ portmapper --version\nportmapper, version 0.0.0\n"), NOWHERE)
    with pytest.raises(ValueError, match="nothing is known of"):
        console.run(a_block("console", "$ curl http://192.168.1.1/\n"), NOWHERE)
    with pytest.raises(AssertionError):
        console.run(a_block("console", "$ pip install portmapper\n"), NOWHERE)


def test_a_console_block_begins_with_a_command() -> None:
    with pytest.raises(ValueError, match="does not begin with a command"):
        steps(a_block("console", "portmapper map 8080\n"))


@pytest.mark.parametrize("text", ["```python\nprint(1)\n", "<!-- test\nx = 1\n", "<!-- gateway: pcp=False -->\n"])
def test_code_without_an_end_and_marks_without_code_fail(text: str, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(text)
    with pytest.raises(ValueError, match=r"page\.md"):
        reading.blocks(page)


@pytest.mark.parametrize("text", ["| `their()` | `ours()` |\n", "| `a` <!-- x --> | `b` |\n| `c` <!-- x --> | `d` |\n"])
def test_a_row_without_an_id_of_its_own_fails(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    (tmp_path / "page.md").write_text(text)
    monkeypatch.setattr(tables, "FOLDER", tmp_path)
    tables.rows.cache_clear()
    request.addfinalizer(tables.rows.cache_clear)
    with pytest.raises(ValueError, match=r"page\.md"):
        tables.rows()
