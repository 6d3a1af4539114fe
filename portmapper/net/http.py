"""HTTP to a device on the local network: one deadline, a cap on every size. Only this file knows httpcore.

httpcore, and not httpx above it: a client's redirects, cookies and environment are just what a device must not reach,
and a body can be cut off cleanly only where it is read from the network.
"""

from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import anyio
import httpcore
from anyio.abc import SocketStream

from portmapper import limits
from portmapper.errors import GatewayTimeout, GatewayUnreachable, PortMapperError, ProtocolError
from portmapper.model import IPAddress
from portmapper.net import stream
from portmapper.text import safe_text

_MISSPELT, _SPELT = b"HTTP1.", b"HTTP/1."  # in the status line of some devices
_AT_ONCE = 256 * 1024  # as much as asyncio reads: of less, the rest would pile up in the queue of anyio's stream
_HEADERS = {"Connection": "close", "Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "portmapper UPnP/1.1"}


@dataclass(frozen=True, slots=True)
class HttpReply:
    """What came back, whatever its status."""

    status: int
    server: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Route:
    """The only address that is connected to, whatever a URL says, and the address of this host to do it from."""

    address: IPAddress
    source: IPAddress | None = None


async def get(url: str, route: Route, *, limit: int) -> HttpReply:
    """Fetch `url`. Raises GatewayUnreachable, GatewayTimeout or ProtocolError (also for a body over `limit` bytes)."""
    return await _exchange(httpcore.Request("GET", url, headers=_headers(url, {})), route, limit)


async def post(
    url: str, route: Route, headers: Mapping[str, str], body: bytes, *, limit: int, method: str = "POST"
) -> HttpReply:
    """Post `body` to `url`. Raises as `get`."""
    everything = _headers(url, {**headers, "Content-Length": str(len(body))})
    return await _exchange(httpcore.Request(method, url, headers=everything, content=_Body(body)), route, limit)


def _headers(url: str, headers: Mapping[str, str]) -> list[tuple[str, str]]:
    return list({"Host": urlsplit(url).netloc, **_HEADERS, **headers}.items())


async def _exchange(request: httpcore.Request, route: Route, limit: int) -> HttpReply:
    url = bytes(request.url).decode("ascii")
    try:
        with anyio.fail_after(limits.HTTP_EXCHANGE):
            return await _ask(request, _Network(route, url, limit), url, limit)
    except TimeoutError as error:
        seconds = limits.HTTP_EXCHANGE
        raise GatewayTimeout(
            f"{safe_text(url)} did not answer within {seconds:g} s", sent=1, seconds=seconds
        ) from error
    except _ERRORS as error:
        raise _translated(url, error) from error


async def _ask(request: httpcore.Request, network: "_Network", url: str, limit: int) -> HttpReply:
    request.extensions = {"timeout": {"connect": limits.HTTP_CONNECT}}
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
        timeout: float | None = None,
        local_address: str | None = None,  # noqa: ARG002 - the route has it
        socket_options: Iterable[Any] | None = None,  # noqa: ARG002 - none are set
    ) -> httpcore.AsyncNetworkStream:
        try:
            with anyio.fail_after(timeout):
                inner = await stream.connect(self._route.address, port, source=self._route.source)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(str(error)) from error
        return _CappedStream(inner, self._budget, self._too_long)


class _CappedStream(httpcore.AsyncNetworkStream):
    def __init__(self, inner: SocketStream, budget: int, too_long: ProtocolError) -> None:
        self._inner = inner
        self._budget = budget
        self._too_long = too_long
        self._begun = False

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002 - one deadline for all
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
        try:
            await self._inner.send(buffer)
        except anyio.BrokenResourceError as error:
            raise httpcore.WriteError(str(error)) from error

    async def aclose(self) -> None:
        await anyio.aclose_forcefully(self._inner)

    def get_extra_info(self, info: str) -> Any:  # noqa: ARG002 - nothing is known that httpcore needs
        return None


_ERRORS = (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol)


def _translated(url: str, error: Exception) -> PortMapperError:
    shown = safe_text(url)
    if isinstance(error, httpcore.TimeoutException):
        return GatewayTimeout(f"{shown} did not answer", sent=1, seconds=limits.HTTP_CONNECT)
    if isinstance(error, httpcore.ConnectError):
        return GatewayUnreachable(f"cannot connect to {shown}: {safe_text(str(error))}")
    if isinstance(error, httpcore.NetworkError):
        return GatewayUnreachable(f"{shown} broke the connection off")
    return ProtocolError(f"{shown} does not speak proper HTTP: {safe_text(str(error))}")


def _too_long(url: str, limit: int) -> ProtocolError:
    return ProtocolError(f"{safe_text(url)} sent more than {limit} bytes")
