"""A callback is called once, never from inside the call, whatever becomes of the call."""

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from portmapper import callback
from portmapper.callback import Result
from portmapper.errors import InvalidRequest, NoGateway, NoService, RequestRefused
from portmapper.testing import PcpSwitches, SimulatedGateway
from tests.aside import Besides, Swallowing, aside, finished, program, silent_gateway


class Told:
    """A callback that notes what it is told, and where."""

    def __init__(self) -> None:
        self.calls: list[tuple[Exception | None, Result]] = []
        self.threads: list[str] = []

    def __call__(self, error: Exception | None, result: Result) -> None:
        self.threads.append(threading.current_thread().name)
        self.calls.append((error, result))

    def once(self) -> tuple[Exception | None, Result]:
        """Wait for the call, and until nobody could call any more."""
        deadline = time.monotonic() + 10
        while any(thread.name.startswith("portmapper") for thread in threading.enumerate()):
            assert time.monotonic() < deadline
            time.sleep(0.005)
        (call,) = self.calls
        assert self.threads == ["portmapper callbacks"]
        return call


def test_success(simulated: Besides) -> None:
    told = Told()
    callback.port_map(simulated.gateway, 3000, 3001, 20, told)
    error, result = told.once()
    assert error is None
    assert result == Result(
        external_ip="127.0.0.1",
        private_port=3000,
        public_port=3001,
        ttl=20,
        port_mapping_initialized=simulated.epoch,
        gateway="127.0.0.1",
    )
    twins = (result.externalIP, result.privatePort, result.publicPort, result.portMappingInitialized)
    assert twins == ("127.0.0.1", 3000, 3001, result.port_mapping_initialized)
    (entry,) = simulated.table  # it stays
    assert (entry.internal.port, entry.external_port) == (3000, 3001)


@pytest.mark.parametrize(("backend", "tells"), [("pcp", True), ("natpmp", True), ("upnp", False)])
def test_how_long_the_gateway_has_kept_its_mappings(simulated: Besides, backend: str, tells: bool) -> None:
    simulated._begin -= 1000
    told = Told()
    callback.port_map(simulated.gateway, 3000, 0, 20, told, backends=[backend])
    seconds = told.once()[1].port_mapping_initialized
    assert seconds is None if not tells else seconds is not None and 1000 <= seconds < 1010


def test_the_other_calls(simulated: Besides) -> None:
    told, gone = Told(), Told()
    callback.get_external_address(simulated.gateway, told)
    assert told.once() == (None, Result(external_ip="127.0.0.1", gateway="127.0.0.1"))
    callback.port_map(simulated.gateway, 3000, 3000, 20, Told(), protocol="udp")
    callback.port_unmap(simulated.gateway, 3000, 3000, Told())
    while not list(simulated.table):
        time.sleep(0.01)
    assert next(iter(simulated.table)).protocol == "udp"
    callback.port_unmap(simulated.gateway, 3000, 3000, gone, protocol="udp", backends=["pcp", "upnp"])
    assert gone.once() == (None, Result(private_port=3000, public_port=3000, ttl=0, gateway="127.0.0.1"))
    assert list(simulated.table) == []


def test_refusal() -> None:
    told = Told()
    with aside(SimulatedGateway(pcp_switches=PcpSwitches(protocols=frozenset()), natpmp=False, upnp=False)) as refusing:
        callback.port_map(refusing.gateway, 3000, 3000, 20, told, backends=["pcp"])
        error, result = told.once()
    assert isinstance(error, NoService)
    assert isinstance(error.reasons["pcp"], RequestRefused)
    assert result == Result(gateway="127.0.0.1", error=str(error))


def test_silence() -> None:
    told = Told()
    with silent_gateway() as gateway:
        callback.get_external_address(gateway, told, backends=["natpmp"])
        error, result = told.once()
    assert isinstance(error, NoService)
    assert "natpmp" in result.error


@pytest.mark.parametrize("gateway", ["", None])
def test_no_gateway(gateway: str | None) -> None:
    told = Told()
    callback.port_map(gateway, 3000, 3000, 20, told, interface="nothing-of-that-name")
    error, result = told.once()
    assert isinstance(error, NoGateway)
    assert result == Result(error=str(error))


@pytest.mark.parametrize(
    "begin",
    [
        partial(callback.port_map, "banana", 3000, 3000, 20),
        partial(callback.port_map, "127.0.0.9", 0, 3000, 20),
        partial(callback.port_map, "127.0.0.9", 3000, 3000, 0),
        partial(callback.port_map, "127.0.0.9", "x", 3000, 20),  # type: ignore[arg-type]
        partial(callback.port_map, "127.0.0.9", 3000, 3000, 20, protocol="scp"),
        partial(callback.port_unmap, "127.0.0.9", 70000, 3000),
        partial(callback.get_external_address, "0.0.0.0"),
        partial(callback.persistent, "127.0.0.9", 3000, 3000, -1),
    ],
)
def test_invalid_arguments(begin: Callable[..., object]) -> None:
    told = Told()
    begin(callback=told)
    error, result = told.once()
    assert isinstance(error, InvalidRequest | TypeError)
    assert result.error == str(error)


def test_only_a_callback_that_is_none_is_refused_at_once(simulated: Besides) -> None:
    with pytest.raises(InvalidRequest, match="callback must be a function"):
        callback.get_external_address(simulated.gateway, None)  # type: ignore[arg-type]
    with pytest.raises(InvalidRequest, match="dispatch must be a function"):
        callback.get_external_address(simulated.gateway, print, dispatch=3)  # type: ignore[arg-type]


# By themselves the last two would end the thread without a word.
@pytest.mark.parametrize("failure", [ZeroDivisionError, SystemExit, asyncio.CancelledError])
def test_an_exception_in_a_callback_is_logged_and_harms_nobody(
    simulated: Besides, caplog: pytest.LogCaptureFixture, failure: type[BaseException]
) -> None:
    def fail(error: Exception | None, result: Result) -> None:
        raise failure

    told = Told()
    callback.get_external_address(simulated.gateway, fail)
    callback.get_external_address(simulated.gateway, told)
    assert told.once()[0] is None
    assert failure.__name__ in caplog.text


def test_a_callback_that_calls_is_called_back_after_it_has_returned(simulated: Besides) -> None:
    order: list[str] = []

    def first(error: Exception | None, result: Result) -> None:
        callback.port_map("banana", 3000, 3000, 20, second)
        time.sleep(0.2)  # long enough for the error to be there
        order.append("first")

    def second(error: Exception | None, result: Result) -> None:
        order.append("second")

    callback.get_external_address(simulated.gateway, first)
    while len(order) < 2:
        time.sleep(0.01)
    assert order == ["first", "second"]


def test_a_callback_that_blocks_keeps_no_mapping_from_being_made(simulated: Besides) -> None:
    release = threading.Event()
    callback.get_external_address(simulated.gateway, lambda error, result: release.wait(5))
    callback.port_map(simulated.gateway, 3000, 3000, 20, lambda error, result: None)
    while not list(simulated.table):
        time.sleep(0.01)
    release.set()


def test_a_dispatcher_gets_it_and_decides_when(simulated: Besides) -> None:
    told: list[tuple[str, Exception | None]] = []
    thunks: queue.Queue[Callable[[], Any]] = queue.Queue()

    def note(error: Exception | None, result: Result) -> None:
        told.append((threading.current_thread().name, error))

    callback.get_external_address(simulated.gateway, note, dispatch=thunks.put)
    thunk = thunks.get(timeout=5)
    assert told == []
    thunk()
    thunk()  # a dispatcher that is careless does no harm
    assert told == [(threading.current_thread().name, None)]


def test_the_loop_of_the_caller_is_a_dispatcher(simulated: Besides) -> None:
    async def main() -> tuple[str, str | None]:
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[tuple[str, str | None]] = loop.create_future()

        def note(error: Exception | None, result: Result) -> None:
            outcome.set_result((threading.current_thread().name, result.external_ip))

        callback.get_external_address(simulated.gateway, note, dispatch=loop.call_soon_threadsafe)
        return await asyncio.wait_for(outcome, 5)

    assert asyncio.run(main()) == (threading.current_thread().name, "127.0.0.1")


@pytest.mark.parametrize("failure", [RuntimeError, SystemExit])
def test_a_dispatcher_that_fails_is_logged(
    simulated: Besides, caplog: pytest.LogCaptureFixture, failure: type[BaseException]
) -> None:
    def broken(thunk: Callable[[], Any]) -> None:
        raise failure("the window is closed")

    told = Told()
    with caplog.at_level(logging.ERROR):
        callback.get_external_address(simulated.gateway, print, dispatch=broken)
        callback.get_external_address(simulated.gateway, told)
        told.once()
    assert "the window is closed" in caplog.text


NOTE = "def note(error, result): say(type(error).__name__, result.external_ip)\n"


def test_a_program_that_ends_during_a_call_waits_for_it(simulated: Besides) -> None:
    source = NOTE + "callback.get_external_address(gateway, note)\ncallback.port_map(gateway, 3000, 3000, 20, note)"
    lines, errors, code = finished(source, simulated.gateway)
    assert (lines, code) == (["NoneType 127.0.0.1"] * 2, 0), errors
    assert len(list(simulated.table)) == 1


def test_a_program_that_ends_during_a_call_of_which_nothing_comes_is_told() -> None:
    source = NOTE + "callback.port_map(gateway, 3000, 3000, 20, note, backends=['pcp'])"
    with aside(Swallowing()) as swallowing:
        begin = time.perf_counter()
        lines, errors, code = finished(source, swallowing.gateway)
        assert (lines, code) == (["MapperClosed None"], 0), errors
        assert time.perf_counter() - begin < 7
        assert list(swallowing.table) == []


def test_a_child_is_told_nothing_of_the_calls_of_its_parent(simulated: Besides) -> None:
    source = (
        NOTE
        + """
loaded = threading.Event()  # a fork in the midst of an import would leave its lock behind, as in every program
callback.get_external_address(gateway, lambda error, result: loaded.set())
loaded.wait()
callback.get_external_address(gateway, note)
child = os.fork()
if child == 0:
    callback.get_external_address(gateway, lambda error, result: say("child", result.external_ip))
    time.sleep(0.5)
    os._exit(0)
os.waitpid(child, 0)
"""
    )
    lines, errors, code = finished(source, simulated.gateway)
    assert (sorted(lines), code) == (["NoneType 127.0.0.1", "child 127.0.0.1"], 0), errors


def test_a_child_does_not_wait_at_its_end_for_the_calls_of_its_parent() -> None:
    source = """
callback.get_external_address(gateway, print, backends=["pcp"])
child = os.fork()
if child == 0:
    sys.exit(0)
begin = time.monotonic()
os.waitpid(child, 0)
say(time.monotonic() - begin < 1)
os._exit(0)
"""
    with silent_gateway() as gateway:
        lines, errors, code = finished(source, gateway)
    assert (lines, code) == (["True"], 0), errors


def test_ctrl_c_ends_a_program_that_keeps_a_port_open_and_closes_it(simulated: Besides) -> None:
    import signal

    source = (
        NOTE
        + """
callback.persistent(gateway, 3000, 0, 600, note, on_mapping=lambda result: say("at", result and result.public_port))
time.sleep(30)
"""
    )
    with program(source, simulated.gateway) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "NoneType 127.0.0.1\n"
        assert process.stdout.readline() == "at 3000\n"
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=5)
    assert output == "at None\n"
    assert list(simulated.table) == []
