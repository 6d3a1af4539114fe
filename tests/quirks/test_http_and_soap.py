"""What routers make of HTTP and SOAP, and want of it."""

from dataclasses import replace
from ipaddress import IPv4Address
from typing import Any

import anyio
import pytest

from portmapper import GatewayTimeout, NoService, ProtocolError, RequestRefused
from portmapper.model import IPAddress
from portmapper.testing import SimulatedGateway
from tests.quirks.routers import (
    adds,
    another_has,
    asked,
    entry_of,
    hosts,
    main_job,
    mapper_at,
    named,
    options,
    quirky,
    refusal,
)

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("virtual_time")]


# --- What they want ---------------------------------------------------------------------------------------------------


@pytest.mark.conforms("Q-38", "Q-39", "UP-50")
async def test_some_want_the_header_soapaction_in_just_this_case() -> None:
    """With quotes around its value, without which the simulated router answers 401."""
    async with quirky(action_header="SOAPAction") as router:
        await main_job(router)


@pytest.mark.conforms("Q-40", "UP-51")
async def test_some_choke_on_a_default_namespace() -> None:
    async with quirky(refuses_default_namespace=True) as router:
        await main_job(router)


@pytest.mark.conforms("Q-41", "UP-54")
async def test_some_decode_no_quotes() -> None:
    description = "a \"b\" & 'c' <d>"
    async with quirky(decodes_quotes=False) as router, mapper_at(router) as mapper:
        await mapper.map(4001, description=description)
        assert entry_of(router).description == description
        (listed,) = await mapper.list_mappings()
        assert listed.description == description


@pytest.mark.conforms("Q-42", "UP-50")
async def test_some_read_no_chunks() -> None:
    async with quirky(refuses_chunked=True) as router:
        await main_job(router)


@pytest.mark.conforms("Q-52", "UP-50")
async def test_some_want_http_1_1() -> None:
    async with quirky(wants_http_1_1=True) as router:
        await main_job(router)


@pytest.mark.conforms("Q-53", "UP-33", "UP-50")
async def test_an_ipv6_address_has_brackets_in_host() -> None:
    async with quirky(ipv6=True) as router, mapper_at(router) as mapper:
        await mapper.map(4001)
        assert hosts(router) == {f"[::1]:{router._igd.site.port}"}


@pytest.mark.conforms("UP-53")
async def test_one_of_the_first_wants_m_post() -> None:
    """After its first 405 it is asked so at once."""
    async with quirky(wants_mpost=True) as router, mapper_at(router) as mapper:
        await mapper.map(4001)
        methods = [request.method for request in router.requests[1:]]
        assert methods == ["POST", *["M-POST"] * (len(methods) - 1)]
        assert entry_of(router).internal.port == 4001


# --- What they answer -------------------------------------------------------------------------------------------------


@pytest.mark.conforms("F58", "Q-33", "Q-43", "Q-46", "Q-48", "Q-49", "Q-50", "UP-55", "UP-61")
@pytest.mark.parametrize(
    "odd",
    [
        pytest.param({"response_namespace": "none"}, id="DD-WRT has no namespace inside an answer"),
        pytest.param({"response_namespace": "default"}, id="some make it the default there"),
        pytest.param({"response_type": "urn:schemas-upnp-org:service:WANIPConnection:9"}, id="some name a version"),
        pytest.param({"soap_prefix": "SOAP-ENV"}, id="TL-WR940N has the prefix SOAP-ENV"),
        pytest.param({"lower_case_tags": True}, id="some write all in lower case"),
        pytest.param({"bare_value": True}, id="some put the address right into the response"),
        pytest.param({"http_version": "HTTP1.1"}, id="some leave the slash out of the status line"),
        pytest.param({"headers_twice": True}, id="some send headers twice"),
        pytest.param({"after_body": b"\r\n<html></html>\0"}, id="some send more after the body"),
        pytest.param({"content_type": "text/soap+xml"}, id="some say text/soap+xml"),
        pytest.param({"content_type": "application/soap+xml"}, id="some say application/soap+xml"),
        pytest.param({"content_type": "application/xml"}, id="some say application/xml"),
        pytest.param({"content_type": "text/html"}, id="some say text/html"),
        pytest.param({"line_end": "\n"}, id="some end lines with LF alone"),
        pytest.param({"framing": "chunked"}, id="some send chunks"),
        pytest.param({"framing": "chunked", "chunk_extension": ";a=b"}, id="some extend chunks"),
        pytest.param({"framing": "close"}, id="some end with the connection"),
        pytest.param({"interim": True}, id="some say 100 Continue first"),
        pytest.param({"extra_headers": ("Set-Cookie: a=b", "Location: http://192.0.2.1/")}, id="some send odd headers"),
    ],
)  # fmt: skip
async def test_odd_answers_are_read(odd: dict[str, Any]) -> None:
    async with quirky(**odd) as router:
        await main_job(router)


@pytest.mark.conforms("F58", "Q-47", "UP-33", "UP-61")
async def test_actiontec_gt784wn_speaks_http_1_0() -> None:
    async with quirky(http_version="HTTP/1.0", framing="close", content_type="application/octet-stream") as router:
        await main_job(router)


@pytest.mark.conforms("F58", "Q-44", "Q-45", "UP-56", "UP-57")
@pytest.mark.parametrize(
    "odd",
    [
        pytest.param({"capital_faults": True}, id="MikroTik writes faultCode"),
        pytest.param({"fault_descriptions": False}, id="Intelbras WRN 300 has no errorDescription"),
        pytest.param({"fault_status": 200}, id="some call a fault 200"),
        pytest.param({"fault_status": 400}, id="some call a fault 400"),
        pytest.param({"soap_prefix": "SOAP-ENV", "lower_case_tags": True}, id="some write faults otherwise too"),
    ],
)
async def test_odd_faults_are_understood(odd: dict[str, Any]) -> None:
    """725 leads to a mapping without end, and 727 is a reason."""
    async with quirky(lease_code=725, **odd) as router:
        assert (await main_job(router)).permanent
    async with quirky(refuses={"AddPortMapping": 727}, **odd) as router:
        reason = await refusal(router)
        assert isinstance(reason, RequestRefused)
        assert reason.code == 727


@pytest.mark.conforms("Q-49")
@pytest.mark.parametrize("status", [200, 401, 500])
async def test_a_web_page_is_no_answer(status: int) -> None:
    class WebServer(SimulatedGateway):
        def answer_http(self, method: str, path: str, body: bytes, sender: IPAddress) -> tuple[int, bytes]:
            page = b"<html><body><h1>Log in</h1></body></html>"
            return (status, page) if method == "POST" else super().answer_http(method, path, body, sender)

    async with WebServer(**options(content_type="text/html")) as router:
        assert isinstance(await refusal(router), ProtocolError)


# --- When they answer -------------------------------------------------------------------------------------------------


@pytest.mark.conforms("Q-51")
async def test_some_drop_a_request_that_comes_too_soon() -> None:
    """It is sent again a little later, once."""
    async with quirky(soap_gap=0.19) as router:
        await main_job(router)


@pytest.mark.conforms("Q-21")
async def test_some_drop_the_second_of_two_requests_at_once() -> None:
    async with quirky(one_at_a_time=True, soap_delay=0.05) as router, mapper_at(router) as mapper:
        await mapper.map(4000)
        async with anyio.create_task_group() as tasks:
            for port in range(4001, 4006):
                tasks.start_soon(mapper.map, port)
        assert sorted(entry.internal.port for entry in router.table) == [4000, 4001, 4002, 4003, 4004, 4005]
        async with anyio.create_task_group() as tasks:
            for mapping in mapper.mappings:
                tasks.start_soon(mapping.refresh)
        assert router.most_at_once == 1


@pytest.mark.conforms("Q-21", "UP-34")
async def test_some_drop_a_request_that_is_asked_again_while_they_are_slower_than_before() -> None:
    """The first one is not given up for that: its answer is on its way."""
    async with quirky(one_at_a_time=True, soap_delay=0.05) as router, mapper_at(router) as mapper:
        mapping = await mapper.map(4001)
        router._front.switches = replace(router._front.switches, soap_delay=1.2)
        await mapping.refresh()
        assert len(adds(router)) > 2  # it was asked for again


@pytest.mark.conforms("Q-21")
async def test_some_drop_the_second_of_two_requests_for_the_description() -> None:
    """Which programs that map several ports at the start ask for."""
    async with quirky(one_at_a_time=True, http_delay=0.05) as router, mapper_at(router) as mapper:
        async with anyio.create_task_group() as tasks:
            for port in range(4001, 4006):
                tasks.start_soon(mapper.map, port)
        assert len(list(router.table)) == 5


@pytest.mark.conforms("UP-34", "UP-58")
async def test_a_router_may_be_slow_but_not_silent() -> None:
    """It may take 30 s by the standard, which nobody waits for."""
    async with quirky(soap_delay=1.2) as router, mapper_at(router) as mapper:
        await mapper.map(4001)
        assert entry_of(router).internal.port == 4001
    async with quirky(soap_delay=30) as router:
        begin = anyio.current_time()
        assert isinstance(await refusal(router), GatewayTimeout)
        assert anyio.current_time() - begin <= 5


@pytest.mark.conforms("F39", "Q-21", "UP-34")
@pytest.mark.parametrize(("count", "delay"), [(2, 0.5), (10, 0.1), (10, 0.4)])
async def test_several_ports_at_once_at_a_slow_router(count: int, delay: float) -> None:
    """Each waits for the others, and does not take that for the silence of the router."""
    async with quirky(soap_delay=delay) as router, mapper_at(router) as mapper:
        async with anyio.create_task_group() as tasks:
            for port in range(4001, 4001 + count):
                tasks.start_soon(mapper.map, port)
        assert len(list(router.table)) == count


@pytest.mark.conforms("F39", "Q-21", "UP-34")
async def test_a_mapping_that_waits_for_its_turn_is_not_looked_for_meanwhile() -> None:
    """It was not asked for yet. Asked beside, a device that does one thing after the other has the more to do."""
    async with quirky(soap_delay=0.7) as router, mapper_at(router) as mapper:
        await mapper.map(4000)
        async with anyio.create_task_group() as tasks:
            for port in range(4001, 4006):
                tasks.start_soon(mapper.map, port)
        assert router.most_at_once == 1
        assert len(adds(router)) == 6


@pytest.mark.conforms("F39", "Q-21", "UP-34")
async def test_of_more_ports_than_a_slow_router_can_map_in_time_most_are_mapped() -> None:
    """One after the other, or all would be almost done when the time is over."""
    refused = 0

    async def map_port(port: int) -> None:
        nonlocal refused
        try:
            await mapper.map(port)
        except NoService:
            refused += 1

    async with quirky(soap_delay=1.2) as router, mapper_at(router) as mapper:
        await mapper.map(4000)
        async with anyio.create_task_group() as tasks:
            for port in range(4001, 4009):
                tasks.start_soon(map_port, port)
        assert refused <= 3
        assert len(mapper.mappings) == 9 - refused


@pytest.mark.conforms("F39", "Q-21", "UP-34")
async def test_after_a_mapping_was_closed_in_a_hurry_one_thing_at_a_time_is_asked_again() -> None:
    """That is for whoever leaves; this program goes on."""
    async with quirky(soap_delay=0.4) as router, mapper_at(router) as mapper:
        await mapper.map(4000)
        await mapper.mappings[0].close()
        async with anyio.create_task_group() as tasks:
            for port in range(4001, 4006):
                tasks.start_soon(mapper.map, port)
        assert router.most_at_once == 1


@pytest.mark.conforms("UP-34", "UP-58", "UP-97")
@pytest.mark.parametrize("keeps_first_lease", [False, True])
async def test_a_mapping_is_renewed_at_a_router_that_only_just_answers_in_time(keeps_first_lease: bool) -> None:
    """Four requests, or seven where the mapping has to be deleted to be renewed, of up to 3.5 s each."""
    async with quirky(soap_delay=3, keeps_first_lease=keeps_first_lease) as router, mapper_at(router) as mapper:
        mapping = await mapper.map(4001, lifetime=600)
        await anyio.sleep(200)
        await mapping.refresh()
        assert entry_of(router).ends > anyio.current_time() + 580


@pytest.mark.conforms("Q-21", "UP-34", "UP-96")
async def test_many_ports_are_mapped_again_once_each_at_a_slow_router() -> None:
    """All are renewed at once after a restart, each by four requests that would wait for those of all others."""
    async with quirky(soap_delay=0.6) as router, mapper_at(router) as mapper:
        mappings = [await mapper.map(port) for port in range(4001, 4013)]
        router.reboot()
        await mappings[0].refresh()
        await anyio.sleep(300)
        assert len(list(router.table)) == 12
        assert len(adds(router)) <= 3 * 12


@pytest.mark.conforms("F21", "UP-58", "UP-97")
@pytest.mark.parametrize("version", [1, 2])
async def test_an_answer_that_is_lost_is_looked_for(version: int) -> None:
    """The mapping is there: nothing is mapped twice, and it is held."""
    async with quirky(loses_answers_to=frozenset({"AddPortMapping"}), version=version) as router:
        async with mapper_at(router) as mapper:
            mapping = await mapper.map(4001)
            assert (entry_of(router).external_port, mapping.external_port) == (4001, 4001)
        assert list(router.table) == []


@pytest.mark.conforms("UP-58", "UP-86")
async def test_an_any_port_mapping_whose_answer_is_lost_is_found_in_the_list() -> None:
    """It is at a port that only the router knows, and asked for only once."""
    async with quirky(loses_answers_to=frozenset({"AddAnyPortMapping"})) as router:
        foreign = another_has(router, 4001)
        async with mapper_at(router) as mapper:
            mapping = await mapper.map(4001)
            assert {entry.external_port for entry in router.table} == {4001, mapping.external_port}
            assert len(named(router, "AddAnyPortMapping")) == 1
        assert list(router.table) == [foreign]


@pytest.mark.conforms("UP-58")
async def test_a_mapping_that_cannot_be_looked_for_is_no_success() -> None:
    """It may or may not be there: it ends by itself."""
    lost = frozenset({"AddPortMapping"})
    silent = {"GetSpecificPortMappingEntry": 401, "GetListOfPortMappings": 401, "GetGenericPortMappingEntry": 401}
    async with quirky(loses_answers_to=lost, refuses=silent) as router, mapper_at(router) as mapper:
        with pytest.raises(NoService):
            await mapper.map(4001, lifetime=600)
        await anyio.sleep(602)
        assert list(router.table) == []


@pytest.mark.conforms("Q-68", "UP-63", "UP-104")
async def test_requests_come_from_the_address_that_is_mapped() -> None:
    """Gateways compare them; the system would have chosen another address of this host."""
    async with quirky(foreign_code=606) as router:
        gateway = replace(router.gateway, source=IPv4Address("127.0.0.5"))
        async with mapper_at(router, gateway=gateway) as mapper:
            await mapper.map(4001)
            assert {str(request.sender) for request in router.requests} == {"127.0.0.5"}
            assert asked(router, "NewInternalClient") == ["127.0.0.5"]
        assert list(router.table) == []
