"""A server that opens its own port for as long as it runs. Plain asyncio; trio_server.py is its twin.

python examples/asyncio_server.py [PORT]
"""

import asyncio
import contextlib
import signal
import sys

import portmapper


async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"Hello from behind the router.\n")
    await writer.drain()
    writer.close()
    await writer.wait_closed()


async def serve(port: int, gateway: portmapper.Gateway | None = None) -> None:
    async with (
        await asyncio.start_server(greet, "0.0.0.0", port) as server,
        portmapper.open_mapping(server.sockets[0].getsockname()[1], gateway=gateway) as mapping,
    ):
        print(f"visit {mapping.external} (by {mapping.backend.title}, {mapping.reachability})", flush=True)
        await server.serve_forever()


async def main(port: int) -> None:
    serving = asyncio.create_task(serve(port))
    for number in (
        signal.SIGINT,
        signal.SIGTERM,
    ):  # by itself Python runs no clean-up at SIGTERM: the port would stay open
        asyncio.get_running_loop().add_signal_handler(number, serving.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await serving


if __name__ == "__main__":
    try:
        asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 8000))
    except portmapper.PortMapperError as error:
        sys.exit(str(error))
