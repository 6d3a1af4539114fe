"""Follow what happens to a mapping: renewals, a new external address, a reboot of the router, the end.

python examples/watch_mapping.py [PORT]
"""

import sys

import anyio

import portmapper


async def watch(port: int, gateway: portmapper.Gateway | None = None) -> None:
    async with portmapper.PortMapper(gateway=gateway) as mapper:
        mapping = await mapper.map(port, "udp", lifetime=3600)
        async for event in mapping.events():
            match event:
                case portmapper.Mapped(lease):
                    print(f"open at {lease.external} for {lease.lifetime} s", flush=True)
                case portmapper.Renewed(lease):
                    print(f"renewed for {lease.lifetime} s", flush=True)
                case portmapper.Restored(lease):
                    print(f"the gateway had lost it; open again at {lease.external}", flush=True)
                case portmapper.Changed(old, lease):
                    print(f"moved from {old.external} to {lease.external}", flush=True)
                case portmapper.Lost(_, reason):
                    print(f"lost: {reason}", flush=True)
                case portmapper.Closed():
                    print("closed", flush=True)


if __name__ == "__main__":
    try:
        anyio.run(watch, int(sys.argv[1]) if len(sys.argv) > 1 else 5000)
    except portmapper.PortMapperError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:  # the block was left by it, and the port is closed
        sys.exit(130)
