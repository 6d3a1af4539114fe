"""A port that stays open until it is told to stop, without a block."""

from collections.abc import Callable
from typing import Any, TypeAlias, Unpack

from portmapper.background.calls import check_may_wait
from portmapper.background.residence import Residence
from portmapper.mapping import Mapping
from portmapper.model import Lease
from portmapper.once import EndpointChanges, Options, keep_mapping

OnMapping: TypeAlias = Callable[[Lease | None], Any]

_kept: set[Residence[Mapping]] = set()  # open until told to stop, also when nobody looks at them any more


class PersistentMapping:
    """A port that is kept open until `stop`, or the end of the program. Any thread may use it."""

    def __init__(self, residence: Residence[Mapping], mapping: Mapping) -> None:
        self._residence = residence
        self._mapping = mapping

    def current(self) -> Lease | None:
        """Return what the gateway grants now; None while it is lost, and after the end."""
        mapping = self._mapping
        return mapping.lease if mapping.external is not None else None

    def refresh(self, *, timeout: float | None = None) -> None:
        """Renew now. Raises MapperClosed, GatewayTimeout after `timeout` seconds, or the gateway's answer."""
        self._residence.call(self._mapping.refresh, timeout)

    def stop(self) -> None:
        """Release the mapping, within 2 s (3 s where the router is dead). Twice is fine."""
        self._residence.leave()


def persistent_mapping(
    port: int,
    protocol: str = "tcp",
    external_port: int = 0,
    lifetime: int | None = None,
    *,
    on_mapping: OnMapping | None = None,
    description: str = "portmapper",
    timeout: float | None = None,
    **options: Unpack[Options],
) -> PersistentMapping:
    """Open `port` and keep it open until it is stopped; arguments and errors as for `map_port`, times in seconds.

    `on_mapping` is called with the lease when the port is open, also for the first time, at each other external
    endpoint, and with None when it is lost or stopped. It runs in a worker thread and may use what is returned here;
    what it raises is logged.
    """
    check_may_wait()
    kept = keep_mapping(port, protocol, external_port, lifetime, description=description, **options)
    residence = Residence(kept, "persistent mapping")
    _kept.add(residence)
    residence.left.add_done_callback(lambda _: _kept.discard(residence))
    mapping = residence.enter(timeout)
    if on_mapping is not None:
        changes = EndpointChanges(on_mapping)
        try:
            residence.do(lambda: mapping.on_event(changes))
        except BaseException:  # Ctrl-C: nobody gets what could stop it
            residence.leave_soon()
            raise
    return PersistentMapping(residence, mapping)
