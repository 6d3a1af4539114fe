"""A server that opens its own port for as long as it runs; the same code on asyncio and trio.

    python examples/async_server.py [trio]

Ends after the first visitor, or at Ctrl-C; the port is closed in every case.
"""

import sys

import anyio
from anyio.abc import SocketStream

import portmapper


async def serve(gateway: portmapper.Gateway | None = None) -> None:
    listener = await anyio.create_tcp_listener(local_port=0)
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    done = anyio.Event()

    async def greet(stream: SocketStream) -> None:
        async with stream:
            await stream.send(b"Hello from behind the router.\n")
        done.set()

    async with anyio.create_task_group() as tasks, portmapper.open_mapping(port, "tcp", gateway=gateway) as mapping:
        tasks.start_soon(listener.serve, greet)
        print(f"visit {mapping.external} (by {mapping.backend.title}, {mapping.reachability})", flush=True)
        await done.wait()
        tasks.cancel_scope.cancel()
    await listener.aclose()


if __name__ == "__main__":
    try:
        anyio.run(serve, backend=sys.argv[1] if len(sys.argv) > 1 else "asyncio")
    except portmapper.PortMapperError as error:
        sys.exit(str(error))
