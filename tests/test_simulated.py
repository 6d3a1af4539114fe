"""The simulated gateway itself."""

import socket

import pytest

from portmapper.testing import SimulatedGateway


@pytest.mark.anyio
async def test_a_port_that_is_off_refuses_and_is_given_to_nobody_else() -> None:
    """A port given back to the system may be another program's a moment later, and is silent then."""
    async with SimulatedGateway(pcp=False, natpmp=False, upnp=False) as simulated:
        gateway = simulated.gateway
        for port in (gateway.port, gateway.ssdp_port):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
                asking.settimeout(5)
                asking.connect((str(gateway.address), port))
                asking.send(b"anybody there?")
                with pytest.raises(ConnectionRefusedError):
                    asking.recv(1)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other, pytest.raises(OSError, match="in use"):
                other.bind((str(gateway.address), port))
