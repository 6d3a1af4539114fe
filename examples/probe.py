"""Probe a gateway for NAT-PMP and PCP in one go: one socket, two questions, answers as they come.

    python examples/probe.py [GATEWAY]

Nothing is opened, and a question that is lost is not asked again.
"""

import sys

import anyio

import portmapper
from portmapper import natpmp, pcp


async def probe(gateway: portmapper.Gateway) -> dict[str, str]:
    """Return what each protocol answered within a second."""
    found = {"NAT-PMP": "silent", "PCP": "silent"}
    async with portmapper.Conn.open(gateway.source) as conn:
        with anyio.move_on_after(1):
            await conn.send(natpmp.AddressRequest(), gateway)
            await conn.send(pcp.AnnounceRequest(client=gateway.source), gateway)
            while "silent" in found.values():
                try:
                    message, _ = await conn.receive()
                except portmapper.GatewayUnreachable as error:
                    return dict.fromkeys(found, str(error))
                match message:
                    case natpmp.AddressResponse(result=0, address=address):
                        found["NAT-PMP"] = f"external address {address}"
                    case pcp.AnnounceResponse(epoch=epoch):
                        found["PCP"] = f"up for {epoch} s"
                    case natpmp.UnsupportedVersionResponse(version=version):  # a router of one refuses the other
                        found["PCP" if version == 0 else "NAT-PMP"] = "not spoken"
                    case other:
                        print(f"and also {other}")
    return found


def main() -> None:
    gateway = portmapper.gateway_at(sys.argv[1]) if len(sys.argv) > 1 else portmapper.gateways()[0]
    for protocol, answer in anyio.run(probe, gateway).items():
        print(f"{protocol} on {gateway}: {answer}")


if __name__ == "__main__":
    try:
        main()
    except portmapper.PortMapperError as error:  # no default route, or no such address
        sys.exit(str(error))
