"""A TCP server that says what a test wants, and helpers to ask it."""

import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from ipaddress import IPv4Address, ip_address

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketListener, SocketStream

from portmapper.errors import PortMapperError, ProtocolError
from portmapper.model import IPAddress
from portmapper.net import http
from portmapper.net.datagram import family_of
from portmapper.net.http import HttpReply

LIMIT = 64 * 1024
HERE = http.Route(IPv4Address("127.0.0.1"))

Script = Callable[[SocketStream], Awaitable[None]]


class Server:
    """What came to a scripted server, and from where."""

    def __init__(self, address: IPAddress, port: int) -> None:
        self.port = port
        self.host = f"{address}:{port}" if address.version == 4 else f"[{address}]:{port}"
        self.url = f"http://{self.host}/desc.xml"
        self.connections = 0
        self.peers: list[IPAddress] = []
        self.requests: list[bytes] = []


@asynccontextmanager
async def serving(script: Script, address: IPAddress = HERE.address) -> AsyncIterator[Server]:
    """A TCP server that reads one request from each connection and then does as `script` says."""

    async def serve(stream: SocketStream) -> None:
        server.connections += 1
        server.peers.append(ip_address(stream.extra(SocketAttribute.remote_address)[0]))
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream):
            async with stream:
                server.requests.append(await read_request(stream))
                await script(stream)

    async def listen() -> None:
        async with await SocketListener.from_socket(sock) as listener:
            await listener.serve(serve)

    with socket.socket(family_of(address), socket.SOCK_STREAM) as sock:
        sock.setblocking(False)
        sock.bind((str(address), 0))
        sock.listen()
        server = Server(address, sock.getsockname()[1])
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listen)
            yield server
            tasks.cancel_scope.cancel()


async def read_request(stream: SocketStream) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        data += await stream.receive()
    head, _, body = data.partition(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
    while len(body) < length:
        body += await stream.receive()
    return head + b"\r\n\r\n" + body


def saying(*parts: bytes) -> Script:
    async def script(stream: SocketStream) -> None:
        for part in parts:
            await stream.send(part)

    return script


def repeating(head: bytes, part: bytes, every: float = 0.0) -> Script:
    """Send `head`, then `part` again and again."""

    async def script(stream: SocketStream) -> None:
        await stream.send(head)
        while True:
            await stream.send(part)
            await anyio.sleep(every)

    return script


def then_nothing(*parts: bytes) -> Script:
    """Send `parts` and keep the connection open."""

    async def script(stream: SocketStream) -> None:
        await saying(*parts)(stream)
        await anyio.sleep_forever()

    return script


async def ask(script: Script, *, limit: int = LIMIT) -> HttpReply:
    """Return the answer, or raise the error as it was, outside the group of the server's tasks."""
    async with serving(script) as server:
        try:
            return await http.get(server.url, HERE, limit=limit)
        except Exception as error:  # noqa: BLE001 - whatever it is
            caught = error
    raise caught


@asynccontextmanager
async def raising(script: Script, error: type[PortMapperError], *, limit: int = LIMIT) -> AsyncIterator[str]:
    """Ask, expect `error`, and say what its text is."""
    async with serving(script) as server:
        with pytest.raises(error) as caught:
            await http.get(server.url, HERE, limit=limit)
        assert type(caught.value) is error
        assert server.url in str(caught.value)
    yield str(caught.value)


async def is_a_protocol_error(answer: bytes) -> None:
    async with raising(saying(answer), ProtocolError):
        pass
