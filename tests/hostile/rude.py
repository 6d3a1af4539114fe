"""Gateways on the loopback interface that are not what they should be, and what holds for the answer all the same."""

import itertools
import math
import random
import socket
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any

import anyio

from portmapper import limits
from portmapper.errors import NoService, PortMapperError
from portmapper.mapper import PortMapper
from portmapper.model import Endpoint, IPAddress, Lease
from portmapper.testing import SimulatedGateway
from portmapper.upnp import ssdp

BAR = 12.0  # seconds within which there is an answer, whatever the gateway does
HTML = b"<!DOCTYPE html><html><head><title>Router login</title></head><body>Please log in.</body></html>"
LAUGHS = b'<!DOCTYPE r [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;">]><r>&b;</r>'


_ports = itertools.cycle(random.sample(range(10000, 30000), 10000))


def a_port() -> int:
    """Return a port of this host that nobody has bound, and that no connection is given by the system."""
    while True:
        port = next(_ports)
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp, suppress(OSError):
            tcp.bind(("127.0.0.1", port))
            return port


async def outcome(gateway: SimulatedGateway, *backends: str, leaves: int = 0) -> Lease | NoService:
    """Map a port; check what holds for every gateway, and return the lease or the error.

    `leaves` is how many mappings the gateway may have at most after an error: what it hides can only end.
    """
    port = a_port()
    async with PortMapper(gateway=gateway.gateway, backends=backends or None) as mapper:
        try:
            with anyio.fail_after(BAR):
                lease = (await mapper.map(port)).lease
        except NoService as error:
            failure = error
        else:
            assert lease.internal == Endpoint(IPv4Address("127.0.0.1"), port)
            assert 1 <= lease.external.port <= 65535
            return lease
    assert list(failure.reasons) == list(backends or ("pcp", "natpmp", "upnp"))
    assert all(isinstance(reason, PortMapperError) for reason in failure.reasons.values())
    assert str(failure).replace("\n", "").isprintable()
    assert len(list(gateway.table)) <= leaves
    assert not any(math.isinf(entry.ends) for entry in gateway.table)
    return failure


def reason_of(result: Lease | NoService, backend: str) -> PortMapperError:
    assert isinstance(result, NoService), result
    return result.reasons[backend]


async def succeeds(gateway: SimulatedGateway, *backends: str) -> Lease:
    """Map a port, and compare the lease with the gateway's table; nothing may be left in the end."""
    async with PortMapper(gateway=gateway.gateway, backends=backends or None) as mapper:
        with anyio.fail_after(BAR):
            lease = (await mapper.map(a_port())).lease
        (entry,) = gateway.table
        assert (entry.external_port, entry.internal) == (lease.external.port, lease.internal)
        assert lease.lifetime == limits.DEFAULT_LIFETIME
    assert not list(gateway.table)
    return lease


class RudeIgd(SimulatedGateway):
    """Speaks UPnP only; `rude` says what it answers instead of the honest status and body."""

    def __init__(self, **options: Any) -> None:
        super().__init__(pcp=False, natpmp=False, **options)
        self.paths: list[tuple[str, str]] = []

    def answer_http(self, method: str, path: str, body: bytes, sender: IPAddress) -> tuple[int, bytes]:
        self.paths.append((method, path))
        return self.rude(method, body, super().answer_http(method, path, body, sender))

    def rude(self, method: str, body: bytes, honest: tuple[int, bytes]) -> tuple[int, bytes]:
        return honest

    @property
    def location(self) -> str:
        return self._igd.location

    def asked(self, *names: str) -> int:
        """Return how often it was asked for these actions."""
        return sum(call.name in names for call in self.calls)


def an_answer(location: str, target: str = ssdp.TARGETS[0]) -> bytes:
    return b"\r\n".join(
        [b"HTTP/1.1 200 OK", b"LOCATION: " + location.encode(), b"ST: " + target.encode(), b"USN: x", b"", b""]
    )


@dataclass
class Trap:
    """TCP listeners that nobody may connect to."""

    port: int
    sockets: list[socket.socket]

    def caught(self) -> bool:
        for sock in self.sockets:
            try:
                connection, _ = sock.accept()
            except BlockingIOError:
                continue
            connection.close()
            return True
        return False


def a_description(service_type: str = "WANIPConnection:1", control: str = "/ctl", more: str = "") -> bytes:
    return (
        f"<root>{more}<device><serviceList><service><serviceType>urn:schemas-upnp-org:service:{service_type}"
        f"</serviceType><controlURL>{control}</controlURL></service></serviceList></device></root>"
    ).encode()


def a_fault(detail: str) -> bytes:
    return f"<s:Envelope xmlns:s='e'><s:Body><s:Fault>{detail}</s:Fault></s:Body></s:Envelope>".encode()


def with_code(code: str) -> bytes:
    return a_fault(f"<detail><UPnPError><errorCode>{code}</errorCode></UPnPError></detail>")


def no_result(content: str) -> bytes:
    return f"<Envelope><Body>{content}</Body></Envelope>".encode()


def is_action(body: bytes, *names: str) -> bool:
    return any(f"<u:{name} ".encode() in body for name in names)
