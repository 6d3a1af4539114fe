"""Routers with quirks, and what the whole library does in front of them."""

import random
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from math import inf
from typing import Any

import anyio
from anyio.abc import SocketListener, SocketStream

from portmapper import Gateway, Lease, Mapping, NoService, PortMapper, PortMapperError, RequestRefused
from portmapper.model import Endpoint, Protocol
from portmapper.testing import IgdSwitches, SimulatedGateway
from portmapper.testing.table import Entry
from portmapper.upnp import soap

HERE = IPv4Address("127.0.0.1")
NEIGHBOUR = IPv4Address("127.0.0.77")
LINK = IPv4Network("127.0.0.0/8")


def own_address() -> IPv4Address:
    """Return an address that no other test, and no other run of the tests at the same time, has."""
    return IPv4Address(f"127.{random.randint(1, 250)}.{random.randint(0, 255)}.{random.randint(1, 254)}")


def options(*, hears_group: bool = False, ipv6: bool = False, **switches: Any) -> dict[str, Any]:
    """Return the arguments of a simulated gateway that speaks UPnP alone."""
    where = {"ipv6": True} if ipv6 else {"address": own_address(), "external_address": own_address()}
    return {"pcp": False, "natpmp": False, "hears_group": hears_group, "igd": IgdSwitches(**switches), **where}


def quirky(**switches: Any) -> SimulatedGateway:
    """Return a router with `switches` of IgdSwitches, and addresses of its own."""
    return SimulatedGateway(**options(**switches))


def router_at(address: IPv4Address) -> SimulatedGateway:
    """Return a router at a certain address."""
    return SimulatedGateway(**{**options(), "address": address})


def known_link(router: SimulatedGateway) -> Gateway:
    """Return the gateway as it is where the network of the link is known."""
    return replace(router.gateway, network=LINK)


def mapper_at(router: SimulatedGateway, **arguments: Any) -> PortMapper:
    """Return a mapper that knows UPnP alone, before `router`."""
    return PortMapper(**{"gateway": router.gateway, "backends": ["upnp"], **arguments})


# --- The main job -----------------------------------------------------------------------------------------------------


@asynccontextmanager
async def echo() -> AsyncGenerator[int]:
    """Send back what comes, by TCP and UDP, at a port of this host."""
    listener, datagrams = _bound_pair()
    port: int = listener.getsockname()[1]

    async def send_back(stream: SocketStream) -> None:
        async with stream:
            async for data in stream:
                await stream.send(data)

    async def send_back_datagrams() -> None:
        while True:
            await anyio.wait_readable(datagrams)
            data, peer = datagrams.recvfrom(100)
            datagrams.sendto(data, peer)

    with datagrams:
        async with await SocketListener.from_socket(listener) as server, anyio.create_task_group() as tasks:
            tasks.start_soon(server.serve, send_back)
            tasks.start_soon(send_back_datagrams)
            yield port
            tasks.cancel_scope.cancel()


def _bound_pair() -> tuple[socket.socket, socket.socket]:
    while True:
        listener, datagrams = socket.socket(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        listener.setblocking(False)
        datagrams.setblocking(False)
        listener.bind((str(HERE), 0))
        listener.listen()
        try:
            datagrams.bind(listener.getsockname())
        except OSError:  # the port is in use by UDP
            listener.close()
            datagrams.close()
        else:
            return listener, datagrams


async def is_reached(mapping: Mapping) -> bool:
    """Whether what is sent to the external port comes back from the port of this host."""
    address, port = str(mapping.external_address()), mapping.external_port
    try:
        with anyio.fail_after(1):
            return await (_by_tcp(address, port) if mapping.protocol == "tcp" else _by_udp(address, port)) == b"hello"
    except (OSError, TimeoutError, anyio.EndOfStream, anyio.BrokenResourceError):
        return False


async def _by_tcp(address: str, port: int) -> bytes:
    async with await anyio.connect_tcp(address, port) as stream:
        await stream.send(b"hello")
        return await stream.receive()


async def _by_udp(address: str, port: int) -> bytes:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.connect((address, port))
        sock.send(b"hello")
        await anyio.wait_readable(sock)
        return sock.recv(100)


async def main_job(router: SimulatedGateway, *, gateway: Gateway | None = None, **wishes: Any) -> Lease:
    """Map a port, reach it, renew it twice, list it and close it; return its first lease."""
    async with echo() as port, mapper_at(router, gateway=gateway or router.gateway) as mapper:
        mapping = await mapper.map(port, **wishes)
        lease, entry = mapping.lease, entry_of(router)
        assert (entry.internal, entry.external_port) == (Endpoint(HERE, port), mapping.external_port)
        assert await is_reached(mapping)
        ends = entry.ends
        await anyio.sleep(10)
        await mapping.refresh()
        assert entry_of(router).ends > ends or lease.permanent
        await mapping.refresh(hard=True)
        assert await is_reached(mapping)
        (listed,) = await mapper.list_mappings()
        assert (listed.own, listed.internal_port, listed.external_port) == (True, port, mapping.external_port)
        assert await mapper.external_address() == mapping.external_address()
        await mapping.close()
        assert list(router.table) == []
    return lease


async def refusal(router: SimulatedGateway, *, gateway: Gateway | None = None, **wishes: Any) -> PortMapperError:
    """Return the reason why nothing is mapped, which leaves nothing behind."""
    async with mapper_at(router, gateway=gateway or router.gateway) as mapper:
        before = list(router.table)
        try:
            await mapper.map(4001, **wishes)
        except NoService as error:
            assert list(router.table) == before
            return error.reasons["upnp"]
    raise AssertionError("it was mapped")


async def refusal_code(router: SimulatedGateway, **wishes: Any) -> int:
    """Return the error code with which a mapping is refused."""
    reason = await refusal(router, **wishes)
    assert isinstance(reason, RequestRefused)
    return reason.code


def another_has(
    router: SimulatedGateway, port: int, protocol: Protocol = Protocol.TCP, *, description: str = "another"
) -> Entry:
    """Have the router map `port` for another host, without end."""
    return router.table.add(protocol, Endpoint(NEIGHBOUR, port), port, inf, description=description)


# --- What a router has, and was asked ---------------------------------------------------------------------------------


def entry_of(router: SimulatedGateway) -> Entry:
    """Return the only mapping there is."""
    (entry,) = router.table
    return entry


def named(router: SimulatedGateway, *names: str) -> list[soap.Action]:
    """Return the requests of these names, in order."""
    return [call for call in router.calls if call.name in names]


def adds(router: SimulatedGateway) -> list[soap.Action]:
    """Return the requests for a mapping, in order."""
    return named(router, "AddPortMapping", "AddAnyPortMapping")


def asked(router: SimulatedGateway, argument: str) -> list[str]:
    """Return an argument of each request for a mapping, in order."""
    return [call.arguments[argument] for call in adds(router)]


def targets(router: SimulatedGateway) -> list[str]:
    """Return what was searched for, in order."""
    return [_header(data, b"ST") for data in router.searches]


def paths(router: SimulatedGateway, method: str = "POST") -> set[str]:
    """Return the paths that were asked for."""
    return {request.path for request in router.requests if request.method == method}


def hosts(router: SimulatedGateway) -> set[str]:
    """Return what the requests call the router."""
    return {request.header("Host") or "" for request in router.requests}


def _header(data: bytes, name: bytes) -> str:
    lines = (line.partition(b": ") for line in data.split(b"\r\n"))
    return next(value.decode() for key, _, value in lines if key == name)
