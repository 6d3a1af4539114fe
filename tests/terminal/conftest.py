"""The terminal as a fixture."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

from tests.terminal.terminals import Server, Window, missing

OpenWindow = Callable[..., AbstractContextManager[Window]]


@pytest.fixture(scope="session")
def terminal_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Skip where there is no tmux, except in CI, where there must be."""
    lacking = missing()
    if lacking is not None and os.environ.get("CI") == "true":
        pytest.fail(f"the terminal tests must run in CI and need {lacking}")
    if lacking is not None:
        pytest.skip(f"the terminal tests need {lacking}")
    server = Server(tmp_path_factory.mktemp("t"))
    try:
        yield server
    finally:
        server.close()


@pytest.fixture
def open_window(terminal_server: Server) -> OpenWindow:
    """Open terminals: `with open_window(columns, rows, environment) as window`."""
    return terminal_server.window
