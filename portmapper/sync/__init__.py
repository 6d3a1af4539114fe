"""The same without await: every name and argument of the asynchronous API, for programs that have no event loop.

All of it runs in one event loop in a thread of its own, which is there while something is open, and may be called from
several threads at once. At the end of the program what is still open is released, within the usual 2 s (3 s where the
router is dead). Ctrl-C cancels a call that waits. `timeout=` bounds a call in seconds (GatewayTimeout); what it was
about to do is undone. In the thread of an event loop, or in a process that was forked from that of the mapper, a call
raises NotHere.
"""

from portmapper.sync.everywhere import EveryGateway, Results
from portmapper.sync.mapper import PortMapper
from portmapper.sync.mapping import Events, Mapping
from portmapper.sync.once import (
    external_address,
    gateway_address,
    map_port,
    refresh,
    unmap,
    unmap_all,
    unmap_port,
)
from portmapper.sync.opening import open_mapping
from portmapper.sync.persistent import PersistentMapping, persistent_mapping

__all__ = [
    "Events",
    "EveryGateway",
    "Mapping",
    "PersistentMapping",
    "PortMapper",
    "Results",
    "external_address",
    "gateway_address",
    "map_port",
    "open_mapping",
    "persistent_mapping",
    "refresh",
    "unmap",
    "unmap_all",
    "unmap_port",
]
