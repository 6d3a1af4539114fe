"""The command run inside the test's process, which costs no start of an interpreter."""

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from portmapper.cli import main
from portmapper.cli.app import COMPLAINING

__all__ = ["Done", "Inside", "inside", "state"]


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    complaints: str

    @property
    def objects(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


Inside = Callable[..., Done]


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep state away from the user's own."""
    folder = tmp_path / "state"
    monkeypatch.setenv("PORTMAPPER_STATE", str(folder))
    return folder


@pytest.fixture
def inside(state: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Inside]:
    """Runs the command with arguments; returns how it ended and what it said."""
    names = ("portmapper", *COMPLAINING)
    before = {name: logging.getLogger(name).handlers[:] for name in names}

    def run(*arguments: str) -> Done:
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        return Done(int(caught.value.code or 0), *capsys.readouterr())

    yield run
    for name, handlers in before.items():
        logging.getLogger(name).handlers[:] = handlers
