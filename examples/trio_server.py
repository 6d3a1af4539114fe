"""A server that opens its own port for as long as it runs. Plain trio; asyncio_server.py is its twin.

python examples/trio_server.py [PORT]
"""

import signal
import sys

import trio

import portmapper


async def greet(stream: trio.SocketStream) -> None:
    async with stream:
        await stream.send_all(b"Hello from behind the router.\n")


async def serve(port: int, gateway: portmapper.Gateway | None = None) -> None:
    listeners = await trio.open_tcp_listeners(port, host="0.0.0.0")
    port = listeners[0].socket.getsockname()[1]
    async with portmapper.open_mapping(port, gateway=gateway) as mapping:
        print(f"visit {mapping.external} (by {mapping.backend.title}, {mapping.reachability})", flush=True)
        await trio.serve_listeners(greet, listeners)


async def main(port: int) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve, port)
        # By itself Python runs no clean-up at SIGTERM: the port would stay open.
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async for _ in signals:
                nursery.cancel_scope.cancel()


if __name__ == "__main__":
    try:
        trio.run(main, int(sys.argv[1]) if len(sys.argv) > 1 else 8000)
    except* portmapper.PortMapperError as group:
        sys.exit(str(group.exceptions[0]))
