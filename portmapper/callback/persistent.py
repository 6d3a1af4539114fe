"""A port that stays open until it is told to stop, and a call back whenever that changes where it is reached."""

from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import TypeVar, Unpack

from portmapper.background.residence import Residence
from portmapper.callback.calls import call_back, options_of
from portmapper.callback.courier import Dispatch, check_callable, courier
from portmapper.callback.results import Callback, OnMapping, Result, granted, leased
from portmapper.errors import MapperClosed
from portmapper.mapping import Mapping
from portmapper.model import Event, Gateway, Lease
from portmapper.once import EndpointChanges, OtherOptions, keep_mapping

A = TypeVar("A")
B = TypeVar("B")

_kept: set[Residence[Mapping]] = set()  # open until told to stop, also when nobody looks at them any more


class Persistent:
    """A port that is kept open until `stop`, or the end of the program; made by `persistent`."""

    def __init__(self, residence: Residence[Mapping], gateway: Gateway | str | None, dispatch: Dispatch | None) -> None:
        self._residence = residence
        self._gateway = gateway
        self._dispatch = dispatch

    @property
    def current(self) -> Result | None:
        """What the gateway grants now; None before it does, while it is lost, and after the end."""
        entered = self._residence.entered
        if not entered.done() or entered.exception() is not None:
            return None
        mapping = entered.result()
        return granted(mapping) if mapping.external is not None else None

    def refresh(self, callback: Callback | None = None) -> None:
        """Renew now. `callback(error, result)` is told what came of it."""
        call = self._residence.submit(partial(_refresh, self._residence))
        if callback is not None:
            call_back(call.result, self._gateway, callback, self._dispatch)

    def stop(self, callback: Callback | None = None) -> None:
        """Release the mapping. `callback(error, result)` is told when that is done. Twice is fine.

        Raises NotHere in a process that was forked.
        """
        self._residence.check_process()
        if callback is not None:
            stopped: Future[Result] = Future()
            call_back(stopped, self._gateway, callback, self._dispatch)
            gateway = str(self._gateway) if self._gateway else None
            _then(self._residence.left, stopped, lambda _: Result(ttl=0, gateway=gateway))
        self._residence.leave_soon()


def persistent(
    gateway: Gateway | str | None,
    local_port: int,
    external_port: int,
    ttl: int,
    callback: Callback,
    *,
    on_mapping: OnMapping | None = None,
    protocol: str = "tcp",
    dispatch: Dispatch | None = None,
    **others: Unpack[OtherOptions],
) -> Persistent:
    """Open `local_port` and keep it open until it is stopped; leases of `ttl` seconds are renewed in time.

    `callback` is told once, when the port is open or cannot be opened. `on_mapping(result)` is called when the port is
    open, also for the first time, and at each other external endpoint; `on_mapping(None)` when it is lost or stopped.
    Everything else is as for `get_external_address`; at the end of the program it raises MapperClosed too.
    """
    check_callable(on_mapping=on_mapping, dispatch=dispatch)
    opened: Future[Result] = Future()
    call_back(opened, gateway, callback, dispatch)
    kept = keep_mapping(local_port, protocol, external_port, ttl, **options_of(gateway, others))
    try:
        residence = Residence(kept, "persistent mapping")
    except MapperClosed as error:  # there is nothing to return
        opened.set_exception(error)
        raise
    _kept.add(residence)
    residence.left.add_done_callback(lambda _: _kept.discard(residence))
    _then(residence.entered, opened, granted)
    if on_mapping is not None:
        _follow(residence, on_mapping, dispatch)
    return Persistent(residence, gateway, dispatch)


def _follow(residence: Residence[Mapping], on_mapping: OnMapping, dispatch: Dispatch | None) -> None:
    courier.expect()
    residence.left.add_done_callback(lambda _: courier.done())

    def follow(entered: "Future[Mapping]") -> None:
        if entered.exception() is None:
            residence.submit(partial(_subscribe, entered.result(), on_mapping, dispatch))

    residence.entered.add_done_callback(follow)


def _then(source: "Future[A]", target: "Future[B]", convert: Callable[[A], B]) -> None:
    """Give `target` what comes of `source`, converted."""

    def pass_on(ended: "Future[A]") -> None:
        error = ended.exception()
        if error is None:
            target.set_result(convert(ended.result()))
        else:
            target.set_exception(error)

    source.add_done_callback(pass_on)


async def _subscribe(mapping: Mapping, on_mapping: OnMapping, dispatch: Dispatch | None) -> None:
    def tell(lease: Lease | None) -> None:
        result = None if lease is None else leased(lease, mapping.backend.epoch)
        courier.deliver(dispatch, on_mapping, result)

    changes = EndpointChanges(tell)

    async def take(event: Event) -> None:
        changes(event)

    mapping.on_event(take)


async def _refresh(residence: Residence[Mapping]) -> Result:
    mapping = residence.entered.result()
    await mapping.refresh()
    return granted(mapping)
