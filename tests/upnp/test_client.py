"""Requests to a service, and what is done when the device does not take them."""

import errno
import socket
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address

import anyio
import httpcore
import httpx
import pytest
import respx

from portmapper import limits
from portmapper.errors import GatewayTimeout, GatewayUnreachable, PortMapperError, ProtocolError
from portmapper.net import http
from portmapper.upnp import soap
from portmapper.upnp.client import FindAgain, IgdClient
from portmapper.upnp.description import Service
from portmapper.upnp.faults import Fault
from tests.net.http_server import saying, serving

pytestmark = pytest.mark.anyio

HERE = http.Route(IPv4Address("127.0.0.1"))
KIND = "urn:schemas-upnp-org:service:"
WANIP = f"{KIND}WANIPConnection:1"
CONTROL, ELSEWHERE = "http://127.0.0.1:5000/ctl", "http://127.0.0.1:5001/ctl"
GONE = GatewayUnreachable("nothing listens there", errno=errno.ECONNREFUSED)
BROKEN = httpcore.ReadError("reset")
GET, ADD, ADD_ANY = "GetExternalIPAddress", "AddPortMapping", "AddAnyPortMapping"


def a_client(turn: anyio.CapacityLimiter | None = None, find_again: FindAgain | None = None) -> IgdClient:
    if find_again is None:
        return IgdClient(Service(WANIP, CONTROL), HERE, turn=turn)
    return IgdClient(Service(WANIP, CONTROL), HERE, turn=turn, find_again=find_again)


def a_result(name: str = GET, **values: str) -> httpx.Response:
    return httpx.Response(200, content=soap.encode_result(soap.Action(WANIP, name, {}), values))


def finding(url: str = ELSEWHERE, kind: str = WANIP) -> tuple[FindAgain, list[str]]:
    """Return a search that finds the device at `url`, and where each search went."""
    found: list[str] = []

    async def find_again() -> tuple[Service, http.Route]:
        found.append(url)
        return Service(kind, url), HERE

    return find_again, found


@pytest.fixture
def device() -> Iterator[respx.MockRouter]:
    with respx.mock(assert_all_called=False) as router:
        yield router


# --- The request


@pytest.mark.conforms("UP-50", "UP-51", "UP-54", "Q-42")
async def test_a_call_posts_the_action_and_returns_its_results(device: respx.MockRouter) -> None:
    route = device.post(CONTROL).mock(return_value=a_result(ADD, NewReservedPort=" 7 "))
    results = await a_client().call(ADD, NewExternalPort=80, NewDescription="a<b & c>")
    assert results == {"newreservedport": "7"}
    request = route.calls.last.request
    assert request.headers["content-type"] == 'text/xml; charset="utf-8"'
    assert request.headers["soapaction"] == f'"{WANIP}#AddPortMapping"'
    assert request.headers["connection"] == "close"
    assert request.headers["accept-encoding"] == "identity"
    assert request.headers["content-length"] == str(len(request.content))
    assert "transfer-encoding" not in request.headers
    assert request.content == (
        b'<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" '
        b's:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><s:Body>'
        b'<u:AddPortMapping xmlns:u="' + WANIP.encode() + b'">'
        b"<NewExternalPort>80</NewExternalPort><NewDescription>a&lt;b &amp; c&gt;</NewDescription>"
        b"</u:AddPortMapping></s:Body></s:Envelope>"
    )


@pytest.mark.conforms("UP-56", "UP-57")
@pytest.mark.parametrize("status", [200, 400, 500])
async def test_a_fault_is_a_fault_whatever_its_status(status: int, device: respx.MockRouter) -> None:
    device.post(CONTROL).mock(return_value=httpx.Response(status, content=soap.encode_fault(718)))
    with pytest.raises(Fault, match="718 ConflictInMappingEntry") as caught:
        await a_client().call(ADD)
    assert (caught.value.code, caught.value.name) == (718, "ConflictInMappingEntry")


@pytest.mark.conforms("UP-130")
async def test_a_fault_has_the_words_of_the_service_that_was_asked(device: respx.MockRouter) -> None:
    device.post(CONTROL).mock(return_value=httpx.Response(500, content=soap.encode_fault(704)))
    client = IgdClient(Service(f"{KIND}WANIPv6FirewallControl:1", CONTROL), HERE)
    with pytest.raises(Fault, match="704 NoSuchEntry"):
        await client.call("UpdatePinhole", UniqueID=1)


async def test_a_soap_body_is_limited_s7(monkeypatch: pytest.MonkeyPatch, device: respx.MockRouter) -> None:
    monkeypatch.setattr(limits, "SOAP_BODY", 100)
    device.post(CONTROL).mock(return_value=httpx.Response(200, content=b"x" * 101))
    with pytest.raises(ProtocolError, match="sent more than 100 bytes"):
        await a_client().call(GET)


@pytest.mark.usefixtures("virtual_time")
@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (httpcore.ConnectError("refused"), GatewayUnreachable),
        (httpcore.ReadError("reset"), GatewayUnreachable),
        (httpcore.WriteError("reset"), GatewayUnreachable),
        (httpcore.RemoteProtocolError("nonsense"), ProtocolError),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
async def test_every_transport_error_is_one_of_ours(
    error: Exception, expected: type[PortMapperError], device: respx.MockRouter
) -> None:
    device.post(CONTROL).mock(side_effect=error)
    with pytest.raises(expected) as caught:
        await a_client().call(GET)
    assert type(caught.value) is expected
    assert caught.value.__cause__ is error


# --- 405


@pytest.mark.conforms("UP-53")
async def test_a_device_that_refuses_post_is_asked_by_m_post_from_then_on(device: respx.MockRouter) -> None:
    post = device.post(CONTROL).mock(return_value=httpx.Response(405))
    mpost = device.request("M-POST", CONTROL).mock(return_value=a_result(NewExternalIPAddress="203.0.112.7"))
    client = a_client()
    for _ in range(2):
        assert await client.call(GET) == {"newexternalipaddress": "203.0.112.7"}
    assert (post.call_count, mpost.call_count) == (1, 2)
    request = mpost.calls.last.request
    assert request.headers["man"] == '"http://schemas.xmlsoap.org/soap/envelope/"; ns=01'
    assert request.headers["01-soapaction"] == f'"{WANIP}#{GET}"'
    assert "soapaction" not in request.headers
    assert request.content == post.calls.last.request.content


@pytest.mark.conforms("UP-53")
@pytest.mark.parametrize("status", [405, 501, 510])
async def test_a_device_that_refuses_both_is_asked_no_third_time(status: int, device: respx.MockRouter) -> None:
    post = device.post(CONTROL).mock(return_value=httpx.Response(405))
    mpost = device.request("M-POST", CONTROL).mock(return_value=httpx.Response(status))
    with pytest.raises(ProtocolError, match=str(status)):
        await a_client().call(GET)
    assert (post.call_count, mpost.call_count) == (1, 1)


@pytest.mark.conforms("UP-53")
async def test_a_device_that_refuses_both_once_is_asked_by_post_again(device: respx.MockRouter) -> None:
    post = device.post(CONTROL).mock(side_effect=[httpx.Response(405), a_result()])
    device.request("M-POST", CONTROL).mock(return_value=httpx.Response(405))
    client = a_client()
    with pytest.raises(ProtocolError):
        await client.call(GET)
    await client.call(GET)
    assert post.call_count == 2


@pytest.mark.conforms("UP-53")
@pytest.mark.parametrize("status", [400, 404, 501, 510])
async def test_only_405_leads_to_m_post(status: int, device: respx.MockRouter) -> None:
    device.post(CONTROL).mock(return_value=httpx.Response(status))
    mpost = device.request("M-POST", CONTROL).mock(return_value=a_result())
    with pytest.raises(ProtocolError, match=str(status)):
        await a_client().call(GET)
    assert not mpost.called


@pytest.mark.conforms("UP-53", "UP-86")
async def test_what_was_refused_with_405_was_not_done_and_is_asked_for_by_m_post(device: respx.MockRouter) -> None:
    device.post(CONTROL).mock(return_value=httpx.Response(405))
    device.request("M-POST", CONTROL).mock(return_value=a_result(ADD_ANY, NewReservedPort="40123"))
    assert await a_client().call(ADD_ANY) == {"newreservedport": "40123"}


# --- A port that refuses


@pytest.mark.conforms("Q-17")
@pytest.mark.parametrize("name", [GET, ADD, ADD_ANY])
async def test_a_device_that_moved_is_found_again_and_asked_there(name: str, device: respx.MockRouter) -> None:
    """At once, and whatever was asked: it cannot have been done."""
    find_again, found = finding(kind=f"{KIND}WANIPConnection:2")
    old = device.post(CONTROL).mock(side_effect=GONE)
    new = device.post(ELSEWHERE).mock(return_value=a_result(name, NewReservedPort="7"))
    client = a_client(find_again=find_again)
    for _ in range(2):
        assert await client.call(name) == {"newreservedport": "7"}
    assert (old.call_count, new.call_count, found) == (1, 2, [ELSEWHERE])
    assert client.service == Service(f"{KIND}WANIPConnection:2", ELSEWHERE)
    assert new.calls.last.request.headers["soapaction"] == f'"{KIND}WANIPConnection:2#{name}"'


@pytest.mark.conforms("Q-17")
async def test_the_device_is_looked_for_once_for_each_call(device: respx.MockRouter) -> None:
    find_again, found = finding()
    device.post(CONTROL).mock(side_effect=GONE)
    new = device.post(ELSEWHERE).mock(side_effect=GatewayUnreachable("gone too", errno=errno.ECONNREFUSED))
    with pytest.raises(GatewayUnreachable, match="gone too"):
        await a_client(find_again=find_again).call(GET)
    assert (new.call_count, len(found)) == (1, 1)


@pytest.mark.conforms("Q-17")
@pytest.mark.parametrize("trouble", [GatewayTimeout("nobody answered"), ProtocolError("no such service any more")])
async def test_a_device_that_is_not_found_again_leaves_the_first_problem(
    trouble: PortMapperError, device: respx.MockRouter
) -> None:
    async def in_vain() -> tuple[Service, http.Route]:
        raise trouble

    route = device.post(CONTROL).mock(side_effect=GONE)
    with pytest.raises(GatewayUnreachable) as caught:
        await a_client(find_again=in_vain).call(GET)
    assert caught.value is GONE
    assert route.call_count == 1


async def test_a_client_that_cannot_search_tells_the_refused_port(device: respx.MockRouter) -> None:
    device.post(CONTROL).mock(side_effect=GONE)
    with pytest.raises(GatewayUnreachable) as caught:
        await a_client().call(GET)
    assert caught.value is GONE


@pytest.mark.conforms("F4", "Q-17")
async def test_over_the_network_a_refused_port_leads_to_the_new_one() -> None:
    body = soap.encode_result(soap.Action(WANIP, GET, {}), {"NewExternalIPAddress": "203.0.112.7"})
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.bind(("127.0.0.1", 0))  # and does not listen
        old = f"http://127.0.0.1:{sock.getsockname()[1]}/ctl"
        async with serving(saying(answer)) as server:
            find_again, found = finding(server.url)
            client = IgdClient(Service(WANIP, old), HERE, find_again=find_again)
            assert await client.call(GET) == {"newexternalipaddress": "203.0.112.7"}
    assert (server.connections, found) == (1, [server.url])


# --- A path that is not there any more


@pytest.mark.conforms("Q-17")
@pytest.mark.parametrize("name", [GET, ADD, ADD_ANY])
async def test_a_device_with_another_path_is_found_again_and_asked_there(name: str, device: respx.MockRouter) -> None:
    """Some have a number in it that is another after each restart, at the same port."""
    find_again, found = finding()
    device.post(CONTROL).mock(side_effect=[a_result(name, NewReservedPort="7"), httpx.Response(404)])
    new = device.post(ELSEWHERE).mock(return_value=a_result(name, NewReservedPort="8"))
    client = a_client(find_again=find_again)
    assert await client.call(name) == {"newreservedport": "7"}
    assert await client.call(name) == {"newreservedport": "8"}
    assert (new.call_count, found) == (1, [ELSEWHERE])


async def test_what_was_never_answered_but_with_404_is_no_sign_of_another_path(device: respx.MockRouter) -> None:
    """Nor is it searched for twice where the device is found at the same place again."""
    find_again, found = finding(CONTROL)
    device.post(CONTROL).mock(side_effect=[*[httpx.Response(404)] * 3, a_result(), *[httpx.Response(404)] * 2])
    client = a_client(find_again=find_again)
    for _ in range(3):
        with pytest.raises(ProtocolError, match="404"):
            await client.call(GET)
    await client.call(GET)
    assert found == []
    with pytest.raises(ProtocolError, match="not there any more"):
        await client.call(GET)
    assert found == [CONTROL]


@pytest.mark.conforms("Q-17")
async def test_a_path_that_is_not_found_again_leaves_the_first_problem(device: respx.MockRouter) -> None:
    device.post(CONTROL).mock(side_effect=[a_result(), httpx.Response(404)])
    client = a_client()
    await client.call(GET)
    with pytest.raises(ProtocolError, match=f"{CONTROL} is not there any more"):
        await client.call(GET)


# --- A connection that breaks


@pytest.mark.conforms("Q-51")
@pytest.mark.usefixtures("virtual_time")
@pytest.mark.parametrize("error", [BROKEN, httpcore.WriteError("reset")], ids=["reading", "writing"])
@pytest.mark.parametrize("name", [GET, ADD, "DeletePortMapping", "AddPinhole"])
async def test_what_was_dropped_is_asked_once_more_a_little_later(
    error: Exception, name: str, device: respx.MockRouter
) -> None:
    times: list[float] = []

    def answer(request: httpx.Request) -> httpx.Response:
        times.append(anyio.current_time())
        if len(times) == 1:
            raise error
        return a_result(name)

    find_again, found = finding()
    device.post(CONTROL).mock(side_effect=answer)
    await a_client(find_again=find_again).call(name)
    assert times[1] - times[0] == pytest.approx(limits.SOAP_GAP)
    assert not found


@pytest.mark.conforms("Q-51")
@pytest.mark.usefixtures("virtual_time")
async def test_what_is_dropped_again_is_given_up(device: respx.MockRouter) -> None:
    route = device.post(CONTROL).mock(side_effect=BROKEN)
    with pytest.raises(GatewayUnreachable, match="broke the connection off"):
        await a_client().call(GET)
    assert route.call_count == 2


@pytest.mark.usefixtures("virtual_time")
@pytest.mark.parametrize("trouble", [BROKEN, httpx.Response(405)], ids=["hangs up", "wants M-POST"])
@pytest.mark.parametrize("name", [GET, ADD])
async def test_what_is_asked_once_more_has_what_is_left_of_the_time(
    trouble: Exception | httpx.Response, name: str, device: respx.MockRouter
) -> None:
    async def answer(request: httpx.Request) -> httpx.Response:
        await anyio.sleep(limits.HTTP_EXCHANGE - 0.3)
        if isinstance(trouble, Exception):
            raise trouble
        return trouble

    device.route(method__in=["POST", "M-POST"]).mock(side_effect=answer)
    begin = anyio.current_time()
    with pytest.raises(GatewayTimeout, match="did not answer within"):
        await a_client().call(name)
    assert anyio.current_time() - begin == pytest.approx(limits.HTTP_EXCHANGE)


@pytest.mark.conforms("UP-58", "UP-86")
async def test_add_any_is_never_asked_twice(device: respx.MockRouter) -> None:
    """It may have been done, and twice is two mappings."""
    route = device.post(CONTROL).mock(side_effect=BROKEN)
    with pytest.raises(GatewayUnreachable):
        await a_client().call(ADD_ANY)
    assert route.call_count == 1


@pytest.mark.conforms("UP-58")
@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (httpcore.RemoteProtocolError("nonsense"), ProtocolError),
        (httpx.Response(500, content=soap.encode_fault(501)), Fault),
        (httpx.Response(503), ProtocolError),
    ],
    ids=["nonsense", "fault", "status"],
)
async def test_nothing_else_is_asked_twice(
    answer: Exception | httpx.Response, error: type[PortMapperError], device: respx.MockRouter
) -> None:
    mock: Callable[[httpx.Request], httpx.Response] | Exception | list[httpx.Response]
    mock = answer if isinstance(answer, Exception) else [answer, answer]
    route = device.post(CONTROL).mock(side_effect=mock)
    with pytest.raises(error):
        await a_client().call(GET)
    assert route.call_count == 1


@pytest.mark.conforms("Q-51")
async def test_over_the_network_a_connection_that_ends_without_a_word_is_a_request_that_was_dropped() -> None:
    async with serving(saying()) as server:
        with pytest.raises(PortMapperError):
            await IgdClient(Service(WANIP, server.url), HERE).call(GET)
    assert server.connections == 2


@pytest.mark.conforms("UP-53")
@pytest.mark.parametrize("status", [501, 510])
async def test_a_device_that_refuses_m_post_too_is_asked_by_post_again(status: int, device: respx.MockRouter) -> None:
    route = device.route(url=CONTROL).mock(
        side_effect=lambda request: httpx.Response(405 if request.method == "POST" else status)
    )
    client = a_client()
    for _ in range(2):
        with pytest.raises(ProtocolError):
            await client.call(GET)
    assert [call.request.method for call in route.calls] == ["POST", "M-POST"] * 2
