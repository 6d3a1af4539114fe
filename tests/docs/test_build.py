"""The documentation builds without a warning, and every page is in the menu and begins with a heading."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT, pages

pytest.importorskip("mkdocs", reason="the dependency group docs is not installed")


def test_it_builds_without_a_warning(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    built = {path.relative_to(tmp_path).with_suffix(".md") for path in tmp_path.rglob("*.html")}
    assert {path.relative_to(ROOT / "docs") for path in pages()[1:]} <= built
    assert "PortMapper.map" in (tmp_path / "reference/library.html").read_text("utf-8")


def test_every_page_is_in_the_menu() -> None:
    menu = (ROOT / "mkdocs.yml").read_text("utf-8").partition("nav:")[2]
    assert [path.name for path in pages()[1:] if str(path.relative_to(ROOT / "docs")) not in menu] == []


@pytest.mark.parametrize("path", pages(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_page_begins_with_its_title(path: Path) -> None:
    assert path.read_text("utf-8").startswith("# ")
