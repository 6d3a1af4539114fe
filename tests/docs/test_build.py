"""The documentation builds without a warning, and every page is in the menu and begins with a heading."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT, pages
from tests.docs.test_docstrings import NAMES

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
    reference = "".join(path.read_text("utf-8") for path in (tmp_path / "reference").glob("*.html"))
    shown = set(re.findall(r'id="(portmapper\.[\w.]+)"', reference))
    shown |= {name.rpartition(".")[0] for name in shown}  # a function may be in a module of its own name
    assert [name for name in NAMES if name not in shown and "." in name.partition(".")[2]] == []


def test_every_page_is_in_the_menu() -> None:
    menu = (ROOT / "mkdocs.yml").read_text("utf-8").partition("nav:")[2]
    assert [path.name for path in pages()[1:] if str(path.relative_to(ROOT / "docs")) not in menu] == []


@pytest.mark.parametrize("path", pages(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_page_begins_with_its_title(path: Path) -> None:
    assert path.read_text("utf-8").startswith("# ")
