"""What the package shows to the world."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import portmapper
from portmapper import errors
from portmapper.testing import SimulatedGateway

ROOT = Path(__file__).parent.parent


def test_all_is_sorted_and_complete() -> None:
    assert portmapper.__all__ == sorted(portmapper.__all__)
    assert all(hasattr(portmapper, name) for name in portmapper.__all__)


def test_every_exception_is_public_and_has_one_root() -> None:
    found = {name for name, item in vars(errors).items() if isinstance(item, type) and issubclass(item, BaseException)}
    assert found <= set(portmapper.__all__)
    assert all(issubclass(getattr(errors, name), portmapper.PortMapperError) for name in found)


@pytest.mark.parametrize(
    "module", ["httpcore", "httpx", "rich", "click", "asyncio", "trio", "importlib.metadata", "xml"]
)
def test_importing_it_does_not_load(module: str) -> None:
    """What a gateway that speaks PCP, or a library user, does not need costs nothing."""
    code = f"import portmapper, sys; sys.exit({module!r} in sys.modules)"
    already = subprocess.run(
        [sys.executable, "-c", f"import anyio, sys; sys.exit({module!r} in sys.modules)"]
    ).returncode
    assert subprocess.run([sys.executable, "-c", code]).returncode <= already


def test_the_changelog_has_this_version() -> None:
    versions = re.findall(r"^## \[?([0-9][^\]\s]*)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert versions[0] == portmapper.__version__


def test_the_plug_in_door_is_the_contract_of_the_built_in_backends() -> None:
    from portmapper.registry import candidates

    built_in = [candidate.load() for candidate in candidates()]
    assert [backend.name for backend in built_in[:3]] == ["pcp", "natpmp", "upnp"]
    assert all(issubclass(backend, portmapper.Backend) for backend in built_in)
    assert SimulatedGateway.__doc__
