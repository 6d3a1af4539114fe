"""A web application that opens its own port while it runs, and says at /where under which address the world sees it.

    pip install uvicorn
    python examples/asgi_app.py [PORT]

The ASGI lifespan is where this belongs: the port is open before the first request and closed after the last one. With
Starlette or FastAPI the two lines in `_lifespan` that open it go into the function that you pass as `lifespan=`.
"""

import json
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import uvicorn

import portmapper

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class App:
    """Opens `port`, the one that the web server listens on."""

    def __init__(self, port: int, gateway: portmapper.Gateway | None = None) -> None:
        self._port = port
        self._gateway = gateway
        self._mapping: portmapper.Mapping | None = None

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request, or accompany the server from its start to its end."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            await self._answer(scope["path"], send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()  # lifespan.startup
        try:
            async with portmapper.open_mapping(self._port, gateway=self._gateway) as self._mapping:
                await send({"type": "lifespan.startup.complete"})
                await receive()  # lifespan.shutdown
        except portmapper.PortMapperError as error:  # this application is of no use without its port; yours may be
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.shutdown.complete"})

    async def _answer(self, path: str, send: Send) -> None:
        found = path == "/where"
        body = json.dumps(self._where() if found else {"see": "/where"}).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200 if found else 404, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _where(self) -> dict[str, str | None]:
        external = self._mapping.external if self._mapping else None  # None while the router has lost it
        reachability = str(self._mapping.reachability) if self._mapping and external else None
        return {"external": str(external) if external else None, "reachability": reachability}


if __name__ == "__main__":
    chosen = int(sys.argv[1]) if len(sys.argv) > 1 else 8000
    uvicorn.run(App(chosen), host="0.0.0.0", port=chosen)
