"""What routers do to a search, and which of those who answer is asked."""

from dataclasses import replace

import anyio
import pytest

from portmapper import GatewayTimeout, PortMapper, ProtocolError, limits
from portmapper.model import IPAddress
from portmapper.net.multicast import MulticastSocket
from portmapper.testing import SimulatedGateway, WanConnection
from portmapper.upnp import ssdp
from tests.quirks.routers import (
    LINK,
    entry_of,
    hosts,
    known_link,
    main_job,
    mapper_at,
    options,
    paths,
    quirky,
    refusal,
    targets,
)

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("virtual_time")]

DEVICE, SERVICE = "urn:schemas-upnp-org:device", "urn:schemas-upnp-org:service"
IGD, ACCESS_POINT = f"{DEVICE}:InternetGatewayDevice", f"{DEVICE}:WLANAccessPointDevice:1"


# --- How it is searched -----------------------------------------------------------------------------------------------


@pytest.mark.conforms("Q-01", "UP-02", "UP-11")
async def test_eero_answers_only_searches_to_the_group() -> None:
    async with quirky(answers_unicast=False, hears_group=True) as router:
        await main_job(router)


@pytest.mark.conforms("Q-02", "UP-12")
async def test_a_firewall_lets_in_only_answers_of_the_address_that_was_asked() -> None:
    async with quirky(answers_multicast=False, hears_group=True) as router:
        await main_job(router)


@pytest.mark.conforms("Q-03", "Q-20", "UP-06")
@pytest.mark.parametrize("shown", ["urn:schemas-wifialliance-org:device:WFADevice:1", ACCESS_POINT])
async def test_sagemcom_and_access_points_hide_the_gateway_from_a_search_for_all(shown: str) -> None:
    """It is found by its type, before anything is asked for all there is."""
    async with quirky(all_targets=(shown,)) as router:
        await main_job(router)
        assert targets(router)[:5] == list(ssdp.TARGETS)
        assert not {"ssdp:all", "upnp:rootdevice"} & set(targets(router))


@pytest.mark.conforms("UP-06")
async def test_a_gateway_that_knows_itself_by_no_type_is_found_at_last() -> None:
    """As root device, or as one of all there are."""
    for last in ("upnp:rootdevice", "ssdp:all"):
        async with quirky(search_targets=frozenset({last})) as router:
            await main_job(router)
            assert targets(router).index(last) > targets(router).index(ssdp.TARGETS[-1])


@pytest.mark.conforms("UP-06", "UP-09")
async def test_each_search_is_sent_three_times_and_no_more() -> None:
    async with quirky(answers_unicast=False) as router:
        assert isinstance(await refusal(router), GatewayTimeout)
        assert {target: targets(router).count(target) for target in targets(router)} == {
            **dict.fromkeys(ssdp.TARGETS, 3), **dict.fromkeys(ssdp.LAST_RESORT, 1)
        }  # fmt: skip


@pytest.mark.conforms("Q-21", "UP-09")
@pytest.mark.parametrize("version", [1, 2])
async def test_a_router_that_drops_the_second_of_two_searches(version: int) -> None:
    """Each of the three times begins with another one: the first is for version 2, which version 1 does not answer."""
    async with quirky(search_gap=0.1, version=version) as router:
        await main_job(router)


@pytest.mark.conforms("Q-11", "UP-01", "UP-02", "UP-03", "UP-04", "UP-12", "UP-14")
async def test_a_router_that_wants_one_form_of_search() -> None:
    """Names, order and quotes; a search to the group has MX and one to its own address has none."""
    for unicast, names in [(True, ("HOST", "MAN", "ST")), (False, ("HOST", "MAN", "MX", "ST"))]:
        async with quirky(search_headers=names, hears_group=True, lower_case_headers=True) as router:
            await main_job(router)
            asked = f"{router.gateway.address}:{router.gateway.ssdp_port}" if unicast else "239.255.255.250:1900"
            wait = "" if unicast else "MX: 1\r\n"
            form = f'M-SEARCH * HTTP/1.1\r\nHOST: {asked}\r\nMAN: "ssdp:discover"\r\n{wait}ST: {IGD}:2\r\n\r\n'
            assert form.encode() in router.searches


@pytest.mark.conforms("Q-08", "UP-13")
@pytest.mark.parametrize("ipv6", [False, True])
async def test_fritzbox_stumbles_over_searches_of_two_families(ipv6: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only that of the gateway is sent, and from the address that faces it."""
    asked: set[tuple[str, int]] = set()
    send, sources = MulticastSocket.send, set[str]()

    def note(self: MulticastSocket, data: bytes, address: IPAddress, port: int) -> None:
        asked.add((str(address), port))
        sources.add(self._socket.getsockname()[0])
        send(self, data, address, port)

    monkeypatch.setattr(MulticastSocket, "send", note)
    async with quirky(ipv6=ipv6) as router, mapper_at(router) as mapper:
        await mapper.map(4001)
        group = "ff02::c" if ipv6 else "239.255.255.250"
        assert asked == {(group, 1900), (str(router.gateway.address), router.gateway.ssdp_port)}
        assert sources == {str(router.gateway.source)}


@pytest.mark.conforms("Q-09", "UP-30")
async def test_version_1_is_not_searched_for_by_ipv6() -> None:
    async with quirky(ipv6=True, answers_unicast=False) as router:
        assert isinstance(await refusal(router), GatewayTimeout)
        wanted = {f"{IGD}:2", f"{SERVICE}:WANIPv6FirewallControl:1", "upnp:rootdevice", "ssdp:all"}
        assert set(targets(router)) == wanted
        assert all(f"HOST: [::1]:{router.gateway.ssdp_port}\r\n".encode() in data for data in router.searches)


# --- How it answers ---------------------------------------------------------------------------------------------------


class Talkative(SimulatedGateway):
    """Sends what `change` makes of each answer to a search."""

    def answer_search(self, data: bytes) -> list[bytes]:
        return [changed for answer in super().answer_search(data) for changed in self.change(answer)]

    def change(self, answer: bytes) -> list[bytes]:
        return [answer]


@pytest.mark.conforms("Q-04")
async def test_sagemcom_says_nothing_of_its_server() -> None:
    async with quirky(server="") as router:
        await main_job(router)


@pytest.mark.conforms("F57", "Q-05")
@pytest.mark.parametrize("hears_group", [False, True])
async def test_tplink_er605_answers_from_another_port(hears_group: bool) -> None:
    async with quirky(other_source_port=True, hears_group=hears_group, answers_unicast=not hears_group) as router:
        await main_job(router)


@pytest.mark.conforms("Q-12", "UP-22")
@pytest.mark.parametrize("udn", ["BTHomeHub", "uuid:upnp-InternetGatewayDevice-1_0-0090a2777777"])
async def test_bt_homehub_is_named_by_no_uuid(udn: str) -> None:
    async with quirky(udn=udn) as router:
        await main_job(router)


@pytest.mark.conforms("Q-13", "UP-15")
async def test_harmony_leaves_out_the_empty_line_at_the_end() -> None:
    async with quirky(no_final_crlf=True) as router:
        await main_job(router)


@pytest.mark.conforms("Q-14")
async def test_many_send_a_header_twice() -> None:
    class Twice(Talkative):
        def change(self, answer: bytes) -> list[bytes]:
            return [answer.replace(b"\r\n\r\n", b"\r\nLOCATION: http://127.0.0.77:1/\r\n\r\n")]

    async with Twice(**options(cache_control_twice=True)) as router:
        await main_job(router, gateway=known_link(router))


@pytest.mark.conforms("Q-15", "UP-17")
async def test_an_empty_location_leads_nowhere() -> None:
    async with quirky(location="") as router:
        assert isinstance(await refusal(router), GatewayTimeout)
        assert router.requests == []


PNRP = b"HTTP/1.1 200 OK\r\nLocation:192.168.1.1\r\nST:x-pnrp\r\nUSN:x\r\n\r\n"
NAMELESS = PNRP.replace(b"x-pnrp", f"{IGD}:2".encode())


@pytest.mark.conforms("Q-15", "Q-16", "UP-15", "UP-17")
@pytest.mark.parametrize("rubbish", [b"HTTP/1.1 200 OK\r\nLOCATION:\r\nST: upnp:rootdevice\r\n\r\n", PNRP, NAMELESS])
async def test_windows_pnrp_and_others_answer_with_rubbish_first(rubbish: bytes) -> None:
    """The answer after it counts; a LOCATION without a scheme is refused before anything is connected to."""
    async with quirky(rubbish_first=rubbish) as router:
        await main_job(router)
        assert paths(router, "GET") == {"/rootDesc.xml"}


@pytest.mark.conforms("Q-19", "UP-31")
async def test_two_devices_under_one_name_do_not_hide_each_other() -> None:
    """The description of the first is not to be had; it is asked for only once, however often it is named."""

    class Twins(Talkative):
        def change(self, answer: bytes) -> list[bytes]:
            first = answer.replace(b"/rootDesc.xml", b"/v1.xml")
            return [first, answer] if b"ST: urn:schemas-upnp-org:service:WANIPConnection:1\r" in answer else [first]

    async with Twins(**options()) as router, mapper_at(router) as mapper:
        await mapper.map(4001)
        asked = [request.path for request in router.requests if request.method == "GET"]
        assert asked == ["/v1.xml", "/rootDesc.xml"]


@pytest.mark.conforms("UP-10")
async def test_a_router_that_waits_as_long_as_it_may() -> None:
    """MX is 1 s, for the last of the searches too."""
    for delay in (0.99, 1.4):
        async with quirky(search_delay=delay) as router:
            await main_job(router)


# --- Which device it is -----------------------------------------------------------------------------------------------


@pytest.mark.conforms("Q-06", "UP-32")
async def test_carp_names_another_address_of_the_box() -> None:
    """Nothing is there: the description, and all else, is asked at the address that answered, by that name."""
    switches = {"location": "http://127.0.0.77:{port}{path}", "control_url": "http://127.0.0.77:{port}/ctl"}
    async with quirky(**switches) as router:
        await main_job(router, gateway=known_link(router))
        assert {host.partition(":")[0] for host in hosts(router)} == {str(router.gateway.address)}
        assert isinstance(await refusal(router, gateway=replace(router.gateway, network=None)), ProtocolError)


@pytest.mark.conforms("Q-10", "UP-32")
async def test_a_link_local_location_has_no_zone() -> None:
    async with quirky(ipv6=True, location="http://[fe80::1]:{port}{path}") as router, mapper_at(router) as mapper:
        await mapper.map(4001)
        assert len(router.pinholes) == 1
        assert {host.rpartition(":")[0] for host in hosts(router)} == {"[::1]"}


@pytest.mark.conforms("F28", "Q-07", "UP-49")
async def test_another_box_answers_first() -> None:
    """It would be used, were there no other; the answer of the gateway comes later and wins."""
    async with quirky(search_delay=1.0) as router, quirky(hears_group=True) as box:
        await main_job(router, gateway=known_link(router))
        assert box.searches
        assert box.requests == []


@pytest.mark.conforms("F28", "Q-07", "UP-49")
async def test_a_box_beside_the_gateway_is_used_when_the_gateway_is_silent() -> None:
    """Only if it is on the link, as far as that is known."""
    async with SimulatedGateway(**{**options(), "upnp": False}) as router, quirky(hears_group=True) as box:
        lone = replace(router.gateway, network=None)
        assert isinstance(await refusal(router, gateway=lone), GatewayTimeout)
        assert box.requests == []
        gateway, begin = replace(router.gateway, network=LINK), anyio.current_time()
        async with PortMapper(gateway=gateway, backends=["upnp"]) as mapper:
            await mapper.map(4001)
            assert anyio.current_time() - begin >= limits.OTHER_DEVICES
            assert entry_of(box).internal.port == 4001
        assert list(box.table) == []


# --- After a restart --------------------------------------------------------------------------------------------------


@pytest.mark.conforms("F4", "Q-17", "UP-96")
async def test_asus_has_another_http_port_after_a_restart() -> None:
    """One refused request is enough: the device is searched for anew, and everything is mapped again."""
    async with quirky() as router, mapper_at(router) as mapper:
        first, second = await mapper.map(4001), await mapper.map(4002, "udp")
        ports = {first.external_port, second.external_port}
        router.reboot()
        await router.move_http()
        await first.refresh()
        await anyio.sleep(limits.RECOVERY_WAIT + 1)
        assert {entry.external_port for entry in router.table} == ports
        assert len(targets(router)) == 2 * len(ssdp.TARGETS)


@pytest.mark.conforms("Q-17", "Q-23")
async def test_mikrotik_at_another_http_port_is_asked_at_the_connection_that_was_chosen_before() -> None:
    """Both are of one type; the first is down."""
    connections = (WanConnection(status="Disconnected"), WanConnection())
    async with quirky(connections=connections) as router, mapper_at(router) as mapper:
        mapping = await mapper.map(4001)
        router.reboot()
        await router.move_http()
        await mapping.refresh()
        asked_at = [request.path for request in router.requests if b"<u:AddPortMapping " in request.body]
        assert asked_at == ["/ctl/IPConn2"] * 2


@pytest.mark.conforms("Q-17")
async def test_a_router_that_is_gone_after_a_restart_is_told_as_unreachable() -> None:
    async with quirky() as router, mapper_at(router) as mapper:
        mapping = await mapper.map(4001)
        router.answer_search = lambda data: []  # type: ignore[method-assign]
        await router.move_http()
        with pytest.raises(Exception, match="refused"):
            await mapping.refresh()
        assert mapping.external_port == 4001
