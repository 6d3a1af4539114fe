"""A small HTTP server on anyio streams, for the simulated gateway. It says nothing of itself: answers are bytes."""

import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address

import anyio
import h11
from anyio.abc import SocketAttribute, SocketListener, SocketStream, TaskGroup

from portmapper.model import IPAddress
from portmapper.net.datagram import family_of


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """One request as it came: header names are spelled as the asker did, `version` is 1.1 or 1.0."""

    method: str
    path: str
    version: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    sender: IPAddress

    def header(self, name: str) -> str | None:
        """Return the value of a header, however its name is spelled."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


Answer = Callable[[HttpRequest], Awaitable[bytes]]
"""What is sent before the connection ends; nothing at all if it is empty."""

_CHUNK = 65536


class HttpServer:
    """Answers one request per connection."""

    def __init__(self, address: IPAddress, answer: Answer) -> None:
        self._answer = answer
        self._scope = anyio.CancelScope()
        self._ended = anyio.Event()
        self._socket = socket.socket(family_of(address), socket.SOCK_STREAM)
        try:
            self._socket.setblocking(False)
            self._socket.bind((str(address), 0))
            self._socket.listen()
        except OSError:
            self._socket.close()
            raise
        self.port: int = self._socket.getsockname()[1]
        self.open = 0
        """Connections that have not been answered yet."""
        self.most_open = 0

    def start(self, tasks: TaskGroup) -> None:
        """Serve from now on, in `tasks`."""
        tasks.start_soon(self._run)

    async def stop(self) -> None:
        """Break off what is in progress; when this returns, the port refuses."""
        self._scope.cancel()
        await self._ended.wait()

    async def _run(self) -> None:
        try:
            with self._scope:
                async with await SocketListener.from_socket(self._socket) as listener:
                    await listener.serve(self._serve)
        finally:
            self._socket.close()
            self._ended.set()

    async def _serve(self, stream: SocketStream) -> None:
        with suppress(anyio.BrokenResourceError, anyio.EndOfStream, h11.RemoteProtocolError):
            async with stream:
                answer = await self._answered(stream)
                if answer:
                    await stream.send(answer)

    async def _answered(self, stream: SocketStream) -> bytes:
        # Over before the answer goes out: the next request of the same asker is not at the same time.
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            return await self._answer(await _receive(stream))
        finally:
            self.open -= 1


async def _receive(stream: SocketStream) -> HttpRequest:
    connection = h11.Connection(h11.SERVER)
    request: h11.Request | None = None
    body = b""
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await stream.receive(_CHUNK))
        elif isinstance(event, h11.Request):
            request = event
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage) and request is not None:
            return _request(request, body, ip_address(stream.extra(SocketAttribute.remote_address)[0]))
        else:
            raise anyio.EndOfStream


def _request(request: h11.Request, body: bytes, sender: IPAddress) -> HttpRequest:
    return HttpRequest(
        method=request.method.decode(),
        path=request.target.decode(),
        version=request.http_version.decode(),
        headers=tuple((name.decode(), value.decode("latin-1")) for name, value in request.headers.raw_items()),
        body=body,
        sender=sender,
    )
