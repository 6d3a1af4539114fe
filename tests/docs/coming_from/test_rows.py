"""Every row of the "coming from" tables has a check, which runs the row's own code against a simulated gateway."""

import importlib
from pathlib import Path

import pytest

from tests.docs.coming_from.rows import CHECKS, rows, run_check

for path in sorted(Path(__file__).parent.glob("check_*.py")):
    importlib.import_module(f"tests.docs.coming_from.{path.stem}")


def test_each_row_has_a_check_and_each_check_a_row() -> None:
    assert sorted(rows()) == sorted(CHECKS)


def test_each_page_has_rows() -> None:
    from tests.docs.coming_from.rows import FOLDER

    assert {row.page for row in rows().values()} == {path.stem for path in FOLDER.glob("*.md")} - {"index"}


@pytest.mark.anyio
@pytest.mark.parametrize("identity", sorted(rows()))
async def test_the_row(identity: str) -> None:
    await run_check(identity)
