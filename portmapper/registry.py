"""Which backends exist, and in which order to try them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib import import_module
from typing import TYPE_CHECKING

from portmapper.backend import Backend
from portmapper.errors import UnknownBackend
from portmapper.text import safe_text

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "portmapper.backends"
"""The entry-point group of plug-ins."""

# A static table, not entry points: those are missing when a program is frozen or run from a checkout.
_BUILT_IN = {
    "pcp": ("portmapper.pcp.backend", "PcpBackend"),
    "natpmp": ("portmapper.natpmp.backend", "NatPmpBackend"),
    "upnp": ("portmapper.upnp.backend", "UpnpBackend"),
}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A backend that is not imported yet: a gateway that speaks PCP costs no HTTP client.

    `distribution` and its `version` are where a plug-in comes from, empty for a built-in one.
    """

    name: str
    import_it: Callable[[], object]
    distribution: str = ""
    version: str = ""

    def load(self) -> type[Backend]:
        """Return the class. Raises UnknownBackend when it cannot be imported or is no backend."""
        try:
            loaded = self.import_it()
        except Exception as error:  # a plug-in may fail in any way at import
            raise UnknownBackend(f"the backend {self.name} cannot be loaded: {safe_text(repr(error))}") from error
        if not (isinstance(loaded, type) and issubclass(loaded, Backend)):
            raise UnknownBackend(f"{self.name} is not a subclass of portmapper.Backend")
        return loaded


def candidates() -> tuple[Candidate, ...]:
    """Return all backends that there are: the built-in ones in the order of trying, then plug-ins by name."""
    return (*_built_in(), *_plugins())


def select(wanted: Sequence[str] | None = None) -> tuple[Candidate, ...]:
    """Return the backends called `wanted`, in that order, or the built-in ones. Raises UnknownBackend.

    A plug-in has to be named: to install one must not change what is sent for those who did not ask for it, and its
    own discovery would lengthen every search that finds nothing.
    """
    if wanted is None:
        return _built_in()
    known = {candidate.name: candidate for candidate in candidates()}
    if not wanted:
        raise UnknownBackend(f"name at least one backend of {', '.join(known)}")
    missing = [name for name in wanted if name not in known]
    if missing:
        raise UnknownBackend(f"there is no backend {safe_text(missing[0])!r}; there are {', '.join(known)}")
    return tuple(known[name] for name in dict.fromkeys(wanted))


def _built_in() -> tuple[Candidate, ...]:
    return tuple(Candidate(name, partial(_import, *where)) for name, where in _BUILT_IN.items())


@cache
def _plugins() -> tuple[Candidate, ...]:
    # Once per process, as imports are: looking through all installed metadata reads the disk.
    from importlib.metadata import entry_points  # noqa: PLC0415 - 40 ms that naming a backend need not spend

    found = {entry.name: entry for entry in entry_points(group=GROUP) if entry.name not in _BUILT_IN}
    return tuple(_plugin(found[name]) for name in sorted(found))


def _plugin(entry: "EntryPoint") -> Candidate:
    origin = (entry.dist.name, entry.dist.version) if entry.dist else ("unknown", "")
    return Candidate(entry.name, entry.load, *origin)


def _import(module: str, attribute: str) -> object:
    return getattr(import_module(module), attribute)
