"""What routers say of themselves, and which of their services is asked."""

import anyio
import pytest

from portmapper import GatewayUnreachable, NoService, ProtocolError, RequestRefused
from portmapper.testing import WanConnection
from tests.quirks.routers import (
    NEIGHBOUR,
    adds,
    known_link,
    main_job,
    mapper_at,
    named,
    paths,
    quirky,
    refusal,
    router_at,
)

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("virtual_time")]

WANIP = "urn:schemas-upnp-org:service:WANIPConnection"
WANPPP = "urn:schemas-upnp-org:service:WANPPPConnection"
TR_064 = "urn:dslforum-org:service:WANPPPConnection:1"
UP, DOWN = WanConnection(), WanConnection(status="Disconnected", external_address="")
PUBLIC, PRIVATE = "198.41.0.4", "192.168.178.2"


async def chosen(*connections: WanConnection, version: int = 2) -> tuple[str, str]:
    """Return type and path of the service at which a router with `connections` is asked for a mapping."""
    async with quirky(connections=connections, version=version) as router, mapper_at(router) as mapper:
        await mapper.map(4001)
        (add,) = adds(router)
        (request,) = (one for one in router.requests if b"<u:AddPortMapping " in one.body)
        return add.service_type, request.path


# --- Which service ----------------------------------------------------------------------------------------------------


@pytest.mark.conforms("Q-23", "UP-38", "UP-45")
async def test_mikrotik_has_a_device_for_each_interface_and_the_first_is_down() -> None:
    assert await chosen(DOWN, UP) == (f"{WANIP}:2", "/ctl/IPConn2")
    assert await chosen(DOWN, DOWN, UP) == (f"{WANIP}:2", "/ctl/IPConn3")


@pytest.mark.conforms("Q-21", "Q-23", "UP-45")
async def test_mikrotik_is_asked_for_several_ports_at_once_and_takes_its_time() -> None:
    """None of them goes to the connection that is down because the others kept the router busy."""
    async with quirky(connections=(DOWN, DOWN, UP), soap_delay=0.12) as router, mapper_at(router) as mapper:
        async with anyio.create_task_group() as tasks:
            for port in range(4001, 4006):
                tasks.start_soon(mapper.map, port)
        asked_at = {request.path for request in router.requests if b"<u:AddPortMapping " in request.body}
        assert asked_at == {"/ctl/IPConn3"}


@pytest.mark.conforms("Q-23", "UP-46")
@pytest.mark.parametrize("worse", [PRIVATE, "100.64.0.1", "0.0.0.0", ""])
async def test_mikrotik_of_two_that_are_up_the_one_with_a_public_address(worse: str) -> None:
    inner, outer = WanConnection(external_address=worse), WanConnection(external_address=PUBLIC)
    assert await chosen(inner, outer) == (f"{WANIP}:2", "/ctl/IPConn2")
    assert await chosen(outer, inner) == (f"{WANIP}:2", "/ctl/IPConn")


@pytest.mark.conforms("Q-23", "UP-44", "UP-48")
async def test_mikrotik_of_equals_the_first() -> None:
    """Of its best type; nobody asks Layer3Forwarding."""
    assert await chosen(DOWN, DOWN) == (f"{WANIP}:2", "/ctl/IPConn")
    assert await chosen(UP, UP, UP) == (f"{WANIP}:2", "/ctl/IPConn")
    older, ppp = WanConnection(service_type=f"{WANIP}:1"), WanConnection(service_type=f"{WANPPP}:1")
    assert await chosen(ppp, older, UP) == (f"{WANIP}:2", "/ctl/IPConn3")
    assert await chosen(ppp, older) == (f"{WANIP}:1", "/ctl/IPConn2")


@pytest.mark.conforms("Q-24", "UP-115")
async def test_huawei_hg531_has_only_the_service_of_tr_064() -> None:
    async with quirky(
        version=1, device_domain="dslforum-org", connections=(WanConnection(service_type=TR_064),)
    ) as router:
        await main_job(router)
        assert {call.service_type for call in router.calls} == {TR_064}


@pytest.mark.conforms("Q-24", "UP-44")
async def test_huawei_hg531_the_service_of_the_standard_comes_first() -> None:
    legacy = WanConnection(service_type=TR_064)
    assert await chosen(legacy, WanConnection(service_type=f"{WANPPP}:1")) == (f"{WANPPP}:1", "/ctl/IPConn2")


@pytest.mark.conforms("Q-25")
async def test_a_router_without_a_service_that_maps_ports() -> None:
    async with quirky(connections=()) as router:
        reason = await refusal(router)
        assert isinstance(reason, ProtocolError)
        assert "no port mapping service" in str(reason)
        assert router.calls == []


@pytest.mark.conforms("Q-26", "UP-40", "UP-115")
async def test_livebox_has_ppp_at_a_path_that_says_ip() -> None:
    live = WanConnection(service_type=f"{WANPPP}:2", control_url="/upnp/control/WANIPConn1")
    assert await chosen(live) == (f"{WANPPP}:2", "/upnp/control/WANIPConn1")


@pytest.mark.conforms("Q-27", "UP-108")
@pytest.mark.parametrize("word", ["Up", "Connected", "connected"])
async def test_some_say_up_for_connected(word: str) -> None:
    """What the vendor invented besides is no more than unconnected."""
    assert await chosen(WanConnection(status="Up-ish"), WanConnection(status=word)) == (f"{WANIP}:2", "/ctl/IPConn2")


@pytest.mark.conforms("Q-28", "UP-45")
async def test_the_service_for_ip_is_down_and_the_one_for_ppp_is_up() -> None:
    ppp = WanConnection(service_type=f"{WANPPP}:1", beside=True)
    assert await chosen(DOWN, ppp) == (f"{WANPPP}:1", "/ctl/IPConn2")


@pytest.mark.conforms("Q-29", "UP-38")
async def test_the_third_service_hides_no_other() -> None:
    ppp = WanConnection(service_type=f"{WANPPP}:1", status="Disconnected", external_address="", beside=True)
    assert await chosen(DOWN, UP, ppp) == (f"{WANIP}:2", "/ctl/IPConn2")
    assert await chosen(ppp, DOWN, UP) == (f"{WANIP}:2", "/ctl/IPConn3")


@pytest.mark.conforms("UP-21", "UP-40")
async def test_a_device_of_a_version_to_come_is_used_as_the_one_that_is_known() -> None:
    """It answers for version 2 as well; its services are called by the names it gave them."""
    assert await chosen(UP, version=3) == (f"{WANIP}:3", "/ctl/IPConn")


@pytest.mark.conforms("Q-18", "UP-110")
async def test_an_access_point_that_does_no_nat_says_so() -> None:
    async with quirky(connections=(WanConnection(nat_enabled=False),)) as router:
        reason = await refusal(router)
        assert isinstance(reason, RequestRefused)
        assert (reason.name, reason.lasting) == ("NAT_DISABLED", True)
        assert adds(router) == []


@pytest.mark.conforms("UP-47", "UP-109")
@pytest.mark.parametrize("kind", ["IP_Bridged", "Unconfigured"])
async def test_a_connection_that_is_not_routed_maps_nothing(kind: str) -> None:
    async with quirky(connections=(WanConnection(connection_type=kind),)) as router:
        reason = await refusal(router)
        assert isinstance(reason, RequestRefused)
        assert (reason.name, reason.lasting) == ("NOT_ROUTED", True)
        assert adds(router) == []


@pytest.mark.conforms("Q-18", "UP-109", "UP-110")
@pytest.mark.parametrize("code", [401, 501, 602])
async def test_a_router_that_does_not_say_whether_it_does_nat_is_asked_all_the_same(code: int) -> None:
    async with quirky(refuses={"GetNATRSIPStatus": code, "GetConnectionTypeInfo": code}) as router:
        await main_job(router)


@pytest.mark.conforms("Q-36", "Q-37", "UP-43", "UP-48", "UP-108", "UP-111")
@pytest.mark.parametrize("uptime", ["", "-1", "2 days"])
async def test_draytek_does_not_count_and_nobody_asks(uptime: str) -> None:
    """Only two kinds of requests go elsewhere than to the mappings; no SCPD is read, no connection is changed."""
    odd = WanConnection(uptime=uptime)
    async with quirky(connections=(DOWN, odd)) as router:
        await main_job(router)
        status = {"GetStatusInfo", "GetNATRSIPStatus", "GetConnectionTypeInfo", "GetExternalIPAddress"}
        mappings = {"AddPortMapping", "DeletePortMapping", "GetSpecificPortMappingEntry", "GetListOfPortMappings"}
        assert {call.name for call in router.calls} == status | mappings
        assert paths(router, "GET") == {"/rootDesc.xml"}
        assert paths(router) == {"/ctl/IPConn", "/ctl/IPConn2"}


@pytest.mark.conforms("UP-111")
async def test_the_state_of_a_lone_connection_is_not_asked_at_all() -> None:
    async with quirky() as router:
        await main_job(router)
        assert named(router, "GetStatusInfo") == []
        assert len(named(router, "GetNATRSIPStatus")) == 1


# --- Where it is ------------------------------------------------------------------------------------------------------


@pytest.mark.conforms("Q-30", "UP-35", "UP-36")
@pytest.mark.parametrize(
    ("url_base", "control_url", "path"),
    [
        ("http://{host}:{port}", "/ctl/IPConn", "/ctl/IPConn"),
        ("http://{host}:{port}/", "ctl/IPConn", "/ctl/IPConn"),
        ("http://{host}:{port}//", "/ctl/IPConn", "/ctl/IPConn"),
        ("http://{host}:{port}/upnp/", "control/IPConn", "/upnp/control/IPConn"),
        ("http://{host}:{port}/upnp", "control/IPConn", "/control/IPConn"),
        ("http://192.0.2.1:80/", "/ctl/IPConn", "/ctl/IPConn"),
        ("http://192.0.2.1:80/", "http://{host}:{port}/ctl/IPConn", "/ctl/IPConn"),
        ("router.local", "/ctl/IPConn", "/ctl/IPConn"),
        ("", "/ctl/IPConn", "/ctl/IPConn"),
    ],
)
async def test_dlink_dir_655_has_another_base(url_base: str, control_url: str, path: str) -> None:
    async with quirky(url_base=url_base, control_url=control_url) as router:
        await main_job(router)
        assert paths(router) == {path}


@pytest.mark.conforms("Q-31", "UP-35")
async def test_bt_has_a_query_for_a_control_url() -> None:
    async with quirky(control_url="?control=WANIPConn1") as router:
        await main_job(router)
        assert paths(router) == {"/rootDesc.xml?control=WANIPConn1"}


@pytest.mark.conforms("Q-32", "UP-32", "UP-36")
async def test_a_control_url_on_another_host_sends_nobody_there() -> None:
    """Where the link is known it is taken for another address of the router itself, and asked for there."""
    async with router_at(NEIGHBOUR) as other:
        port = other._igd.site.port
        async with quirky(control_url=f"http://{NEIGHBOUR}:{port}/ctl/IPConn") as router:
            assert isinstance(await refusal(router), ProtocolError)
            assert isinstance(await refusal(router, gateway=known_link(router)), GatewayUnreachable)
        async with quirky(url_base=f"http://{NEIGHBOUR}:{port}/") as router:
            await main_job(router)
        async with quirky(location=f"http://{NEIGHBOUR}:{port}{{path}}") as router:
            assert isinstance(await refusal(router), ProtocolError)
        assert other.requests == []


# --- How it is written ------------------------------------------------------------------------------------------------


@pytest.mark.conforms("Q-35", "UP-37")
@pytest.mark.parametrize("namespace", ["", "urn:schemas-upnp-org:device-1-1", "http://example.com/"])
async def test_some_have_no_namespace_or_another(namespace: str) -> None:
    async with quirky(namespace=namespace) as router:
        await main_job(router)


@pytest.mark.conforms("Q-35", "UP-37")
async def test_a_description_with_a_prefix_and_elements_that_nobody_knows() -> None:
    async with quirky(description_prefix="root", extra_elements=True) as router:
        await main_job(router)


@pytest.mark.conforms("Q-34", "UP-42")
@pytest.mark.parametrize("after", [b"\0", b"\0\0\r\n\0"])
async def test_some_have_nul_bytes_at_the_end(after: bytes) -> None:
    """Of the description and of each answer, which names another version of the service besides."""
    async with quirky(after_xml=after, response_type=f"{WANIP}:1") as router:
        await main_job(router)


@pytest.mark.conforms("UP-42")
@pytest.mark.parametrize(
    "odd",
    [
        {"before_xml": b"\xef\xbb\xbf"},
        {"before_xml": b"\r\n \r\n"},
        {"declared_charset": "utf-8", "charset": "latin-1", "friendly_name": "Gerät im Flur"},
        {"declared_charset": "GB2312", "charset": "gb2312", "friendly_name": "路由器"},
        {"declared_charset": "no-such-charset"},
    ],
    ids=str,
)
async def test_a_description_whose_encoding_is_another_than_it_says(odd: dict[str, object]) -> None:
    async with quirky(**odd) as router:
        await main_job(router)


@pytest.mark.conforms("UP-33", "Q-25")
async def test_a_description_that_is_not_there_is_a_reason() -> None:
    async with quirky(location="http://{host}:{port}/missing.xml") as router, mapper_at(router) as mapper:
        with pytest.raises(NoService, match="status 404"):
            await mapper.map(4001)
