"""Which backends exist, and in which order to try them."""

import logging
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points

from portmapper.backend import Backend
from portmapper.errors import UnknownBackend
from portmapper.text import safe_text

GROUP = "portmapper.backends"
"""The entry-point group of plug-ins."""

# A static table, not entry points: those are missing when a program is frozen or run from a checkout. Imported when
# needed: a gateway that speaks PCP costs no HTTP client.
_BUILT_IN = {
    "pcp": "portmapper.pcp.backend:PcpBackend",
    "natpmp": "portmapper.natpmp.backend:NatPmpBackend",
    "upnp": "portmapper.upnp.backend:UpnpBackend",
}

_log = logging.getLogger(__name__)


def names() -> tuple[str, ...]:
    """Return the names of all backends in the order of trying: the built-in ones, then plug-ins by name."""
    return (*_BUILT_IN, *sorted(_plugins()))


def select(wanted: Sequence[str] | None = None) -> tuple[type[Backend], ...]:
    """Return the backends called `wanted`, in that order, or all of them in the order of trying.

    A plug-in that cannot be loaded is logged and left out, unless it was asked for by name. Raises UnknownBackend.
    """
    if wanted is None:
        return tuple(backend for name in names() if (backend := _load_or_log(name)) is not None)
    return tuple(_load(name) for name in dict.fromkeys(wanted))


def _plugins() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP) if entry.name not in _BUILT_IN}


def _load(name: str) -> type[Backend]:
    if name in _BUILT_IN:
        module, _, attribute = _BUILT_IN[name].partition(":")
        return _checked(name, getattr(import_module(module), attribute))
    plugins = _plugins()
    if name not in plugins:
        raise UnknownBackend(f"there is no backend {safe_text(name)!r}; there are {', '.join(names())}")
    return _checked(name, plugins[name].load())


def _load_or_log(name: str) -> type[Backend] | None:
    try:
        return _load(name)
    except Exception:  # a plug-in may fail in any way at import
        _log.exception("backend %s could not be loaded and is left out", name)
        return None


def _checked(name: str, loaded: object) -> type[Backend]:
    if not (isinstance(loaded, type) and issubclass(loaded, Backend)):
        raise UnknownBackend(f"{name} is not a subclass of portmapper.Backend")
    return loaded
