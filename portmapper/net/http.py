"""HTTP to a device on the local network: one deadline, a cap on every size. Only this file knows httpcore.

httpcore, and not httpx above it: a client's redirects, cookies and environment are just what a device must not reach,
and a body can be cut off cleanly only where it is read from the network.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

import anyio
import httpcore
from anyio.abc import SocketStream

from portmapper import limits
from portmapper.errors import GatewayTimeout, GatewayUnreachable, PortMapperError, ProtocolError
from portmapper.model import IPAddress
from portmapper.net import stream
from portmapper.net.tasks import first_of
from portmapper.text import safe_text

_MISSPELT, _SPELT = b"HTTP1.", b"HTTP/1."  # in the status line of some devices
_AT_ONCE = 256 * 1024  # as much as asyncio reads: of less, the rest would pile up in the queue of anyio's stream
_HEADERS = {"Connection": "close", "Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "portmapper UPnP/1.1"}


@dataclass(frozen=True, slots=True)
class HttpReply:
    """What came back, whatever its status, and to which of the requests: 0 for the first."""

    status: int
    server: str
    body: bytes
    number: int = 0


@dataclass(frozen=True, slots=True)
class Route:
    """The only address that is connected to, whatever a URL says, and the address of this host to do it from."""

    address: IPAddress
    source: IPAddress | None = None


async def get(url: str, route: Route, *, limit: int) -> HttpReply:
    """Fetch `url`. Raises GatewayUnreachable, GatewayTimeout or ProtocolError (also for a body over `limit` bytes)."""

    def make_request() -> httpcore.Request:
        return httpcore.Request("GET", url, headers=_headers(url, {}))

    return await _exchange(make_request, route, limit, repeated(limits.FETCH_AGAIN))


async def post(
    url: str,
    route: Route,
    headers: Mapping[str, str],
    body: bytes,
    *,
    limit: int,
    method: str = "POST",
    again: Iterable[float] = (),
) -> HttpReply:
    """Post `body` to `url`, and again after each of `again` seconds without an answer. Raises as `get`."""
    everything = _headers(url, {**headers, "Content-Length": str(len(body))})

    def make_request() -> httpcore.Request:
        return httpcore.Request(method, url, headers=everything, content=_Body(body))

    return await _exchange(make_request, route, limit, again)


def repeated(pause: float) -> Iterable[float]:
    """Return the pauses after which a question is asked again."""
    return (pause,) * (limits.ASK_TIMES - 1)


def _headers(url: str, headers: Mapping[str, str]) -> list[tuple[str, str]]:
    return list({"Host": urlsplit(url).netloc, **_HEADERS, **headers}.items())


async def _exchange(
    make_request: Callable[[], httpcore.Request], route: Route, limit: int, again: Iterable[float]
) -> HttpReply:
    url = bytes(make_request().url).decode("ascii")

    async def attempt(number: int) -> HttpReply | None:
        try:
            reply = await _ask(make_request(), _Network(route, url, limit), url, limit)
            return replace(reply, number=number)
        except httpcore.ReadError:
            if not number:
                raise
            return None  # some devices drop the second of two requests; the answer to the first may be on its way

    try:
        with anyio.fail_after(limits.HTTP_EXCHANGE):
            return await first_of(attempt, again)
    except TimeoutError as error:
        seconds = limits.HTTP_EXCHANGE
        raise GatewayTimeout(
            f"{safe_text(url)} did not answer within {seconds:g} s", sent=1, seconds=seconds
        ) from error
    except ProtocolError as error:
        raise error.with_traceback(None) from None  # whose frames have all that was read
    except _ERRORS as error:
        raise _translated(url, error) from error


async def _ask(request: httpcore.Request, network: "_Network", url: str, limit: int) -> HttpReply:
    async with httpcore.AsyncConnectionPool(network_backend=network) as pool:
        response = await pool.handle_async_request(request)
        body = bytearray()  # what `aread` collects is a list: 34 bytes for each chunk of one byte
        try:
            async for part in response.aiter_stream():
                body += part
        finally:
            with anyio.CancelScope(shield=True):
                await response.aclose()
    if len(body) > limit:
        raise _too_long(url, limit)
    return HttpReply(response.status, _header(response.headers, b"server"), bytes(body))


def _header(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in headers if key.lower() == name), "")


class _Body:
    """A body in one chunk. httpcore's own is an async generator, which a cancelled request leaves to the collector."""

    def __init__(self, body: bytes) -> None:
        self._left = [body] if body else []

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if not self._left:
            raise StopAsyncIteration
        return self._left.pop()


class _Network(httpcore.AsyncNetworkBackend):
    """Connections to `route` alone, which end with a ProtocolError when the device sends too much in whatever part."""

    def __init__(self, route: Route, url: str, limit: int) -> None:
        self._route = route
        self._too_long = _too_long(url, limit)
        self._budget = 2 * limit + limits.HTTP_OVERHEAD  # chunks of a few bytes are mostly frame

    async def connect_tcp(
        self,
        host: str,  # noqa: ARG002 - never where the URL says, if that should be elsewhere
        port: int,
        timeout: float | None = None,  # noqa: ARG002 - one deadline for all
        local_address: str | None = None,  # noqa: ARG002 - the route has it
        socket_options: Iterable[Any] | None = None,  # noqa: ARG002 - none are set
    ) -> httpcore.AsyncNetworkStream:
        inner = await stream.connect(self._route.address, port, source=self._route.source)
        return _CappedStream(inner, self._budget, self._too_long)


class _CappedStream(httpcore.AsyncNetworkStream):
    def __init__(self, inner: SocketStream, budget: int, too_long: ProtocolError) -> None:
        self._inner = inner
        self._budget = budget
        self._too_long = too_long
        self._begun = False
        self._unsent = bytearray()

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002 - one deadline for all
        await self._flush()
        data = await self._receive(max_bytes)
        if not self._begun:
            while data and _MISSPELT.startswith(data) and (more := await self._receive(max_bytes)):
                data += more
            if not data:
                raise httpcore.ReadError("closed without an answer")
            data = data.replace(_MISSPELT, _SPELT, 1) if data.startswith(_MISSPELT) else data
            self._begun = True
        return data

    async def _receive(self, max_bytes: int) -> bytes:
        try:
            data = await self._inner.receive(max(max_bytes, _AT_ONCE))
        except anyio.EndOfStream:
            return b""
        except anyio.BrokenResourceError as error:
            raise httpcore.ReadError(str(error)) from error
        self._budget -= len(data)
        if self._budget < 0:
            raise self._too_long
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002 - one deadline for all
        self._unsent += buffer

    async def _flush(self) -> None:
        # Head and body in one packet: half as likely to be lost, and some devices do not wait for a second one.
        data, self._unsent = bytes(self._unsent), bytearray()
        with suppress(anyio.BrokenResourceError):  # it may have answered before it had everything
            if data:
                await self._inner.send(data)

    async def aclose(self) -> None:
        await anyio.aclose_forcefully(self._inner)

    def get_extra_info(self, info: str) -> Any:  # noqa: ARG002 - nothing is known that httpcore needs
        return None


_ERRORS = (httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol)


def _translated(url: str, error: Exception) -> PortMapperError:
    shown = safe_text(url)
    if isinstance(error, httpcore.ConnectError):
        return GatewayUnreachable(f"cannot connect to {shown}: {safe_text(str(error))}")
    if isinstance(error, httpcore.NetworkError):
        return GatewayUnreachable(f"{shown} broke the connection off")
    return ProtocolError(f"{shown} does not speak proper HTTP: {safe_text(str(error))}")


def _too_long(url: str, limit: int) -> ProtocolError:
    return ProtocolError(f"{safe_text(url)} sent more than {limit} bytes")
