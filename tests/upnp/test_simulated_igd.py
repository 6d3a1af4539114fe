"""What each switch of the simulated UPnP device does, seen from outside by a client of these tests alone."""

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import anyio
import pytest

from portmapper.model import IPAddress, Protocol
from portmapper.testing import IgdSwitches, SimulatedGateway, WanConnection
from portmapper.upnp import soap, ssdp

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("virtual_time")]

DEVICE, SERVICE = "urn:schemas-upnp-org:device", "urn:schemas-upnp-org:service"
IGD = f"{DEVICE}:InternetGatewayDevice:1"
WANIP = f"{SERVICE}:WANIPConnection:2"
FIREWALL = f"{SERVICE}:WANIPv6FirewallControl:1"
HERE, ELSEWHERE = IPv4Address("127.0.0.1"), IPv4Address("127.0.0.77")
PORT = 21977


def simulated(**switches: Any) -> SimulatedGateway:
    return SimulatedGateway(pcp=False, natpmp=False, igd=IgdSwitches(**switches))


# --- A small client ---------------------------------------------------------------------------------------------------


async def talk(gateway: SimulatedGateway, request: bytes) -> bytes:
    """Return all that comes before the connection ends."""
    host, port = gateway._igd.site.address, gateway._igd.site.port
    async with await anyio.connect_tcp(str(host), port) as stream:
        await stream.send(request)
        chunks: list[bytes] = [chunk async for chunk in stream]
    return b"".join(chunks)


async def get(gateway: SimulatedGateway, path: str = "/rootDesc.xml", version: str = "1.1") -> bytes:
    return await talk(gateway, f"GET {path} HTTP/{version}\r\nHost: x\r\n\r\n".encode())


async def describe(gateway: SimulatedGateway) -> bytes:
    """Return the description."""
    return (await get(gateway)).partition(b"\r\n\r\n")[2]


def post(name: str, service: str = WANIP, path: str = "/ctl/IPConn", **options: Any) -> bytes:
    """Return a request; `options` are the arguments, and in lower case `method`, `header`, `more` and `body`."""
    arguments = {key: str(value) for key, value in options.items() if key[0].isupper()}
    body: bytes = options.get("body", soap.encode_action(soap.Action(service, name, arguments))[1])
    lines = [
        f"{options.get('method', 'POST')} {path} HTTP/1.1",
        "Host: x",
        f'{options.get("header", "SOAPAction")}: "{service}#{name}"',
        *options.get("more", [f"Content-Length: {len(body)}"]),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def call(gateway: SimulatedGateway, name: str, service: str = WANIP, **arguments: Any) -> dict[str, str]:
    """Return the OUT arguments, or {"errorCode": ...}, or without SOAP {"status": ...}, empty without an answer."""
    answer = (await talk(gateway, post(name, service, **arguments))).decode("latin-1")
    if "<s:Body>" not in answer:
        return {"status": answer[9:12]}
    found = dict(re.findall(r"<(New\w+|errorCode|[A-Z]\w+)>([^<]*)</\1>", answer))
    return {key: unescape(value) for key, value in found.items()}


def code(number: int) -> dict[str, str]:
    return {"errorCode": str(number)}


def wish(**changes: Any) -> dict[str, Any]:
    """Return the arguments of an AddPortMapping."""
    return {
        "NewRemoteHost": "",
        "NewExternalPort": PORT,
        "NewProtocol": "TCP",
        "NewInternalPort": 4001,
        "NewInternalClient": "127.0.0.1",
        "NewEnabled": 1,
        "NewPortMappingDescription": "test",
        "NewLeaseDuration": 3600,
    } | changes


def key(**changes: Any) -> dict[str, Any]:
    return {"NewRemoteHost": "", "NewExternalPort": PORT, "NewProtocol": "TCP"} | changes


async def add(gateway: SimulatedGateway, **changes: Any) -> str:
    """Return the error code, or "ok"."""
    answer = await call(gateway, "AddPortMapping", **wish(**changes))
    return answer.get("errorCode", "") if answer else "ok"


async def shown(gateway: SimulatedGateway) -> dict[str, str]:
    answer = await call(gateway, "GetSpecificPortMappingEntry", **key())
    return {name.removeprefix("New"): value for name, value in answer.items()}


@contextmanager
def asker(like: IPAddress = HERE) -> Iterator[socket.socket]:
    family = socket.AF_INET if isinstance(like, IPv4Address) else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.bind((str(like), 0))
        yield sock


async def hear(sock: socket.socket, seconds: float = 1) -> list[tuple[bytes, str, int]]:
    """Return the datagrams that come within `seconds`, with address and port."""
    heard: list[tuple[bytes, str, int]] = []
    with anyio.move_on_after(seconds):
        while True:
            await anyio.wait_readable(sock)
            data, peer = sock.recvfrom(4096)
            heard.append((data, peer[0], peer[1]))
    return heard


async def search(gateway: SimulatedGateway, target: str = IGD, *, mx: int | None = None, times: int = 1) -> list[bytes]:
    """Return the answers to a search."""
    with asker(gateway.gateway.source) as sock:
        for _ in range(times):
            data = ssdp.encode_search(target, host="x", max_wait=mx)
            sock.sendto(data, (str(gateway.gateway.address), gateway.gateway.ssdp_port))
        return [data for data, _, _ in await hear(sock)]


def header(answer: bytes, name: str) -> str | None:
    found = re.search(rb"^%b: ?(.*?)\r$" % name.encode(), answer, re.MULTILINE)
    return found[1].decode() if found else None


# --- SSDP -------------------------------------------------------------------------------------------------------------


async def test_a_device_answers_for_what_it_is() -> None:
    async with simulated() as gateway:
        own = [IGD, IGD[:-1] + "2", WANIP, WANIP[:-1] + "1", f"{DEVICE}:WANDevice:1", "upnp:rootdevice"]
        for target in own:
            (answer,) = await search(gateway, target)
            assert (header(answer, "ST"), header(answer, "BOOTID.UPNP.ORG")) == (target, None)
        for target in [IGD[:-1] + "3", f"{SERVICE}:WANPPPConnection:1", FIREWALL, "x"]:
            assert not await search(gateway, target)
        assert len(await search(gateway, "ssdp:all")) == 6
        assert len(gateway.searches) == 11


async def test_location_is_where_the_description_is() -> None:
    async with simulated() as gateway:
        (answer,) = await search(gateway)
        assert header(answer, "LOCATION") == gateway._igd.location
        assert WANIP.encode() in await describe(gateway)


@pytest.mark.parametrize(("switches", "multicast", "unicast"), [("multicast", 0, 1), ("unicast", 1, 0)])
async def test_searches_with_or_without_mx_alone(switches: str, multicast: int, unicast: int) -> None:
    async with simulated(**{f"answers_{switches}": False}) as gateway:
        assert len(await search(gateway, mx=1)) == multicast
        assert len(await search(gateway)) == unicast


SPOILED: dict[str, tuple[dict[str, Any], bytes]] = {
    "server": ({"server": ""}, b"\r\nSERVER:\r\n"),
    "boot id": ({"boot_id": 7}, b"\r\nBOOTID.UPNP.ORG: 7\r\n"),
    "config id": ({"config_id": 1}, b"\r\nCONFIGID.UPNP.ORG: 1\r\n"),
    "udn": ({"udn": "uuid:upnp-IGD"}, f"\r\nUSN: uuid:upnp-IGD::{IGD}\r\n".encode()),
    "location": ({"location": "http://10.0.0.1{path}"}, b"\r\nLOCATION: http://10.0.0.1/rootDesc.xml\r\n"),
    "no location": ({"location": ""}, b"\r\nLOCATION:\r\n"),
    "lower case": ({"lower_case_headers": True}, b"\r\nlocation: http://"),
    "twice": ({"cache_control_twice": True}, b"OK\r\nCACHE-CONTROL: max-age=120\r\nCACHE-CONTROL: max-age=1800"),
}


@pytest.mark.parametrize("name", SPOILED)
async def test_spoiled_answers_to_a_search(name: str) -> None:
    switches, part = SPOILED[name]
    async with simulated(**switches) as gateway:
        (answer,) = await search(gateway)
        assert part in answer


async def test_an_answer_without_its_last_line() -> None:
    async with simulated(no_final_crlf=True) as gateway:
        (answer,) = await search(gateway)
        assert answer.endswith(f"{IGD}\r\n".encode())


async def test_only_some_searches_are_answered() -> None:
    async with simulated(search_targets=frozenset({IGD}), all_targets=("urn:a:device:b:1",)) as gateway:
        assert await search(gateway)
        assert not await search(gateway, "upnp:rootdevice")
        assert not await search(gateway, "ssdp:all")
    async with simulated(all_targets=("urn:a:device:b:1",)) as gateway:
        (answer,) = await search(gateway, "ssdp:all")
        assert header(answer, "ST") == "urn:a:device:b:1"
    async with simulated(search_headers=("HOST", "MAN", "MX", "ST")) as gateway:
        assert await search(gateway, mx=1)
        assert not await search(gateway)
    async with simulated(asker_port=1) as gateway:
        assert not await search(gateway)
    async with simulated(search_gap=0.5) as gateway:
        assert len(await search(gateway, times=3)) == 1
        assert len(await search(gateway)) == 1


async def test_answers_from_another_port_after_rubbish_and_late() -> None:
    async with simulated(other_source_port=True, rubbish_first=b"?", search_delay=3) as gateway:
        with asker() as sock:
            sock.sendto(ssdp.encode_search(IGD, host="x", max_wait=1), ("127.0.0.1", gateway.gateway.ssdp_port))
            assert not await hear(sock, 2.5)
            rubbish, answer = await hear(sock)
        assert rubbish[0] == b"?"
        assert header(answer[0], "ST") == IGD
        assert answer[2] != gateway.gateway.ssdp_port


async def test_what_goes_to_and_comes_from_the_group() -> None:
    only: dict[str, Any] = {"pcp": False, "natpmp": False, "igd": IgdSwitches(boot_id=1)}
    async with SimulatedGateway(**only, address=ELSEWHERE, hears_group=True) as gateway:
        with asker() as sock:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, HERE.packed)
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 0)
            sock.sendto(ssdp.encode_search(IGD, host="x", max_wait=1), ("239.255.255.250", 1900))
            # Another run of the tests on this machine may ask and answer here too.
            assert (str(ELSEWHERE), gateway.gateway.ssdp_port) in [one[1:] for one in await hear(sock)]
        gateway.reboot()
        gateway.notify(ssdp.Kind.ALIVE)
        gateway.notify(ssdp.Kind.BYEBYE, nt="upnp:rootdevice")
        gateway.notify(ssdp.Kind.UPDATE, boot_id=5, next_boot_id=6, address=HERE)
        await anyio.sleep(1)
        own = [ssdp.decode_notification(one) for one in gateway.searches if one.startswith(b"NOTIFY")][-3:]
        assert [one.kind for one in own] == ["ssdp:alive", "ssdp:byebye", "ssdp:update"]
        assert [one.boot_id for one in own] == [2, 2, 5]
        assert (own[0].location, own[1].nt, own[2].next_boot_id) == (gateway._igd.location, "upnp:rootdevice", 6)


# --- Description ------------------------------------------------------------------------------------------------------

DESCRIBED: dict[str, tuple[dict[str, Any], bytes]] = {
    "url base": ({"url_base": "http://{host}:{port}/a/"}, b"<URLBase>http://127.0.0.1:"),
    "absolute": ({"control_url": "http://10.0.0.1/ctl"}, b"<controlURL>http://10.0.0.1/ctl</controlURL>"),
    "no namespace": ({"namespace": ""}, b"\n<root><specVersion>"),
    "prefix": ({"description_prefix": "d"}, b'\n<d:root xmlns:d="urn:schemas-upnp-org:device-1-0"><d:specVersion>'),
    "bom": ({"before_xml": b"\xef\xbb\xbf\r\n"}, b"\xef\xbb\xbf\r\n<?xml"),
    "nul": ({"after_xml": b"\0\0"}, b"</root>\0\0"),
    "charset": ({"declared_charset": "utf-7"}, b'<?xml version="1.0" encoding="utf-7"?>'),
    "chinese": ({"charset": "gb2312", "friendly_name": "\u8def\u7531\u5668"}, b">\xc2\xb7\xd3\xc9\xc6\xf7<"),
    "extra": ({"extra_elements": True}, b"<X_Vendor"),
    "model": ({"model_name": "a<b"}, b"<modelName>a&lt;b</modelName>"),
    "tr-064": ({"device_domain": "dslforum-org"}, b"<deviceType>urn:dslforum-org:device:InternetGatewayDevice:2<"),
    "firewall": ({"firewall": True}, f"<serviceType>{FIREWALL}</serviceType>".encode()),
    "version 1": ({"version": 1}, b"WANIPConnection:1<"),
}


@pytest.mark.parametrize("name", DESCRIBED)
async def test_odd_descriptions(name: str) -> None:
    switches, part = DESCRIBED[name]
    async with simulated(**switches) as gateway:
        assert part in await describe(gateway)


@pytest.mark.parametrize(
    ("control_url", "url_base", "path"),
    [
        ("?control=x", None, "/rootDesc.xml?control=x"),
        ("http://{host}:{port}/abs", None, "/abs"),
        ("http://10.0.0.1:1/ctl", None, "/ctl"),
        ("ctl", "http://{host}:{port}/sub/", "/sub/ctl"),
    ],
)
async def test_requests_are_served_where_the_control_url_points_to(
    control_url: str, url_base: str | None, path: str
) -> None:
    async with simulated(control_url=control_url, url_base=url_base) as gateway:
        assert await call(gateway, "GetExternalIPAddress", path=path) == {"NewExternalIPAddress": "127.0.0.1"}
        assert await call(gateway, "GetExternalIPAddress") == {"status": "404"}


async def test_several_connections_in_the_order_given() -> None:
    ppp, legacy = f"{SERVICE}:WANPPPConnection:1", "urn:dslforum-org:service:WANPPPConnection:1"
    connections = (
        WanConnection(status="Disconnected", external_address="", nat_enabled=False, uptime="-1"),
        WanConnection(service_type=ppp, connection_type="IP_Bridged", beside=True),
        WanConnection(service_type=legacy, control_url="/tr064"),
    )
    async with simulated(connections=connections) as gateway:
        text = await describe(gateway)
        assert text.count(b"device:WANDevice:2") == text.count(b"device:WANConnectionDevice:2") == 2
        urls = [b"/ctl/IPConn", b"/ctl/IPConn2", b"/tr064"]
        assert re.findall(b"<controlURL>(.*?)</controlURL>", text) == urls
        status = await call(gateway, "GetStatusInfo")
        assert (status["NewConnectionStatus"], status["NewUptime"]) == ("Disconnected", "-1")
        assert (await call(gateway, "GetNATRSIPStatus"))["NewNATEnabled"] == "0"
        assert (await call(gateway, "GetExternalIPAddress")) == {"NewExternalIPAddress": ""}
        kind = await call(gateway, "GetConnectionTypeInfo", ppp, path="/ctl/IPConn2")
        assert kind["NewConnectionType"] == "IP_Bridged"
        await anyio.sleep(5)
        status = await call(gateway, "GetStatusInfo", legacy, path="/tr064")
        assert (status["NewConnectionStatus"], status["NewUptime"]) == ("Connected", "5")
        assert await call(gateway, "GetStatusInfo", WANIP, path="/tr064") == code(401)


async def test_a_device_without_a_wan_service() -> None:
    async with simulated(connections=()) as gateway:
        assert b"<service>" not in await describe(gateway)
        assert await search(gateway)
        assert not await search(gateway, WANIP)


# --- HTTP -------------------------------------------------------------------------------------------------------------

ADDRESS = b"<NewExternalIPAddress>127.0.0.1</NewExternalIPAddress>"
HEADS: dict[str, tuple[dict[str, Any], bytes]] = {
    "1.0": ({"http_version": "HTTP/1.0"}, b"HTTP/1.0 200 OK\r\n"),
    "odd version": ({"http_version": "HTTP1.1"}, b"HTTP1.1 200 OK\r\n"),
    "line end": ({"line_end": "\n"}, b"HTTP/1.1 200 OK\nContent-Type"),
    "type": ({"content_type": "application/octet-stream"}, b"\r\nContent-Type: application/octet-stream\r\n"),
    "more": ({"extra_headers": ("X: 1", "X: 2")}, b"\r\nX: 1\r\nX: 2\r\n"),
    "twice": ({"headers_twice": True}, b"\r\nConnection: close\r\nConnection: close\r\n"),
    "interim": ({"interim": True}, b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"),
    "after": ({"after_body": b"more"}, b"</s:Envelope>more"),
    "chunked": ({"framing": "chunked", "chunk_extension": ";a=b"}, b"\r\n\r\n64;a=b\r\n<?xml"),
    "server": ({"server": ""}, b'charset="utf-8"\r\nContent-Length'),
}


@pytest.mark.parametrize("name", HEADS)
async def test_odd_http_answers(name: str) -> None:
    switches, part = HEADS[name]
    async with simulated(**switches) as gateway:
        assert part in await talk(gateway, post("GetExternalIPAddress"))


async def test_a_body_that_ends_with_the_connection() -> None:
    async with simulated(framing="close") as gateway:
        assert b"Content-Length" not in await get(gateway)


async def test_what_comes_is_noted_as_it_was() -> None:
    async with simulated() as gateway:
        await get(gateway)
        await call(gateway, "GetStatusInfo", header="SoApAcTiOn")
        assert [(one.method, one.path) for one in gateway.requests] == [
            ("GET", "/rootDesc.xml"),
            ("POST", "/ctl/IPConn"),
        ]
        assert ("SoApAcTiOn", f'"{WANIP}#GetStatusInfo"') in gateway.requests[1].headers
        assert [(one.service_type, one.name) for one in gateway.calls] == [(WANIP, "GetStatusInfo")]
        assert gateway.most_at_once == 1
        assert (await get(gateway, "/other")).startswith(b"HTTP/1.1 404 ")


CHUNKED = {"more": ["Transfer-Encoding: chunked"], "body": b"3\r\n<a>\r\n0\r\n\r\n"}
MPOST = {"method": "M-POST", "header": "01-SOAPACTION"}
MAN = 'MAN: "http://schemas.xmlsoap.org/soap/envelope/"; ns=01'
DEFAULTED = b'<Envelope xmlns="x"><Body><a/></Body></Envelope>'
PICKY: dict[str, tuple[dict[str, Any], dict[str, Any], bytes]] = {
    "spelling": ({"action_header": "SOAPAction"}, {"header": "SOAPACTION"}, b"500"),
    "spelled": ({"action_header": "SOAPAction"}, {}, b"200"),
    "no header": ({}, {"header": "X"}, b"500"),
    "chunked": ({"refuses_chunked": True}, CHUNKED, b"411"),
    "default": ({"refuses_default_namespace": True}, {"body": DEFAULTED}, b"500"),
    "post": ({"wants_mpost": True}, {}, b"405"),
    "mpost without man": ({"wants_mpost": True}, MPOST, b"500"),
}


@pytest.mark.parametrize("name", PICKY)
async def test_picky_http_servers(name: str) -> None:
    switches, options, status = PICKY[name]
    async with simulated(**switches) as gateway:
        answer = await talk(gateway, post("GetStatusInfo", **options))
        assert answer.split()[1] == status


async def test_an_mpost_is_carried_out() -> None:
    async with simulated(wants_mpost=True) as gateway:
        request = post("GetExternalIPAddress", **MPOST)
        request = request.replace(b"Host: x", f"Host: x\r\n{MAN}".encode())
        assert ADDRESS in await talk(gateway, request)


async def test_http_1_1_is_demanded() -> None:
    async with simulated(wants_http_1_1=True) as gateway:
        assert (await get(gateway, version="1.0")).split()[1] == b"505"
        assert (await get(gateway)).split()[1] == b"200"


async def test_slow_answers_and_requests_at_once() -> None:
    async with simulated(http_delay=1, soap_delay=2) as gateway:
        begin = anyio.current_time()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(get, gateway)
            tasks.start_soon(call, gateway, "GetStatusInfo")
            await anyio.sleep(1.5)
            assert (gateway._front.in_progress, gateway.most_at_once) == (1, 2)
        assert round(anyio.current_time() - begin) == 3


async def test_requests_that_are_dropped() -> None:
    async with simulated(soap_gap=0.2) as gateway:
        await get(gateway)
        assert "status" not in await call(gateway, "GetStatusInfo")
        assert await call(gateway, "GetStatusInfo") == {"status": ""}
        await anyio.sleep(0.2)
        assert "status" not in await call(gateway, "GetStatusInfo")
        assert len(gateway.calls) == 3
    async with simulated(one_at_a_time=True, http_delay=1) as gateway:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(get, gateway)
            await anyio.sleep(0.5)
            assert not await get(gateway)


async def test_an_answer_that_is_lost() -> None:
    async with simulated(loses_answers_to=frozenset({"AddPortMapping"})) as gateway:
        assert not await talk(gateway, post("AddPortMapping", **wish()))
        assert len(list(gateway.table)) == 1


async def test_the_http_port_moves() -> None:
    async with simulated() as gateway:
        old = gateway._igd.site.port
        await gateway.move_http()
        assert gateway._igd.site.port != old
        with pytest.raises(OSError, match=r"refused|All connection attempts failed"):
            await anyio.connect_tcp("127.0.0.1", old)
        (answer,) = await search(gateway)
        assert header(answer, "LOCATION") == gateway._igd.location
        assert await describe(gateway)


# --- SOAP -------------------------------------------------------------------------------------------------------------

RESPONSE = "GetExternalIPAddressResponse"
ANSWERS: dict[str, tuple[dict[str, Any], bytes]] = {
    "prefix": ({"soap_prefix": "SOAP-ENV"}, b'<SOAP-ENV:Envelope xmlns:SOAP-ENV="http://schemas.xmlsoap.org/'),
    "default": ({"response_namespace": "default"}, f'<{RESPONSE} xmlns="{WANIP}"><New'.encode()),
    "none": ({"response_namespace": "none"}, f"<{RESPONSE}><New".encode()),
    "type": ({"response_type": "urn:x"}, f'<u:{RESPONSE} xmlns:u="urn:x">'.encode()),
    "lower": ({"lower_case_tags": True}, b"<newexternalipaddress>127.0.0.1</newexternalipaddress>"),
    "bare": ({"bare_value": True}, f'xmlns:u="{WANIP}">127.0.0.1</u:{RESPONSE}>'.encode()),
    "before": ({"before_xml": b"\r\n"}, b"\r\n\r\n\r\n<?xml"),
    "after": ({"after_xml": b"\0"}, b"</s:Envelope>\0"),
    "fault": ({"refuses": {"GetExternalIPAddress": 401}}, b"<faultcode>s:Client</faultcode>"),
    "capital": ({"refuses": {"GetExternalIPAddress": 401}, "capital_faults": True}, b"<faultCode>s:Client</faultCode>"),
    "lower fault": (
        {"refuses": {"GetExternalIPAddress": -911}, "lower_case_tags": True},
        b"<errorcode>-911</errorcode>",
    ),
    "no text": (
        {"refuses": {"GetExternalIPAddress": 401}, "fault_descriptions": False},
        b"<errorCode>401</errorCode></UPnPError>",
    ),
    "status": ({"refuses": {"GetExternalIPAddress": 401}, "fault_status": 200}, b"HTTP/1.1 200 OK"),
}


@pytest.mark.parametrize("name", ANSWERS)
async def test_odd_soap_answers(name: str) -> None:
    switches, part = ANSWERS[name]
    async with simulated(**switches) as gateway:
        assert part in await talk(gateway, post("GetExternalIPAddress"))


async def test_quotes_are_decoded_or_not() -> None:
    body = soap.encode_action(soap.Action(WANIP, "AddPortMapping", {k: str(v) for k, v in wish().items()}))[1]
    request = post("AddPortMapping", body=body.replace(b">test<", b">a&quot;&apos;&amp;<"))
    for decodes, description in [(True, "a\"'&"), (False, "a&quot;&apos;&")]:
        async with simulated(decodes_quotes=decodes) as gateway:
            await talk(gateway, request)
            assert [one.description for one in gateway.table] == [description]


# --- Mappings ---------------------------------------------------------------------------------------------------------

REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any], int]] = {
    "permanent only": ({"permanent_only": True}, {}, 725),
    "lease": ({"lease_code": -911}, {}, -911),
    "no end": ({"permanent_code": 402}, {"NewLeaseDuration": 0}, 402),
    "low port": ({"low_port_code": 606}, {"NewExternalPort": 80}, 606),
    "same ports": ({"same_ports_only": True}, {}, 724),
    "wildcard": ({}, {"NewExternalPort": 0}, 716),
    "everything": ({"refuses": {"AddPortMapping": 727}}, {}, 727),
    "remote host": ({"remote_host_code": 726}, {"NewRemoteHost": "10.0.0.1"}, 726),
    "description": ({"max_description": 3}, {}, 605),
    "lower case": ({"upper_case_only": True}, {"NewProtocol": "tcp"}, 402),
    "full": ({"max_mappings": 0}, {}, 728),
    "foreign": ({}, {"NewInternalClient": "127.0.0.2"}, 718),
    "foreign 606": ({"foreign_code": 606}, {"NewInternalClient": "127.0.0.2"}, 606),
    "protocol": ({}, {"NewProtocol": "sctp"}, 601),
    "disabled": ({}, {"NewEnabled": 0}, 402),
    "client": ({}, {"NewInternalClient": "::1"}, 402),
    "internal port": ({}, {"NewInternalPort": 0}, 402),
    "number": ({}, {"NewInternalPort": 65536}, 402),
    "truth": ({}, {"NewEnabled": "maybe"}, 402),
}
"""Name to switches, what is asked beside the usual, and the error code."""
TAKEN: dict[str, dict[str, Any]] = {
    "disabled lease": {"permanent_only": True, "NewLeaseDuration": 0},
    "foreign": {"foreign_code": None, "NewInternalClient": "127.0.0.2"},
    "same": {"same_ports_only": True, "NewInternalPort": PORT},
    "truth": {"NewEnabled": "yes"},
    "lower case": {"NewProtocol": "udp"},
}


@pytest.mark.parametrize("name", REFUSED)
async def test_mappings_that_are_refused(name: str) -> None:
    switches, changes, number = REFUSED[name]
    async with simulated(**switches) as gateway:
        assert await add(gateway, **changes) == str(number)
        assert not list(gateway.table)


@pytest.mark.parametrize("name", TAKEN)
async def test_mappings_that_are_not_refused(name: str) -> None:
    changes = {key: value for key, value in TAKEN[name].items() if key[0].isupper()}
    switches = {key: value for key, value in TAKEN[name].items() if key not in changes}
    async with simulated(**switches) as gateway:
        assert await add(gateway, **changes) == "ok"
        assert len(list(gateway.table)) == 1


async def test_a_mapping_is_made_renewed_shown_and_deleted() -> None:
    async with simulated() as gateway:
        assert await add(gateway) == "ok"
        await anyio.sleep(100)
        assert (await shown(gateway))["LeaseDuration"] == "3500"
        assert await add(gateway, NewInternalPort=4002, NewPortMappingDescription="a<b") == "ok"
        assert await shown(gateway) == {
            "InternalPort": "4002",
            "InternalClient": "127.0.0.1",
            "Enabled": "1",
            "PortMappingDescription": "a<b",
            "LeaseDuration": "3600",
        }
        assert await call(gateway, "DeletePortMapping", **key()) == {}
        assert await call(gateway, "DeletePortMapping", **key()) == code(714)
        assert await shown(gateway) == code(714)
        assert not list(gateway.table)


@pytest.mark.parametrize(("number", "overwrites"), [(718, False), (729, False), (501, False), (718, True)])
async def test_another_hosts_port(number: int, overwrites: bool) -> None:
    async with simulated(conflict_code=number, overwrites_others=overwrites, foreign_code=None) as gateway:
        assert await add(gateway, NewInternalClient="127.0.0.2") == "ok"
        assert await add(gateway) == ("ok" if overwrites else str(number))
        answer = await call(gateway, "AddAnyPortMapping", **wish(NewInternalClient="127.0.0.3"))
        assert (int(answer["NewReservedPort"]) == PORT) is overwrites
    async with simulated() as gateway:
        await add(gateway)
        (entry,) = gateway.table
        entry.internal = entry.internal.__class__(IPv4Address("127.0.0.2"), 1)
        assert await call(gateway, "DeletePortMapping", **key()) == code(606)


async def test_a_remote_host_is_a_part_of_the_key_and_a_filter_unless_ignored() -> None:
    async with simulated() as gateway:
        assert await add(gateway, NewRemoteHost="10.0.0.1") == "ok"
        (entry,) = gateway.table
        assert entry.admits(IPv4Address("10.0.0.1"), 5)
        assert not entry.admits(IPv4Address("10.0.0.2"), 5)
        assert await add(gateway) == "718"
        assert await shown(gateway) == code(714)
        assert await add(gateway, NewRemoteHost="host") == "402"
    async with simulated(ignores_remote_host=True) as gateway:
        assert await add(gateway, NewRemoteHost="10.0.0.1") == "ok"
        (entry,) = gateway.table
        assert not entry.filters
        assert "errorCode" not in await shown(gateway)


@pytest.mark.parametrize(
    ("switches", "asked", "left"),
    [
        ({"max_lease": 600}, 3600, "600"),
        ({"max_lease": 600}, 60, "60"),
        ({}, 10**9, "604800"),
        ({}, 0, "604800"),
        ({"version": 1}, 0, "0"),
        ({"permanent_only": True}, 0, "0"),
    ],
)
async def test_leases(switches: dict[str, Any], asked: int, left: str) -> None:
    async with simulated(**switches) as gateway:
        service = f"{SERVICE}:WANIPConnection:1"
        assert await call(gateway, "AddPortMapping", service, **wish(NewLeaseDuration=asked)) == {}
        answer = await call(gateway, "GetSpecificPortMappingEntry", service, **key())
        assert answer["NewLeaseDuration"] == left


async def test_a_lease_that_is_not_lengthened() -> None:
    async with simulated(keeps_first_lease=True) as gateway:
        await add(gateway)
        await anyio.sleep(1000)
        assert await add(gateway) == "ok"
        assert (await shown(gateway))["LeaseDuration"] == "2600"
        await anyio.sleep(2700)
        assert not list(gateway.table)


async def test_entries_that_are_not_what_was_asked_for() -> None:
    async with simulated(adds_nothing=True) as gateway:
        assert await add(gateway) == "ok"
        assert await shown(gateway) == code(714)
    switches = {"shown_client": "127.0.0.9", "shows_external_port": True, "shows_disabled": True}
    async with simulated(**switches) as gateway:
        await add(gateway)
        entry = await shown(gateway)
        assert (entry["InternalClient"], entry["InternalPort"], entry["Enabled"]) == ("127.0.0.9", str(PORT), "0")


async def test_a_mapping_that_stays_and_forwards_nothing() -> None:
    async with simulated() as gateway:
        await add(gateway)
        (entry,) = gateway.table
        gateway.table.mute(entry)
        await anyio.sleep(1)
        assert await add(gateway) == "ok"
        with pytest.raises(OSError, match=r"refused|All connection attempts failed"):
            await anyio.connect_tcp("127.0.0.1", PORT)
        await call(gateway, "DeletePortMapping", **key())
        assert await add(gateway) == "ok"
        async with await anyio.connect_tcp("127.0.0.1", PORT):
            pass


@pytest.mark.parametrize("address", ["", "0.0.0.0", "127.0.0.1", None])
async def test_the_external_address(address: str | None) -> None:
    async with simulated(external_address=address) as gateway:
        answer = await call(gateway, "GetExternalIPAddress")
        assert answer == {"NewExternalIPAddress": "127.0.0.1" if address is None else address}


@pytest.mark.parametrize("name", ["AddAnyPortMapping", "DeletePortMappingRange", "GetListOfPortMappings"])
async def test_what_version_1_does_not_have(name: str) -> None:
    async with simulated(version=1) as gateway:
        assert await call(gateway, name, f"{SERVICE}:WANIPConnection:1") == code(401)
        assert await call(gateway, "GetStatusInfo") == code(401)


# --- Lists ------------------------------------------------------------------------------------------------------------


def span(**changes: Any) -> dict[str, Any]:
    return {"NewStartPort": 1, "NewEndPort": 65535, "NewProtocol": "TCP", "NewManage": 1} | changes


def ports(listing: dict[str, str]) -> list[int]:
    return [int(port) for port in re.findall("<p:NewExternalPort>([0-9]+)<", listing["NewPortListing"])]


async def test_the_list_of_a_range() -> None:
    async with simulated(refuses_start_0=True, foreign_code=None) as gateway:
        for number in range(3):
            await add(gateway, NewExternalPort=PORT + number, NewInternalClient=f"127.0.0.{1 + number}")
        get_list: dict[str, Any] = {"name": "GetListOfPortMappings", "NewNumberOfPorts": 0}
        assert ports(await call(gateway, **get_list, **span())) == [PORT, PORT + 1, PORT + 2]
        assert ports(await call(gateway, **get_list, **span(NewManage=0))) == [PORT]
        assert ports(await call(gateway, **get_list, **span(NewStartPort=PORT + 1))) == [PORT + 1, PORT + 2]
        assert ports(await call(gateway, **get_list | {"NewNumberOfPorts": 1}, **span())) == [PORT]
        assert await call(gateway, **get_list, **span(NewStartPort=0)) == code(402)
        assert await call(gateway, **get_list, **span(NewProtocol="UDP")) == code(730)
        assert await call(gateway, **get_list, **span(NewEndPort=0)) == code(733)
        assert await call(gateway, "DeletePortMappingRange", **span(NewManage=0)) == {}
        assert [one.external_port for one in gateway.table] == [PORT + 1, PORT + 2]
        assert await call(gateway, "DeletePortMappingRange", **span()) == {}
        assert await call(gateway, "DeletePortMappingRange", **span()) == code(730)


@pytest.mark.parametrize(("switches", "end"), [({}, 713), ({"list_end_code": 402}, 402)])
async def test_the_list_by_number_ends(switches: dict[str, Any], end: int) -> None:
    async with simulated(**switches) as gateway:
        await add(gateway)
        first = await call(gateway, "GetGenericPortMappingEntry", NewPortMappingIndex=0)
        assert (first["NewExternalPort"], first["NewProtocol"], first["NewInternalPort"]) == (str(PORT), "TCP", "4001")
        assert await call(gateway, "GetGenericPortMappingEntry", NewPortMappingIndex=1) == code(end)


async def test_the_list_by_number_goes_on_for_ever() -> None:
    async with simulated(endless_list=True) as gateway:
        assert await call(gateway, "GetGenericPortMappingEntry", NewPortMappingIndex=0) == code(713)
        await add(gateway)
        entry = await call(gateway, "GetGenericPortMappingEntry", NewPortMappingIndex=999)
        assert entry["NewExternalPort"] == str(PORT)


async def test_control_characters_go_out_raw() -> None:
    async with simulated() as gateway:
        await add(gateway)
        (entry,) = gateway.table
        entry.description = "\x02x"
        assert b"<NewPortMappingDescription>\x02x<" in await talk(gateway, post("GetSpecificPortMappingEntry", **key()))


# --- Pinholes ---------------------------------------------------------------------------------------------------------


def inside(**switches: Any) -> SimulatedGateway:
    return SimulatedGateway(pcp=False, natpmp=False, ipv6=True, igd=IgdSwitches(**switches))


def hole(**changes: Any) -> dict[str, Any]:
    return {
        "RemoteHost": "",
        "RemotePort": 0,
        "InternalClient": "::1",
        "InternalPort": 4001,
        "Protocol": 6,
        "LeaseTime": 3600,
    } | changes


async def ask(gateway: SimulatedGateway, name: str, **arguments: Any) -> dict[str, str]:
    return await call(gateway, name, FIREWALL, path="/ctl/IP6FW", **arguments)


async def test_a_pinhole_is_made_extended_and_deleted() -> None:
    async with inside() as gateway:
        assert gateway.gateway.address == gateway.gateway.source == IPv6Address("::1")
        (answer,) = await search(gateway, FIREWALL)
        assert header(answer, "LOCATION") == f"http://[::1]:{gateway._igd.site.port}/rootDesc.xml"
        assert await ask(gateway, "GetFirewallStatus") == {"FirewallEnabled": "1", "InboundPinholeAllowed": "1"}
        assert await ask(gateway, "AddPinhole", **hole()) == {"UniqueID": "1"}
        assert await ask(gateway, "AddPinhole", **hole(Protocol=17)) == {"UniqueID": "2"}
        begin = gateway.pinholes[1].ends
        assert await ask(gateway, "AddPinhole", **hole(LeaseTime=7200)) == {"UniqueID": "1"}
        assert gateway.pinholes[1].ends > begin + 3000
        await ask(gateway, "UpdatePinhole", UniqueID=2, NewLeaseTime=60)
        await anyio.sleep(90)
        assert [one.port for one in gateway.pinholes.values()] == [4001]
        assert await ask(gateway, "UpdatePinhole", UniqueID=2, NewLeaseTime=60) == code(704)
        assert await ask(gateway, "GetPinholePackets", UniqueID=1) == {"PinholePackets": "0"}
        assert await ask(gateway, "CheckPinholeWorking", UniqueID=1) == code(709)
        gateway.pinholes[1].packets = 5
        assert await ask(gateway, "CheckPinholeWorking", UniqueID=1) == {"IsWorking": "1"}
        assert await ask(gateway, "GetOutboundPinholeTimeout", **hole()) == {"OutboundPinholeTimeout": "120"}
        assert await ask(gateway, "DeletePinhole", UniqueID=1) == {}
        assert await ask(gateway, "DeletePinhole", UniqueID=1) == code(704)
        await ask(gateway, "AddPinhole", **hole())
        gateway.reboot()
        assert not gateway.pinholes


CLOSED: dict[str, tuple[dict[str, Any], dict[str, Any], int]] = {
    "off": ({"firewall_enabled": False}, {}, 702),
    "not allowed": ({"inbound_allowed": False}, {}, 703),
    "full": ({"max_pinholes": 0}, {}, 701),
    "foreign": ({}, {"InternalClient": "::2"}, 606),
    "protocol": ({}, {"Protocol": 132}, 705),
    "any port": ({}, {"InternalPort": 0}, 706),
    "any protocol": ({}, {"Protocol": 65535}, 707),
    "any client": ({}, {"InternalClient": ""}, 708),
    "ipv4": ({}, {"InternalClient": "127.0.0.1"}, 402),
    "no lease": ({}, {"LeaseTime": 0}, 402),
    "long lease": ({}, {"LeaseTime": 86401}, 402),
}


@pytest.mark.parametrize("name", CLOSED)
async def test_pinholes_that_are_refused(name: str) -> None:
    switches, changes, number = CLOSED[name]
    async with inside(**switches) as gateway:
        assert await ask(gateway, "AddPinhole", **hole(**changes)) == code(number)
        assert not gateway.pinholes


async def test_pinholes_by_ipv4_and_the_mappings_they_swallow() -> None:
    async with simulated(firewall=True) as gateway:
        assert await ask(gateway, "AddPinhole", **hole()) == code(606)
    switches = {"firewall": True, "foreign_pinhole_code": None, "pinhole_swallows": True, "offers_check_pinhole": False}
    async with simulated(**switches) as gateway:
        assert await ask(gateway, "AddPinhole", **hole()) == {"UniqueID": "1"}
        assert await ask(gateway, "CheckPinholeWorking", UniqueID=1) == code(602)
        assert await add(gateway) == "ok"
        assert not list(gateway.table)
        assert await add(gateway, NewInternalPort=4002) == "ok"
        assert [(one.protocol, one.external_port) for one in gateway.table] == [(Protocol.TCP, PORT)]


async def test_no_mapping_is_made_by_ipv6() -> None:
    async with inside() as gateway:
        assert await add(gateway, NewInternalClient="::1") == "402"
    with pytest.raises(ValueError, match="UPnP only"):
        SimulatedGateway(ipv6=True)


async def test_a_gateway_that_cannot_start_leaves_nothing_behind() -> None:
    with pytest.raises(OSError, match="assign"):
        async with SimulatedGateway(address=IPv4Address("192.0.2.1")):
            pass
