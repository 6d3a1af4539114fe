"""The backend against a fake of the C library's object."""

import subprocess
import sys
import threading
import time
from ipaddress import ip_address

import anyio
import pytest
from fake_library import GATEWAY, OPTIONS, OTHERS, FakeRouter, opened, request
from portmapper_miniupnpc import MiniupnpcBackend, backend

import portmapper
from portmapper import BackendOptions, Gateway, registry

pytestmark = pytest.mark.anyio

OURS = ("192.168.1.20", 8080, "portmapper", True, 3600)


# --- Opening ----------------------------------------------------------------------------------------------------------


async def test_opening_searches_by_the_right_interface_and_changes_nothing(router: FakeRouter) -> None:
    await opened()
    assert router.options == {
        "multicastif": "192.168.1.20", "minissdpdsocket": "", "discoverdelay": 1000, "localport": 0,
    }  # fmt: skip
    assert router.asked == ["discover", "selectigd"]


async def test_a_patient_search_takes_longer(router: FakeRouter) -> None:
    await MiniupnpcBackend.open(GATEWAY, BackendOptions(timeout=120, key=bytes(16), patient=True))
    assert router.options["discoverdelay"] == 3000


@pytest.mark.parametrize(
    "url",
    [
        "http://192.168.1.2:5000/ctl/IPConn",
        "http://192.168.1.2/",
        "http://192.168.1.10:5000/ctl",
        "http://router.example/ctl",
        "http://192.168.1.2:80@192.168.1.1/ctl",  # the library takes the first address for the host
        "http://192.168.1.1@192.168.1.2/ctl",
        "https://192.168.1.1/ctl",
        "nonsense",
    ],
)
async def test_a_device_that_is_not_the_gateway_is_refused(router: FakeRouter, url: str) -> None:
    router.url = url
    with pytest.raises(portmapper.GatewayUnreachable, match="is not the gateway"):
        await opened()


@pytest.mark.parametrize("url", ["http://192.168.1.1:5000/", None])
async def test_a_gateway_without_the_service_is_refused(router: FakeRouter, url: str | None) -> None:
    router.url = url
    with pytest.raises(portmapper.ProtocolError):
        await opened()


async def test_nothing_found_is_a_timeout(router: FakeRouter) -> None:
    """The library says "Success"."""
    router.fails["discover"] = Exception("Success")
    with pytest.raises(portmapper.GatewayTimeout, match="no UPnP device answered"):
        await opened()


async def test_a_search_that_cannot_be_sent(router: FakeRouter) -> None:
    router.fails["discover"] = Exception("Miniupnpc Socket error")
    with pytest.raises(portmapper.GatewayUnreachable, match="Socket error"):
        await opened()


async def test_answers_without_a_description(router: FakeRouter) -> None:
    router.fails["selectigd"] = Exception("No UPnP device discovered")
    with pytest.raises(portmapper.ProtocolError, match="No UPnP device discovered"):
        await opened()


@pytest.mark.parametrize(
    "gateway",
    [
        Gateway(address=ip_address("fe80::1"), source=ip_address("fe80::2")),
        Gateway(address=ip_address("127.0.0.1"), source=ip_address("127.0.0.1"), ssdp_port=40000),
    ],
)
async def test_what_the_library_cannot_reach_is_not_searched_for(router: FakeRouter, gateway: Gateway) -> None:
    """IPv6, and a simulated gateway: no search of the real network for that."""
    with pytest.raises(portmapper.GatewayUnreachable):
        await MiniupnpcBackend.open(gateway, OPTIONS)
    assert router.asked == []


# --- Unmapping, finding, the address ----------------------------------------------------------------------------------


async def test_unmap(router: FakeRouter) -> None:
    opened_one = await opened()
    lease = await opened_one.map(request())
    await opened_one.unmap(lease)
    assert router.table == {}
    await opened_one.unmap(lease)  # gone already


async def test_somebody_elses_mapping_stays(router: FakeRouter) -> None:
    opened_one = await opened()
    lease = await opened_one.map(request())
    router.table[8080, "TCP"] = OTHERS
    await opened_one.unmap(lease)
    assert router.table == {(8080, "TCP"): OTHERS}


async def test_a_deletion_that_did_nothing_is_no_success(router: FakeRouter) -> None:
    opened_one = await opened()
    lease = await opened_one.map(request())
    router.forgets = True
    with pytest.raises(portmapper.ProtocolError, match="still leads"):
        await opened_one.unmap(lease)


async def test_unmap_does_not_need_to_read_the_mapping(router: FakeRouter) -> None:
    """A description cut inside a character ends in UnicodeDecodeError."""
    opened_one = await opened()
    lease = await opened_one.map(request())
    router.fails["getspecificportmapping"] = UnicodeDecodeError("utf-8", b"\xc3", 0, 1, "cut")
    with pytest.raises(portmapper.ProtocolError, match="not text"):
        await opened_one.unmap(lease)
    assert router.table == {}


async def test_find(router: FakeRouter) -> None:
    opened_one = await opened()
    router.table[9000, "TCP"] = OURS
    lease = await opened_one.find(request(external_port=9000))
    assert lease.external.port == 9000
    await opened_one.unmap(lease)
    assert router.table == {}


@pytest.mark.parametrize("entry", [None, OTHERS, ("192.168.1.20", 81, "", True, 0), ("my-host", 8080, "", True, 0)])
async def test_find_of_what_is_not_ours(router: FakeRouter, entry: tuple[str, int, str, bool, int] | None) -> None:
    if entry is not None:
        router.table[8080, "TCP"] = entry
    with pytest.raises(portmapper.NoMapping):
        await (await opened()).find(request())


async def test_a_silent_device_is_not_one_without_the_mapping(router: FakeRouter) -> None:
    """The library says None for both."""
    router.fails["externalipaddress"] = Exception("Miniupnpc HTTP error")
    with pytest.raises(portmapper.GatewayUnreachable):
        await (await opened()).find(request())


@pytest.mark.parametrize(("text", "address"), [("8.8.4.1", "8.8.4.1"), ("", None), ("0.0.0.0", None)])
async def test_external_address(router: FakeRouter, text: str, address: str | None) -> None:
    router.address = text
    assert await (await opened()).external_address() == (address and ip_address(address))


async def test_an_external_address_that_is_none(router: FakeRouter) -> None:
    router.address = "<b>"
    with pytest.raises(portmapper.ProtocolError, match="no external address"):
        await (await opened()).external_address()


# --- Calls that hang --------------------------------------------------------------------------------------------------


async def test_a_search_that_hangs_ends_at_the_deadline(router: FakeRouter) -> None:
    router.blocked = threading.Event()
    begin = time.monotonic()
    with pytest.raises(portmapper.GatewayTimeout, match="the search") as caught:
        await MiniupnpcBackend.open(GATEWAY, BackendOptions(timeout=0.2, key=bytes(16)))
    assert 0.2 <= time.monotonic() - begin < 0.5
    assert caught.value.seconds == 0.2


async def test_calls_that_hang_cost_one_thread(router: FakeRouter, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second one waits for the first to end, for its own deadline at most."""
    monkeypatch.setattr(backend, "CALL", 0.1)
    opened_one = await opened()
    router.blocked = threading.Event()
    for _ in range(3):
        with pytest.raises(portmapper.GatewayTimeout):
            await opened_one.external_address()
    assert [thread.name for thread in threading.enumerate()].count("portmapper-miniupnpc") == 1
    router.blocked.set()
    monkeypatch.setattr(backend, "CALL", 2)
    assert await opened_one.external_address() == ip_address("203.0.113.7")


async def test_a_cancellation_takes_effect_at_once(router: FakeRouter) -> None:
    router.blocked = threading.Event()
    begin = time.monotonic()
    with anyio.move_on_after(0.1) as scope:
        await opened()
    assert scope.cancelled_caught
    assert time.monotonic() - begin < 0.4


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_a_thread_that_hangs_does_not_hold_up_the_end_of_the_program(loop: str) -> None:
    code = f"""
import anyio, time
from portmapper import GatewayTimeout
from portmapper_miniupnpc.worker import Worker

async def main():
    try:
        await Worker().run(lambda: time.sleep(60), seconds=0.1, what="nothing")
    except GatewayTimeout as error:
        print(error)

anyio.run(main, backend={loop!r})
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=10)
    assert (done.returncode, done.stdout, done.stderr) == (
        0, "the C library was not done with nothing after 0.1 s\n", "",
    )  # fmt: skip


# --- The door ---------------------------------------------------------------------------------------------------------


def test_the_entry_point_is_found() -> None:
    (candidate,) = registry.select(["miniupnpc"])
    assert candidate.load() is MiniupnpcBackend
    assert MiniupnpcBackend.name == candidate.name
    assert MiniupnpcBackend.offers == frozenset()


def test_it_is_not_asked_unless_it_is_named() -> None:
    assert [candidate.name for candidate in registry.select()] == ["pcp", "natpmp", "upnp"]
    assert [candidate.name for candidate in registry.select(["upnp", "miniupnpc"])] == ["upnp", "miniupnpc"]


async def test_the_mapper_maps_through_it_and_releases(router: FakeRouter) -> None:
    async with portmapper.PortMapper(gateway=GATEWAY, backends=["miniupnpc"]) as mapper:
        mapping = await mapper.map(8080)
        assert (str(mapping.external), mapping.backend.name) == ("203.0.113.7:8080", "miniupnpc")
        assert router.table
    assert router.table == {}
