"""Hostile UPnP devices on the router's addresses, in the place of miniupnpd; run inside the router's namespace.

Each network has a device of its own, at the router's address there, which answers only the host of that network.
"""

import re
import selectors
import socket
import struct
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

from tests.router.hostile_attacks import Attack, Request, Scene, honest
from tests.router.hostile_modes import GROUP, MODES, Mode, Voice, scene, truthfully

_SERVICE = "urn:schemas-upnp-org:service:WANIPConnection"
_ACTION = re.compile(rb'^(?:01-)?SOAPAction: *"[^"#]*#(\w+)"', re.IGNORECASE | re.MULTILINE)
_ARGUMENT = re.compile(rb"<(New\w+)>([^<]*)</")
_LENGTH = re.compile(rb"^Content-Length: *([0-9]{1,9})\r?$", re.IGNORECASE | re.MULTILINE)
_FACTS = {
    "GetNATRSIPStatus": {"NewRSIPAvailable": "0", "NewNATEnabled": "1"},
    "GetConnectionTypeInfo": {"NewConnectionType": "IP_Routed", "NewPossibleConnectionTypes": "IP_Routed"},
    "GetStatusInfo": {"NewConnectionStatus": "Connected", "NewLastConnectionError": "ERROR_NONE", "NewUptime": "1"},
    "GetExternalIPAddress": {"NewExternalIPAddress": "8.8.4.1"},
}
_SHOWN = ("NewInternalPort", "NewInternalClient", "NewEnabled", "NewPortMappingDescription", "NewLeaseDuration")
_FAULTS = {"GetGenericPortMappingEntry": 713, "GetListOfPortMappings": 730}


@dataclass
class Device:
    """One hostile device, and the mappings that it made."""

    mode: Mode
    scene: Scene
    table: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict[tuple[str, str], dict[str, str]])

    def respond(self, connection: socket.socket) -> None:
        """Answer one request on a connection."""
        connection.settimeout(60)
        with connection, suppress(OSError):
            head, body = _received(connection)
            named = _ACTION.search(head)
            if named is None:
                self._describe(Request(connection, self.scene, 200, b""), head)
                return
            action = named.group(1).decode()
            attack = self._attack(action)
            attack(Request(connection, self.scene, *self._carry_out(action, body)))

    def _describe(self, request: Request, head: bytes) -> None:
        if head.startswith(b"GET /none"):
            honest(Request(request.connection, self.scene, 404, b""))
        else:
            self.mode.get(Request(request.connection, self.scene, 200, self._description()))

    def _attack(self, action: str) -> Attack:
        later = self.mode.posts.get(f"{action} later") if self.table else None
        return later or self.mode.posts.get(action, honest)

    def _description(self) -> bytes:
        base = f"<URLBase>{escape(self.scene.fill(self.mode.url_base))}</URLBase>" if self.mode.url_base else ""
        return (
            f'<?xml version="1.0"?><root xmlns="urn:schemas-upnp-org:device-1-0">{base}<device>'
            "<deviceType>urn:schemas-upnp-org:device:InternetGatewayDevice:1</deviceType>"
            "<modelName>Hostile</modelName><serviceList><service>"
            f"<serviceType>{_SERVICE}:{self.mode.version}</serviceType>"
            f"<controlURL>{escape(self.scene.fill(self.mode.control))}</controlURL>"
            "</service></serviceList></device></root>"
        ).encode()

    def _carry_out(self, action: str, body: bytes) -> tuple[int, bytes]:
        given = {name.decode(): value.decode() for name, value in _ARGUMENT.findall(body)}
        key = (given.get("NewExternalPort", ""), given.get("NewProtocol", ""))
        if action == "AddPortMapping":
            self.table[key] = given
            return self._answer(action, {})
        if action == "DeletePortMapping" and key in self.table:
            del self.table[key]
            return self._answer(action, {})
        if action == "GetSpecificPortMappingEntry" and key in self.table:
            return self._answer(action, {name: self.table[key][name] for name in _SHOWN})
        if action in _FACTS:
            return self._answer(action, _FACTS[action])
        return 500, _fault(_FAULTS.get(action, 714 if "PortMapping" in action else 401))

    def _answer(self, action: str, values: dict[str, str]) -> tuple[int, bytes]:
        content = "".join(f"<{name}>{value}</{name}>" for name, value in values.items())
        kind = f"{_SERVICE}:{self.mode.version}"
        return 200, _envelope(f'<u:{action}Response xmlns:u="{kind}">{content}</u:{action}Response>')


def _fault(code: int) -> bytes:
    detail = f"<UPnPError><errorCode>{code}</errorCode><errorDescription>No</errorDescription></UPnPError>"
    return _envelope(f"<s:Fault><faultcode>s:Client</faultcode><detail>{detail}</detail></s:Fault>")


def _envelope(content: str) -> bytes:
    name = "http://schemas.xmlsoap.org/soap/envelope/"
    return f'<?xml version="1.0"?><s:Envelope xmlns:s="{name}"><s:Body>{content}</s:Body></s:Envelope>'.encode()


def _received(connection: socket.socket) -> tuple[bytes, bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        data += _more(connection)
    head, _, body = data.partition(b"\r\n\r\n")
    length = _LENGTH.search(head)
    while length and len(body) < int(length.group(1)):
        body += _more(connection)
    return head, body


def _more(connection: socket.socket) -> bytes:
    data = connection.recv(65536)
    if not data:
        raise OSError("hung up")
    return data


class Searches:
    """Hears the searches of all networks, by unicast and by multicast; each device answers its host once."""

    def __init__(self, devices: dict[str, Device], interface: str) -> None:
        self._devices = devices
        self._busy: set[tuple[str, int]] = set()
        self._raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        self._own = {lan: _udp(device.scene.host) for lan, device in devices.items()}
        self.sockets = [_udp(GROUP), *self._own.values()]
        member = socket.inet_aton(GROUP) + struct.pack("=II", 0, socket.if_nametoindex(interface))
        self.sockets[0].setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
        self._raw.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, member)

    def hear(self, sock: socket.socket) -> None:
        """Take one datagram."""
        data, peer = sock.recvfrom(2048)
        if not data.startswith(b"M-SEARCH") or peer[0] not in self._devices:
            return
        mode, voice = self._devices[peer[0]].mode, self._voice(peer)
        if mode.truth:  # in the midst of the flood
            threading.Timer(0.6, truthfully, [voice]).start()
        if peer not in self._busy:
            self._busy.add(peer)
            threading.Thread(target=mode.search, args=[voice], daemon=True).start()

    def _voice(self, peer: tuple[str, int]) -> Voice:
        device, sock = self._devices[peer[0]], self._own[peer[0]]

        def say(data: bytes) -> None:
            with suppress(OSError):
                sock.sendto(data, peer)

        def forge(packet: bytes) -> None:
            with suppress(OSError):
                self._raw.sendto(packet, (socket.inet_ntoa(packet[16:20]), 0))

        return Voice(device.scene, peer[1], say, forge)


def _udp(address: str) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((address, 1900))
    return sock


def main() -> None:
    """Serve until killed."""
    selector = selectors.DefaultSelector()
    devices: dict[str, Device] = {}
    for number, mode in enumerate(MODES.values()):
        server = socket.create_server((scene(number).host, 0), backlog=64)
        device = Device(mode, scene(number, server.getsockname()[1]))
        devices[device.scene.lan] = device
        selector.register(server, selectors.EVENT_READ, device)
    searches = Searches(devices, "lan0")
    for sock in searches.sockets:
        selector.register(sock, selectors.EVENT_READ)
    print("ready", flush=True)
    while True:
        for key, _ in selector.select():
            assert isinstance(key.fileobj, socket.socket)
            if key.data is None:
                searches.hear(key.fileobj)
            else:
                connection, _ = key.fileobj.accept()
                threading.Thread(target=key.data.respond, args=[connection], daemon=True).start()


if __name__ == "__main__":
    main()
