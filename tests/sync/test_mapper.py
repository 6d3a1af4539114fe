"""The mapper without await: what it does for the thread that calls it, and for several at once."""

import asyncio
import gc
import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from math import inf

import anyio
import anyio.to_thread
import pytest

from portmapper import Changed, Closed, Event, Mapped, Renewed, sync
from portmapper.errors import GatewayTimeout, InvalidRequest, MapperClosed, NoMapping, NoService, NotHere
from portmapper.testing import SimulatedGateway
from tests.aside import Besides, Swallowing, aside, silent_gateway


def named(events: object) -> list[str]:
    return [type(event).__name__ for event in events]  # type: ignore[attr-defined]


def test_a_port_is_open_inside_the_block_and_closed_after_it(simulated: Besides) -> None:
    with sync.open_mapping(8080, gateway=simulated.gateway) as mapping:
        (entry,) = simulated.table
        assert mapping.external_port == entry.external_port
        assert mapping.external_address() == mapping.lease.external.address
        assert (mapping.protocol, mapping.internal_port, mapping.backend.name) == ("tcp", 8080, "pcp")
        assert 7190 < mapping.remaining <= 7200
        assert 1000 < mapping.next_attempt < 7200
        assert (mapping.gateway, mapping.state, mapping.problem) == (simulated.gateway, "mapped", None)
    assert list(simulated.table) == []
    assert (mapping.external, mapping.external_port, mapping.state) == (None, 0, "closed")
    assert (mapping.remaining, mapping.next_attempt) == (0, inf)
    with pytest.raises(NoMapping):
        mapping.external_address()


def test_an_exception_in_the_block_comes_through_and_everything_is_closed(simulated: Besides) -> None:
    with pytest.raises(ZeroDivisionError), sync.PortMapper(gateway=simulated.gateway) as mapper:
        mapper.map(8080)
        raise ZeroDivisionError
    assert list(simulated.table) == []


def test_the_thread_is_there_only_while_something_is_open(simulated: Besides) -> None:
    def ours() -> list[str]:
        return [thread.name for thread in threading.enumerate() if thread.name == "portmapper"]

    first, second = sync.PortMapper(gateway=simulated.gateway), sync.PortMapper(gateway=simulated.gateway)
    assert ours() == []
    with first:
        with second:
            assert ours() == ["portmapper"]
        assert ours() == ["portmapper"]
    assert ours() == []


def test_every_question_and_change_has_its_answer(simulated: Besides) -> None:
    with sync.PortMapper(gateway=simulated.gateway) as mapper:
        mapping = mapper.map(8080, lifetime=600)
        assert mapper.mappings == (mapping,)
        assert hash(mapper.mappings[0]) == hash(mapping)
        assert mapper.external_address() == mapping.external_address()
        assert [one.external_port for one in mapper.list_mappings()] == [mapping.external_port]
        assert mapper.gateway == simulated.gateway
        assert mapper.default_lifetime == 7200
        mapping.refresh()
        mapping.refresh(hard=True)
        mapping.restrict("127.0.0.0/8")
        assert [str(one) for one in mapping.lease.request.remote] == ["127.0.0.0/8"]
        mapping.close()
        mapping.close()
        assert not mapper.mappings
        peer = mapper.peer(40000, "127.0.0.1", 443)
        assert peer.lease.request.peer is not None
        mapper.map(8081).detach()
        assert mapper.unmap(8081)
        assert mapper.map_request(mapping.lease.request).internal_port == 8080
        assert mapper.unmap_request(mapping.lease.request)
        assert mapper.unmap_all("tcp") == ("natpmp",)
        tcp, udp = mapper.map_both(8082)
        tcp.pin()
        assert (tcp.protocol, udp.protocol, tcp.external_port) == ("tcp", "udp", udp.external_port)
        assert len(mapper.map_both_request(tcp.lease.request)) == 2
        assert set(mapper.probe()) == {"pcp", "natpmp", "upnp"}
        assert {str(address) for address in mapper.external_addresses().values()} == {"127.0.0.1"}
        mapper.unmap_mine()
    assert not mapper.mappings


def test_stale_mappings_are_removed_by_the_journal(simulated: Besides, tmp_path: object) -> None:
    with sync.PortMapper(gateway=simulated.gateway, state=str(tmp_path)) as mapper:
        mapper.map(8080)
        assert mapper.unmap_stale() == ()


def test_events_come_in_order_and_end_with_closed(simulated: Besides) -> None:
    with sync.PortMapper(gateway=simulated.gateway) as mapper:
        mapping = mapper.map(8080)
        events = mapping.events()
        assert isinstance(next(events), Mapped)
        assert events.wait(0.01) is None
        mapping.refresh()
        assert isinstance(events.wait(5), Renewed)
    assert named(events) == ["Closed"]
    assert events.wait(0) is None
    assert named(mapping.events()) == ["Closed"]


def test_a_reader_that_waits_in_another_thread_is_told_of_the_end(simulated: Besides) -> None:
    with ThreadPoolExecutor() as threads:
        with sync.PortMapper(gateway=simulated.gateway) as mapper:
            told = threads.submit(named, mapper.map(8080).events())
            time.sleep(0.1)
        assert told.result(5) == ["Mapped", "Closed"]


def test_callbacks_are_called_in_a_thread_and_may_use_the_mapper(simulated: Besides) -> None:
    told: list[Event] = []
    until_ended: list[Event] = []
    threads: set[int] = set()

    with sync.PortMapper(gateway=simulated.gateway) as mapper:

        def callback(event: Event) -> None:
            told.append(event)
            threads.add(threading.get_ident())
            if isinstance(event, Mapped):
                mapper.map(8081)

        mapping = mapper.map(8080)
        mapping.on_event(callback)
        end = mapping.on_event(until_ended.append)
        end()
        while len(mapper.mappings) < 2:
            time.sleep(0.01)
    end()
    assert "Closed" not in named(until_ended)
    assert named(told) == ["Mapped", "Closed"]
    assert threading.get_ident() not in threads


def test_several_threads_use_one_mapper_at_once(simulated: Besides) -> None:
    ports = range(8000, 8040)
    with sync.PortMapper(gateway=simulated.gateway) as mapper, ThreadPoolExecutor(len(ports)) as threads:
        mappings = list(threads.map(mapper.map, ports))
        assert sorted(mapping.internal_port for mapping in mappings) == list(ports)
        assert len(mapper.mappings) == len(ports)
        list(threads.map(sync.Mapping.close, mappings[:20]))
        assert len(list(simulated.table)) == 20
    assert list(simulated.table) == []


def test_several_threads_have_mappers_of_their_own(simulated: Besides) -> None:
    def work(port: int) -> int:
        with sync.open_mapping(port, gateway=simulated.gateway) as mapping:
            return mapping.internal_port

    with ThreadPoolExecutor(16) as threads:
        assert list(threads.map(work, range(8000, 8032))) == list(range(8000, 8032))
    assert list(simulated.table) == []


def test_every_gateway_at_once(simulated: Besides) -> None:
    with aside(SimulatedGateway(pcp=False, natpmp=False, upnp=False)) as mute:
        with (
            sync.EveryGateway([simulated.gateway]) as every,
            sync.EveryGateway([mute.gateway], backends=["pcp"]) as none,
        ):
            results = every.map(8080)
            (mapping,) = results.values()
            assert isinstance(mapping, sync.Mapping)
            assert every.mappings == (mapping,)
            assert every.mappers[simulated.gateway].mappings == (mapping,)
            again = every.map_request(mapping.lease.request)
            assert list(again) == [simulated.gateway]
            with pytest.raises(InvalidRequest):
                every.map(0)
            assert isinstance(none.map(8080)[mute.gateway], NoService)
    assert list(simulated.table) == []
    assert not every.mappings


def test_a_call_that_takes_too_long_ends_with_an_error_and_leaves_nothing(simulated: Besides) -> None:
    with aside(Swallowing()) as swallowing, sync.PortMapper(gateway=swallowing.gateway, backends=["pcp"]) as mapper:
        begin = time.perf_counter()
        with pytest.raises(GatewayTimeout, match=r"not done within 0\.2 s") as raised:
            mapper.map(8080, timeout=0.2)
        assert isinstance(raised.value, TimeoutError)
        assert raised.value.seconds == 0.2
        assert time.perf_counter() - begin < 2
        assert not mapper.mappings
        with pytest.raises(InvalidRequest, match="timeout must be 0 seconds or more"):
            mapper.map(8080, timeout=-1)
        with pytest.raises(GatewayTimeout):
            mapper.external_address(timeout=0)


def test_a_gateway_that_is_dead_says_so_and_is_left_in_time() -> None:
    with silent_gateway() as gateway:
        begin = time.perf_counter()
        with pytest.raises(NoService) as raised, sync.PortMapper(gateway=gateway) as mapper:
            mapper.map(8080)
        assert set(raised.value.reasons) == {"pcp", "natpmp", "upnp"}
        assert time.perf_counter() - begin < 4


def test_a_gateway_that_dies_is_left_in_time_and_what_remains_is_told(simulated: Besides) -> None:
    with sync.PortMapper(gateway=simulated.gateway, backends=["pcp"]) as mapper:
        mapping = mapper.map(8080, lifetime=600)
        simulated.answer_datagram = lambda data, sender: []  # type: ignore[method-assign]
        begin = time.perf_counter()
    assert time.perf_counter() - begin < 3
    (closed,) = mapping.events()
    assert isinstance(closed, Closed)
    assert 500 < closed.remaining <= 600


def test_leaving_in_one_thread_ends_the_calls_of_the_others() -> None:
    with aside(Swallowing()) as swallowing, ThreadPoolExecutor() as threads:
        with sync.PortMapper(gateway=swallowing.gateway, backends=["pcp"]) as mapper:
            call = threads.submit(mapper.map, 8080)
            time.sleep(0.2)
            begin = time.perf_counter()
        assert time.perf_counter() - begin < 3
        with pytest.raises(MapperClosed):
            call.result(1)


def test_outside_its_block_a_mapper_says_so(simulated: Besides) -> None:
    mapper = sync.PortMapper(gateway=simulated.gateway)
    with pytest.raises(MapperClosed):
        mapper.map(8080)
    assert not mapper.mappings
    with mapper:
        mapping = mapper.map(8080)
        with pytest.raises(MapperClosed, match="entered once"):
            mapper.__enter__()
    for call in (partial(mapper.map, 8080), mapper.external_address, mapping.refresh, mapper.__enter__):
        with pytest.raises(MapperClosed):
            call()
    with pytest.raises(MapperClosed):
        mapping.on_event(print)
    mapping.close()
    mapping.detach()
    assert not mapper.mappings
    with pytest.raises(MapperClosed):
        sync.EveryGateway([simulated.gateway]).map(8080)


def test_what_cannot_be_entered_says_why_and_leaves_no_thread() -> None:
    with pytest.raises(InvalidRequest, match="gateway must be an IP address"):
        sync.PortMapper(gateway="banana")
    with pytest.raises(InvalidRequest), sync.EveryGateway(["banana"]):
        pass


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_in_an_event_loop_a_call_that_would_stop_it_is_refused(simulated: Besides, loop: str) -> None:
    async def main(mapper: sync.PortMapper, mapping: sync.Mapping) -> None:
        enter = sync.PortMapper(gateway=simulated.gateway).__enter__
        for call in (partial(mapper.map, 8081), mapping.close, mapping.events, partial(sync.map_port, 8081), enter):
            with pytest.raises(NotHere, match=r"await portmapper\.PortMapper"):
                call()
        assert mapping.external is not None  # what does not wait is allowed
        await anyio.to_thread.run_sync(mapping.refresh)  # and so is a thread of one's own

    with sync.PortMapper(gateway=simulated.gateway) as mapper:
        anyio.run(main, mapper, mapper.map(8080), backend=loop)


def test_in_a_callback_of_asyncio_it_is_refused_too(simulated: Besides) -> None:
    """No task is running there."""
    outcome: list[BaseException] = []

    def callback() -> None:
        try:
            sync.map_port(8080, gateway=simulated.gateway)
        except NotHere as error:
            outcome.append(error)

    async def main() -> None:
        asyncio.get_running_loop().call_soon(callback)
        await asyncio.sleep(0.01)

    asyncio.run(main())
    assert len(outcome) == 1


def test_a_coroutine_callback_cannot_stop_the_loop_behind_everything(
    simulated: SimulatedGateway, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR), sync.PortMapper(gateway=simulated.gateway) as mapper:
        mapping = mapper.map(8080)

        async def callback(event: Event) -> None:
            mapping.refresh()

        mapping.on_event(callback)
        while "NotHere" not in caplog.text:
            time.sleep(0.01)
        mapping.refresh()


def forget(held: list[sync.Mapping]) -> None:
    held.clear()
    gc.collect()


def test_a_mapper_that_nobody_leaves_warns_and_is_left(simulated: Besides) -> None:
    mapper = sync.PortMapper(gateway=simulated.gateway).__enter__()
    held = [mapper.map(8080)]
    del mapper
    gc.collect()
    held[0].refresh()  # somebody holds the mapping: it lives
    with pytest.warns(ResourceWarning, match=r"unclosed portmapper\.sync\.PortMapper"):
        forget(held)
    while list(simulated.table):
        time.sleep(0.01)
    while any(thread.name == "portmapper" for thread in threading.enumerate()):
        time.sleep(0.01)


def test_a_new_external_port_is_told(simulated: Besides) -> None:
    with sync.PortMapper(gateway=simulated.gateway, backends=["pcp"]) as mapper:
        mapping = mapper.map(8080)
        events = mapping.events()
        next(events)
        simulated.give_away(mapping.external_port)
        mapping.refresh()
        changed = next(events)
        assert isinstance(changed, Changed)
        assert mapping.external_port == changed.lease.external.port != changed.old.external.port
