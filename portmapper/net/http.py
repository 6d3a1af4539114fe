"""HTTP to a device on the local network: one deadline, a cap on every size. Only this file knows httpx."""

from collections.abc import Mapping
from dataclasses import dataclass

import anyio
import httpx

from portmapper import limits
from portmapper.errors import GatewayTimeout, GatewayUnreachable, PortMapperError, ProtocolError
from portmapper.text import safe_text


@dataclass(frozen=True, slots=True)
class HttpReply:
    """What came back, whatever its status."""

    status: int
    server: str
    body: bytes


async def get(url: str, *, limit: int) -> HttpReply:
    """Fetch `url`. Raises GatewayUnreachable, GatewayTimeout or ProtocolError (also for a body over `limit` bytes)."""
    return await _exchange("GET", url, {}, None, limit)


async def post(url: str, headers: Mapping[str, str], body: bytes, *, limit: int) -> HttpReply:
    """Post `body` to `url`. Raises as `get`."""
    return await _exchange("POST", url, headers, body, limit)


async def _exchange(method: str, url: str, headers: Mapping[str, str], body: bytes | None, limit: int) -> HttpReply:
    try:
        with anyio.fail_after(limits.HTTP_EXCHANGE):
            return await _ask(method, url, headers, body, limit)
    except TimeoutError as error:
        seconds = limits.HTTP_EXCHANGE
        raise GatewayTimeout(
            f"{safe_text(url)} did not answer within {seconds:g} s", sent=1, seconds=seconds
        ) from error
    except httpx.HTTPError as error:
        raise _translated(url, error) from error


async def _ask(method: str, url: str, headers: Mapping[str, str], body: bytes | None, limit: int) -> HttpReply:
    async with _client() as client:
        request = client.build_request(method, url, headers=headers, content=body)
        request.stream = _Body(body or b"")
        response = await client.send(request, stream=True)
        try:
            content = await _read(response, url, limit)
        finally:
            with anyio.CancelScope(shield=True):
                await response.aclose()
        return HttpReply(response.status_code, response.headers.get("server", ""), content)


class _Body(httpx.AsyncByteStream):
    """A body in one chunk. httpx's own is an async generator, which a cancelled request leaves to trio's collector."""

    def __init__(self, body: bytes) -> None:
        self._left = [body]

    def __aiter__(self) -> "_Body":
        return self

    async def __anext__(self) -> bytes:
        if not self._left:
            raise StopAsyncIteration
        return self._left.pop()


def _client() -> httpx.AsyncClient:
    # No proxy from the environment, no redirect to elsewhere, no TLS store to load, no connection kept open.
    return httpx.AsyncClient(
        trust_env=False,
        follow_redirects=False,
        verify=False,  # noqa: S501 - devices on the LAN speak plain HTTP; other schemes are refused before this
        timeout=httpx.Timeout(limits.HTTP_EXCHANGE, connect=limits.HTTP_CONNECT),
        headers={"Connection": "close", "Accept-Encoding": "identity"},
    )


async def _read(response: httpx.Response, url: str, limit: int) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > limit:
            raise ProtocolError(f"{safe_text(url)} sent more than {limit} bytes")
    return bytes(body)


def _translated(url: str, error: httpx.HTTPError) -> PortMapperError:
    shown = safe_text(url)
    if isinstance(error, httpx.TimeoutException):
        return GatewayTimeout(f"{shown} did not answer", sent=1, seconds=limits.HTTP_CONNECT)
    if isinstance(error, httpx.NetworkError):
        return GatewayUnreachable(f"cannot connect to {shown}: {safe_text(str(error))}")
    return ProtocolError(f"{shown} does not speak proper HTTP: {safe_text(str(error))}")
