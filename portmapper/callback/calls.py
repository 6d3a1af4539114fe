"""One question or one request, and one call back."""

import atexit
import os
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, wait
from functools import partial
from typing import Unpack, cast

from portmapper import limits
from portmapper.background.calls import Call
from portmapper.background.thread import end_all, spawn
from portmapper.callback.courier import Dispatch, check_callable, courier
from portmapper.callback.results import Callback, Result, failed, granted
from portmapper.errors import InvalidRequest, MapperClosed
from portmapper.model import Gateway
from portmapper.once import Options, OtherOptions, keep_mapping, open_mapper

_under_way: set["Future[Result]"] = set()


def get_external_address(
    gateway: Gateway | str | None,
    callback: Callback,
    *,
    dispatch: Dispatch | None = None,
    **others: Unpack[OtherOptions],
) -> None:
    """Ask for the external address; the result has `external_ip` and `gateway`.

    `gateway` is the router's address, "" or None for that of the default route; `others` are the options of
    portmapper.PortMapper. Raises InvalidRequest only for a callback that is no function; all else is called back.
    """
    _begin(partial(_external_address, options_of(gateway, others)), gateway, callback, dispatch)


def port_map(
    gateway: Gateway | str | None,
    local_port: int,
    external_port: int,
    ttl: int,
    callback: Callback,
    *,
    protocol: str = "tcp",
    dispatch: Dispatch | None = None,
    **others: Unpack[OtherOptions],
) -> None:
    """Have `local_port` mapped for `ttl` seconds, and leave it at that; the result says what was granted.

    `external_port` is a wish, 0 for none. Everything else is as for `get_external_address`.
    """
    ask = partial(_map, local_port, protocol, external_port, ttl, options_of(gateway, others))
    _begin(ask, gateway, callback, dispatch)


def port_unmap(
    gateway: Gateway | str | None,
    local_port: int,
    external_port: int,
    callback: Callback,
    *,
    protocol: str = "tcp",
    dispatch: Dispatch | None = None,
    **others: Unpack[OtherOptions],
) -> None:
    """Remove the mapping of `local_port` by every backend that answers; by UPnP it is found by `external_port`.

    What another process made by PCP needs its `key` or `state`. Everything else is as for `get_external_address`.
    """
    ask = partial(_unmap, local_port, protocol, external_port, options_of(gateway, others))
    _begin(ask, gateway, callback, dispatch)


def _begin(
    ask: Callable[[], Awaitable[Result]], gateway: Gateway | str | None, callback: Callback, dispatch: Dispatch | None
) -> None:
    check_callable(dispatch=dispatch)
    call = Call(ask)
    call_back(call.result, gateway, callback, dispatch)
    _under_way.add(call.result)
    call.result.add_done_callback(_under_way.discard)
    try:
        spawn(call)  # the last thing that is done here: the callback is not called before this returns
    except MapperClosed as error:
        call.refuse(error)


def call_back(
    outcome: "Future[Result]", gateway: Gateway | str | None, callback: Callback, dispatch: Dispatch | None
) -> None:
    """Call `callback` once there is an outcome. Raises InvalidRequest, MapperClosed."""
    if not callable(callback):
        raise InvalidRequest(f"callback must be a function, not {callback!r}")
    courier.expect()

    def tell(ended: "Future[Result]") -> None:
        error = ended.exception()
        if error is None:
            courier.deliver(dispatch, callback, None, ended.result())
        else:
            courier.deliver(dispatch, callback, error, failed(error, gateway))
        courier.done()

    outcome.add_done_callback(tell)


def options_of(gateway: Gateway | str | None, others: OtherOptions) -> Options:
    """Return all options of a mapper; "" is no gateway."""
    return cast("Options", {"gateway": gateway or None, **others})


async def _external_address(options: Options) -> Result:
    async with open_mapper(**options) as mapper:
        address = await mapper.external_address()
        return Result(external_ip=None if address is None else str(address), gateway=str(mapper.gateway))


async def _map(port: int, protocol: str, external_port: int, ttl: int, options: Options) -> Result:
    async with keep_mapping(port, protocol, external_port, ttl, **options) as mapping:
        result = granted(mapping)
        mapping.detach()
        return result


async def _unmap(port: int, protocol: str, external_port: int, options: Options) -> Result:
    async with open_mapper(**options) as mapper:
        await mapper.unmap(port, protocol, external_port=external_port)
        return Result(private_port=port, public_port=external_port, ttl=0, gateway=str(mapper.gateway))


def _at_exit() -> None:
    wait(tuple(_under_way), limits.LAST_CALLS)
    end_all()
    courier.drain(limits.LAST_WORDS)


if hasattr(os, "register_at_fork"):  # not on Windows, where no process is forked
    os.register_at_fork(after_in_child=_under_way.clear)  # the calls of the parent never end here
atexit.register(_at_exit)  # after the background's own, so it comes before that
