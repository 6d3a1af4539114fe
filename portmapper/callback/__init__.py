"""Node-style: functions that return at once and call back with ``callback(error, result)``.

`error` is None or an exception (PortMapperError), `result` a Result in both cases. Each callback is called exactly
once, never from inside the call that got it: in the library's own thread, one after the other, or where `dispatch`
puts it, which is given a function without arguments to be called later (``loop.call_soon_threadsafe``,
``root.after_idle`` of tkinter). What a callback raises is logged, and so is what `dispatch` raises.

At the end of the program calls that are under way get 3 s, what is persistent is closed, and the callbacks are told.
"""

from portmapper.callback.calls import get_external_address, port_map, port_unmap
from portmapper.callback.persistent import Persistent, persistent
from portmapper.callback.results import Callback, OnMapping, Result

__all__ = [
    "Callback",
    "OnMapping",
    "Persistent",
    "Result",
    "get_external_address",
    "persistent",
    "port_map",
    "port_unmap",
]
