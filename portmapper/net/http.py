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

from portmapper import limits
from portmapper.errors import GatewayTimeout, GatewayUnreachable, PortMapperError, ProtocolError
from portmapper.text import safe_text

_HEADERS = {"Connection": "close", "Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "portmapper UPnP/1.1"}


@dataclass(frozen=True, slots=True)
class HttpReply:
    """What came back, whatever its status."""

    status: int
    server: str
    body: bytes


async def get(url: str, *, limit: int) -> HttpReply:
    """Fetch `url`. Raises GatewayUnreachable, GatewayTimeout or ProtocolError (also for a body over `limit` bytes)."""
    return await _exchange("GET", url, {}, b"", limit)


async def post(url: str, headers: Mapping[str, str], body: bytes, *, limit: int) -> HttpReply:
    """Post `body` to `url`. Raises as `get`."""
    return await _exchange("POST", url, {**headers, "Content-Length": str(len(body))}, body, limit)


async def _exchange(method: str, url: str, headers: Mapping[str, str], body: bytes, limit: int) -> HttpReply:
    try:
        with anyio.fail_after(limits.HTTP_EXCHANGE):
            return await _ask(method, url, headers, body, limit)
    except TimeoutError as error:
        seconds = limits.HTTP_EXCHANGE
        raise GatewayTimeout(
            f"{safe_text(url)} did not answer within {seconds:g} s", sent=1, seconds=seconds
        ) from error
    except _ERRORS as error:
        raise _translated(url, error) from error


async def _ask(method: str, url: str, headers: Mapping[str, str], body: bytes, limit: int) -> HttpReply:
    timeout = {"connect": limits.HTTP_CONNECT}
    everything = list({"Host": urlsplit(url).netloc, **_HEADERS, **headers}.items())
    request = httpcore.Request(method, url, headers=everything, content=_Body(body), extensions={"timeout": timeout})
    async with httpcore.AsyncConnectionPool(network_backend=_CappedNetwork(url, limit)) as pool:
        response = await pool.handle_async_request(request)
        try:
            await response.aread()
        finally:
            with anyio.CancelScope(shield=True):
                await response.aclose()
    if len(response.content) > limit:
        raise _too_long(url, limit)
    return HttpReply(response.status, _header(response.headers, b"server"), response.content)


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


class _CappedNetwork(httpcore.AsyncNetworkBackend):
    """Connections that end with a ProtocolError when the device sends too much, in whatever part of its answer."""

    def __init__(self, url: str, limit: int) -> None:
        # pyright sees the stand-in that httpcore exports where anyio is missing.
        self._inner: httpcore.AsyncNetworkBackend = httpcore.AnyIOBackend()  # pyright: ignore[reportAttributeAccessIssue]
        self._too_long = _too_long(url, limit)
        self._budget = 2 * limit + limits.HTTP_OVERHEAD  # chunks of a few bytes are mostly frame

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        inner = await self._inner.connect_tcp(host, port, timeout, local_address, socket_options)
        return _CappedStream(inner, self._budget, self._too_long)


class _CappedStream(httpcore.AsyncNetworkStream):
    def __init__(self, inner: httpcore.AsyncNetworkStream, budget: int, too_long: ProtocolError) -> None:
        self._inner = inner
        self._budget = budget
        self._too_long = too_long

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        data = await self._inner.read(max_bytes, timeout)
        self._budget -= len(data)
        if self._budget < 0:
            raise self._too_long
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        await self._inner.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._inner.aclose()

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


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
