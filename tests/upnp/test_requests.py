"""Whole requests as they leave for the network, against the vectors (nothing is sent: the network is a recording)."""

from collections.abc import Iterable
from ipaddress import IPv4Address
from typing import Any

import httpcore
import pytest

from portmapper.model import Endpoint, Gateway, MappingRequest, Protocol
from portmapper.upnp.backend import UpnpBackend
from portmapper.upnp.client import IgdClient
from portmapper.upnp.description import Service
from portmapper.upnp.soap import Action, encode_result
from tests.wire import vectors as tv

pytestmark = pytest.mark.anyio

WANIP = "urn:schemas-upnp-org:service:WANIPConnection:2"
FIREWALL = "urn:schemas-upnp-org:service:WANIPv6FirewallControl:1"
DEVICE = "http://192.168.1.1:5000"


class Recording(httpcore.AsyncMockStream):
    """A connection that keeps what is written to it."""

    def __init__(self, answer: bytes) -> None:
        super().__init__([answer])
        self.sent = b""

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self.sent += buffer


class Network(httpcore.AsyncMockBackend):
    """A network on which every connection gets the next of `answers`."""

    def __init__(self, *answers: bytes) -> None:
        super().__init__([])
        self.recordings = [Recording(answer) for answer in answers]
        self.peers: list[tuple[str, int]] = []

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        self.peers.append((host, port))
        return self.recordings[len(self.peers) - 1]


def parts(message: bytes) -> tuple[str, dict[str, str], bytes]:
    """Return start line, headers by lower-case name, and body."""
    head, _, body = message.partition(b"\r\n\r\n")
    start, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    return start, {name.lower(): value for name, value in headers.items()}, body


def answering(action: Action, **results: str) -> bytes:
    body = encode_result(action, results)
    return b"HTTP/1.1 200 OK\r\nCONTENT-LENGTH: %d\r\n\r\n%b" % (len(body), body)


def assert_sent(network: Network, vector: bytes) -> None:
    """The first request is that of the vector: each header of it with its value; others may be added."""
    start, headers, body = parts(network.recordings[0].sent)
    wanted_start, wanted, wanted_body = parts(vector)
    assert network.peers[0] == ("192.168.1.1", 5000)
    assert start == wanted_start
    assert {name: headers.get(name) for name in wanted} == wanted
    assert body == wanted_body


async def test_a_mapping_is_asked_for_as_in_the_vector(monkeypatch: pytest.MonkeyPatch) -> None:
    """UP-50 to UP-54, UP-85, TV-22: from the request of the user to the last byte, and the answer back."""
    address = answering(Action(WANIP, "GetExternalIPAddress", {}), NewExternalIPAddress="203.0.113.7")
    network = Network(tv.TV22_RESP, address)
    monkeypatch.setattr(httpcore, "AnyIOBackend", lambda: network)
    gateway = Gateway(address=IPv4Address("192.168.1.1"), source=IPv4Address("192.168.1.10"))
    backend = UpnpBackend(gateway, IgdClient(Service(WANIP, f"{DEVICE}/igd/ctl/IPConn")))
    request = MappingRequest(
        protocol=Protocol.TCP, internal_port=8080, external_port=40000, lifetime=3600, description="web & api <1>"
    )
    lease = await backend.map(request)
    assert_sent(network, tv.TV22_REQ)
    assert lease.external == Endpoint(IPv4Address("203.0.113.7"), 40000)


async def test_a_pinhole_is_asked_for_as_in_the_vector(monkeypatch: pytest.MonkeyPatch) -> None:
    """UP-121, UP-122, TV-25: the client takes any service and action."""
    network = Network(answering(Action(FIREWALL, "AddPinhole", {}), UniqueID="5"))
    monkeypatch.setattr(httpcore, "AnyIOBackend", lambda: network)
    client = IgdClient(Service(FIREWALL, f"{DEVICE}/ctl/IP6FW"))
    results = await client.call(
        "AddPinhole",
        RemoteHost="",
        RemotePort=0,
        InternalClient="2001:db8::10",
        InternalPort=51820,
        Protocol=17,
        LeaseTime=3600,
    )
    assert_sent(network, tv.TV25_ADDPINHOLE)
    assert results == {"uniqueid": "5"}
