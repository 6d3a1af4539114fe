"""Whole requests as they leave for the network, against the vectors (nothing is sent: the network is a recording)."""

from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address

import anyio
import pytest
from anyio.abc import SocketStream

from portmapper.model import (
    Endpoint,
    Gateway,
    IPAddress,
    Lease,
    ListedMapping,
    MappingRequest,
    Protocol,
    RemoteFilter,
)
from portmapper.net import http, stream
from portmapper.upnp.backend import UpnpBackend
from portmapper.upnp.client import IgdClient
from portmapper.upnp.description import Service
from portmapper.upnp.grants import MappingGrants
from portmapper.upnp.listing import encode_listing
from portmapper.upnp.mappings import PortMappings
from portmapper.upnp.memory import Memory
from portmapper.upnp.pinhole_grants import PinholeGrants
from portmapper.upnp.pinholes import Pinholes
from portmapper.upnp.soap import Action, decode_action, encode_fault, encode_result
from tests.wire import vectors as tv

pytestmark = pytest.mark.anyio

KIND = "urn:schemas-upnp-org:service:"
WANIP, FIREWALL = f"{KIND}WANIPConnection:2", f"{KIND}WANIPv6FirewallControl:1"
ROUTER, HOST = IPv4Address("192.168.1.1"), IPv4Address("192.168.1.10")
HOST_6 = IPv6Address("2001:db8::10")
GATEWAY = Gateway(address=ROUTER, source=HOST)
WEB = MappingRequest(
    protocol=Protocol.TCP, internal_port=8080, external_port=40000, lifetime=3600, description="web & api <1>"
)
VPN = MappingRequest(protocol=Protocol.UDP, internal_port=51820, lifetime=3600)


class Request:
    """What was written to one connection."""

    def __init__(self, address: IPAddress, port: int, source: IPAddress | None, data: bytes) -> None:
        self.address, self.port, self.source = address, port, source
        head, _, self.body = data.partition(b"\r\n\r\n")
        self.start, *lines = head.decode().split("\r\n")
        self.spelt = dict(line.split(": ", 1) for line in lines)
        self.headers = {name.lower(): value for name, value in self.spelt.items()}
        self.action = decode_action(self.body)


class Connection:
    """A connection that keeps what is written to it, and answers when all of it is there."""

    def __init__(self, answer: Callable[[bytes], bytes]) -> None:
        self._answer = answer
        self._written = b""

    async def send(self, data: bytes) -> None:
        self._written += data

    async def receive(self, max_bytes: int = 65536) -> bytes:
        if not self._written:
            raise anyio.EndOfStream
        written, self._written = self._written, b""
        return self._answer(written)

    async def aclose(self) -> None:
        pass


class Network:
    """A network on which a device answers each action with the next of its answers, the last again and again."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **answers: list[bytes]) -> None:
        self.requests: list[Request] = []
        self._answers = answers
        monkeypatch.setattr(stream, "connect", self._connect)

    def names(self) -> list[str]:
        return [one.action.name for one in self.requests]

    def of(self, name: str) -> Request:
        """Return the only request of an action."""
        [one] = [one for one in self.requests if one.action.name == name]
        return one

    async def _connect(
        self, address: IPAddress, port: int, *, source: IPAddress | None = None
    ) -> "SocketStream | Connection":
        def answer(written: bytes) -> bytes:
            request = Request(address, port, source, written)
            self.requests.append(request)
            answers = self._answers[request.action.name]
            return answers.pop(0) if len(answers) > 1 else answers[0]

        return Connection(answer)


def result(name: str, service_type: str = WANIP, **results: str) -> bytes:
    body = encode_result(Action(service_type, name, {}), results)
    return b"HTTP/1.1 200 OK\r\nCONTENT-LENGTH: %d\r\n\r\n%b" % (len(body), body)


def refusal(code: int) -> bytes:
    body = encode_fault(code)
    return b"HTTP/1.1 500 Internal Server Error\r\nCONTENT-LENGTH: %d\r\n\r\n%b" % (len(body), body)


NOT_ALLOWED = b"HTTP/1.1 405 Method Not Allowed\r\nCONTENT-LENGTH: 0\r\n\r\n"
NOTHING_THERE = refusal(714)
THERE = result(
    "GetSpecificPortMappingEntry",
    NewInternalPort="8080",
    NewInternalClient=str(HOST),
    NewEnabled="1",
    NewPortMappingDescription=WEB.description,
    NewLeaseDuration="3600",
)
ADDRESS = result("GetExternalIPAddress", NewExternalIPAddress="203.0.113.7")


def backend(service_type: str = WANIP) -> UpnpBackend:
    client = IgdClient(Service(service_type, "http://192.168.1.1:5000/igd/ctl/IPConn"), http.Route(ROUTER, HOST))
    memory = Memory()
    grants = MappingGrants(
        PortMappings(client, HOST, ROUTER),
        memory,
        ("server", "model"),
        permanent=True,
        state_lost=lambda: None,
        left_ports=lambda _: frozenset(),
    )
    return UpnpBackend(GATEWAY, grants, memory)


def pinholes() -> PinholeGrants:
    client = IgdClient(Service(FIREWALL, "http://192.168.1.1:5000/ctl/IP6FW"), http.Route(ROUTER, HOST_6))
    return PinholeGrants(Pinholes(client, HOST_6), HOST_6, state_lost=lambda: None)


def a_lease(request: MappingRequest = WEB) -> Lease:
    return Lease(
        request=request,
        gateway=GATEWAY,
        backend="upnp",
        internal=Endpoint(HOST, request.internal_port),
        external=Endpoint(None, request.external_port),
        lifetime=3600,
    )


def assert_is(request: Request, vector: bytes) -> None:
    """The request is that of the vector: start line, each header with its value (others may be added), and body."""
    head, _, body = vector.partition(b"\r\n\r\n")
    start, *lines = head.decode().split("\r\n")
    wanted = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    assert (request.address, request.port) == (ROUTER, 5000)
    assert request.start == start
    assert {name: request.headers.get(name) for name in wanted} == wanted
    assert "transfer-encoding" not in request.headers
    assert request.body == body


# --- The vectors


@pytest.mark.conforms("UP-50", "UP-51", "UP-52", "UP-54", "UP-85", "UP-100", "UP-103", "UP-104")
@pytest.mark.conforms("Q-38", "Q-39", "Q-40", "Q-42", "Q-52", "Q-65")
async def test_a_mapping_is_asked_for_as_in_the_vector(monkeypatch: pytest.MonkeyPatch) -> None:
    """TV-22: from the request of the user to the last byte, and the answer back."""
    network = Network(
        monkeypatch,
        GetSpecificPortMappingEntry=[NOTHING_THERE, THERE],
        AddPortMapping=[tv.TV22_RESP],
        GetExternalIPAddress=[ADDRESS],
    )
    lease = await backend().map(WEB)
    assert_is(network.of("AddPortMapping"), tv.TV22_REQ)
    assert network.of("AddPortMapping").spelt["SOAPAction"] == f'"{WANIP}#AddPortMapping"'
    assert (lease.external, lease.lifetime) == (Endpoint(IPv4Address("203.0.113.7"), 40000), 3600)


@pytest.mark.conforms("UP-63", "UP-104")
async def test_every_request_comes_from_the_address_that_is_mapped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gateways compare it with the InternalClient."""
    network = Network(
        monkeypatch,
        GetSpecificPortMappingEntry=[NOTHING_THERE, THERE],
        AddPortMapping=[tv.TV22_RESP],
        GetExternalIPAddress=[ADDRESS],
    )
    await backend().map(WEB)
    assert {one.source for one in network.requests} == {HOST}
    assert network.of("AddPortMapping").action.arguments["NewInternalClient"] == str(HOST)


@pytest.mark.conforms("UP-53", "UP-85", "Q-39", "Q-42")
async def test_after_405_a_mapping_is_asked_for_as_in_the_vector_of_m_post(monkeypatch: pytest.MonkeyPatch) -> None:
    """TV-22, both forms."""
    network = Network(
        monkeypatch,
        GetSpecificPortMappingEntry=[refusal(401)],
        AddPortMapping=[NOT_ALLOWED, tv.TV22_RESP],
        GetGenericPortMappingEntry=[refusal(401)],
        GetListOfPortMappings=[refusal(401)],
        GetExternalIPAddress=[ADDRESS],
    )
    await backend().map(WEB)
    post, mpost = [one for one in network.requests if one.action.name == "AddPortMapping"]
    assert_is(post, tv.TV22_REQ)
    assert_is(mpost, tv.TV22_MPOST)
    assert "soapaction" not in mpost.headers
    assert network.requests[-1].start.startswith("M-POST ")


@pytest.mark.conforms("UP-121", "UP-122", "UP-123", "UP-131", "Q-68", "Q-72d")
async def test_a_pinhole_is_asked_for_as_in_the_vector(monkeypatch: pytest.MonkeyPatch) -> None:
    """TV-25: anybody from any port, and from the address that it is for."""
    status = result("GetFirewallStatus", FIREWALL, FirewallEnabled="1", InboundPinholeAllowed="1")
    network = Network(
        monkeypatch, GetFirewallStatus=[status], AddPinhole=[result("AddPinhole", FIREWALL, UniqueID="5")]
    )
    granted = await pinholes().map(VPN)
    assert_is(network.of("AddPinhole"), tv.TV25_ADDPINHOLE)
    assert {one.source for one in network.requests} == {HOST_6}
    assert (granted.external, granted.lifetime, granted.token) == (Endpoint(HOST_6, 51820), 3600, b"\0\5")


# --- The arguments of the others, in their order


def arguments(request: Request) -> list[tuple[str, str]]:
    return list(request.action.arguments.items())


KEY = [("NewRemoteHost", ""), ("NewExternalPort", "40000"), ("NewProtocol", "TCP")]


@pytest.mark.conforms("UP-52", "UP-87", "UP-89", "UP-100", "UP-103")
async def test_a_look_and_a_delete_name_the_mapping_by_three_values(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Network(
        monkeypatch,
        GetSpecificPortMappingEntry=[THERE],
        DeletePortMapping=[result("DeletePortMapping")],
    )
    await backend().unmap(a_lease())
    assert network.names() == ["GetSpecificPortMappingEntry", "DeletePortMapping"]
    assert [arguments(one) for one in network.requests] == [KEY, KEY]


@pytest.mark.conforms("UP-103", "Q-64")
async def test_udp_is_written_in_upper_case(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Network(
        monkeypatch,
        GetSpecificPortMappingEntry=[NOTHING_THERE, THERE],
        AddPortMapping=[tv.TV22_RESP],
        GetExternalIPAddress=[ADDRESS],
    )
    await backend().map(replace(WEB, protocol=Protocol.UDP))
    named = [
        one.action.arguments["NewProtocol"] for one in network.requests if one.action.name != "GetExternalIPAddress"
    ]
    assert named == ["UDP", "UDP", "UDP"]


@pytest.mark.conforms("UP-86", "UP-52", "UP-98")
async def test_the_device_is_asked_to_choose_with_the_same_eight_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    """At another port than the one that is taken; what it reserved is the mapping."""
    network = Network(
        monkeypatch,
        GetSpecificPortMappingEntry=[NOTHING_THERE, THERE],
        AddPortMapping=[refusal(718)],
        AddAnyPortMapping=[tv.TV23_ADDANY_RESP],
        GetExternalIPAddress=[ADDRESS],
    )
    lease = await backend().map(WEB)
    taken, chosen = arguments(network.of("AddPortMapping")), arguments(network.of("AddAnyPortMapping"))
    assert [name for name, _ in chosen] == [name for name, _ in taken]
    assert [name for one, (name, _) in zip(taken, chosen, strict=True) if one not in chosen] == ["NewExternalPort"]
    assert dict(chosen)["NewExternalPort"] not in {"0", "40000"}
    assert lease.external.port == 40123


@pytest.mark.conforms("UP-100")
async def test_one_remote_host_is_named_and_nothing_stands_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """The list shows that nobody else is let in."""
    listed = ListedMapping(
        remote_host="198.51.100.7",
        external_port=40000,
        protocol=Protocol.TCP,
        internal_port=8080,
        internal_client=str(HOST),
        enabled=True,
        description=WEB.description,
        lifetime=3600,
    )
    network = Network(
        monkeypatch,
        GetSpecificPortMappingEntry=[NOTHING_THERE, THERE],
        AddPortMapping=[tv.TV22_RESP],
        GetListOfPortMappings=[
            result("GetListOfPortMappings", NewPortListing=encode_listing([listed])),
            refusal(730),
        ],
        GetExternalIPAddress=[ADDRESS],
    )
    await backend().map(replace(WEB, remote=(RemoteFilter(IPv4Network("198.51.100.7/32")),)))
    assert network.of("AddPortMapping").action.arguments["NewRemoteHost"] == "198.51.100.7"
    assert "DeletePortMapping" not in network.names()


@pytest.mark.conforms("UP-40", "UP-115")
@pytest.mark.parametrize("service_type", [f"{KIND}WANPPPConnection:1", f"{KIND}WANIPConnection:3"])
async def test_a_service_is_asked_under_the_name_that_the_device_gave_it(
    service_type: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = Network(monkeypatch, GetExternalIPAddress=[ADDRESS])
    assert await backend(service_type).external_address() == IPv4Address("203.0.113.7")
    [request] = network.requests
    assert request.headers["soapaction"] == f'"{service_type}#GetExternalIPAddress"'
    assert request.action == Action(service_type, "GetExternalIPAddress", {})


@pytest.mark.conforms("UP-91", "Q-69")
async def test_a_list_is_asked_for_from_port_1_on_by_protocol(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Network(monkeypatch, GetListOfPortMappings=[refusal(730)])
    assert await backend().list_mappings() == ()
    asked = [arguments(one) for one in network.requests]
    rest = [("NewManage", "1"), ("NewNumberOfPorts", "0")]
    assert asked == [
        [("NewStartPort", "1"), ("NewEndPort", "65535"), ("NewProtocol", protocol), *rest]
        for protocol in ("TCP", "UDP")
    ]


@pytest.mark.conforms("UP-62")
async def test_no_variable_is_queried(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Network(monkeypatch, GetExternalIPAddress=[ADDRESS])
    await backend().external_address()
    assert "QueryStateVariable" not in network.names()
    assert b"control-1-0" not in network.requests[0].body


@pytest.mark.conforms("UP-125", "UP-126", "UP-127")
async def test_a_pinhole_is_named_by_its_id(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Network(
        monkeypatch,
        UpdatePinhole=[result("UpdatePinhole", FIREWALL)],
        GetPinholePackets=[result("GetPinholePackets", FIREWALL, PinholePackets="7")],
        DeletePinhole=[result("DeletePinhole", FIREWALL)],
    )
    client = IgdClient(Service(FIREWALL, "http://192.168.1.1:5000/ctl/IP6FW"), http.Route(ROUTER, HOST_6))
    holes = Pinholes(client, HOST_6)
    await holes.update(5, VPN)
    assert await holes.packets(5) == 7
    await holes.delete(5)
    assert [arguments(one) for one in network.requests] == [
        [("UniqueID", "5"), ("NewLeaseTime", "3600")],
        [("UniqueID", "5")],
        [("UniqueID", "5")],
    ]
