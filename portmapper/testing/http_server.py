"""A small HTTP server on anyio streams, for the simulated gateway."""

import socket
from collections.abc import Callable
from contextlib import suppress
from ipaddress import IPv4Address, ip_address

import anyio
import h11
from anyio.abc import SocketAttribute, SocketListener, SocketStream, TaskGroup

from portmapper.model import IPAddress

Answer = Callable[[str, str, bytes, IPAddress], tuple[int, bytes]]
"""(method, path, body, sender) to (status, body)."""

_CHUNK = 65536


class HttpServer:
    """Answers one request per connection."""

    def __init__(self, address: IPv4Address, answer: Answer) -> None:
        self._answer = answer
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setblocking(False)
        self._socket.bind((str(address), 0))
        self._socket.listen()
        self.port: int = self._socket.getsockname()[1]

    def start(self, tasks: TaskGroup) -> None:
        """Serve from now on, in `tasks`."""
        tasks.start_soon(self._run)

    async def _run(self) -> None:
        try:
            async with await SocketListener.from_socket(self._socket) as listener:
                await listener.serve(self._serve)
        finally:
            self._socket.close()

    async def _serve(self, stream: SocketStream) -> None:
        sender = ip_address(stream.extra(SocketAttribute.remote_address)[0])
        with suppress(anyio.BrokenResourceError, anyio.EndOfStream, h11.RemoteProtocolError):
            async with stream:
                await self._exchange(stream, sender)

    async def _exchange(self, stream: SocketStream, sender: IPAddress) -> None:
        connection = h11.Connection(h11.SERVER)
        request, body = await _receive(connection, stream)
        status, content = self._answer(request.method.decode(), request.target.decode(), body, sender)
        headers = [("Content-Type", 'text/xml; charset="utf-8"'), ("Content-Length", str(len(content)))]
        response = h11.Response(status_code=status, headers=[*headers, ("Connection", "close")])
        for event in (response, h11.Data(data=content), h11.EndOfMessage()):
            await stream.send(connection.send(event) or b"")


async def _receive(connection: h11.Connection, stream: SocketStream) -> tuple[h11.Request, bytes]:
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
            return request, body
        else:
            raise anyio.EndOfStream
