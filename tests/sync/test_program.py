"""Whole programs: how they end, how they are interrupted, and what becomes of their children."""

import signal
import time

import pytest

from tests.aside import Besides, Swallowing, aside, finished, program, silent_gateway

OPEN = """
mapper = sync.PortMapper(gateway=gateway, backends=["pcp"]).__enter__()
mapping = mapper.map(8080, lifetime=600)
"""


@pytest.mark.parametrize(
    ("rest", "code"),
    [
        ("", 0),
        ("sys.exit(7)", 7),
        ("raise ZeroDivisionError", 1),
        ("mapping.on_event(lambda event: say(type(event).__name__)); time.sleep(0.2)", 0),
        ("sync.persistent_mapping(8081, gateway=gateway, on_mapping=lambda lease: None); time.sleep(0.2)", 0),
        ("threading.Thread(target=lambda: (time.sleep(0.5), mapping.refresh(), say('refreshed'))).start()", 0),
        ("threading.Thread(target=lambda: list(mapping.events()), daemon=True).start(); time.sleep(0.1)", 0),
    ],
    ids=["end", "exit", "exception", "callback", "persistent", "another thread", "reader"],
)
def test_a_program_that_closes_nothing_leaves_nothing(simulated: Besides, rest: str, code: int) -> None:
    begin = time.perf_counter()
    lines, errors, ended = finished(OPEN + rest, simulated.gateway)
    assert ended == code, errors
    assert list(simulated.table) == []
    assert time.perf_counter() - begin < 5
    if "on_event" in rest:
        assert lines == ["Mapped", "Closed"]
    if "refreshed" in rest:  # the end of the main thread is not the end of the program
        assert lines == ["refreshed"]
    assert "Traceback" not in errors or code == 1


def test_a_program_whose_gateway_died_ends_in_time(simulated: Besides) -> None:
    source = OPEN + "say('open'); sys.stdin.read(); "
    with program(source, simulated.gateway) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        simulated.answer_datagram = lambda data, sender: []  # type: ignore[method-assign]
        begin = time.perf_counter()
        process.communicate("", timeout=10)
        assert time.perf_counter() - begin < 4
        assert process.returncode == 0


INTERRUPTED = """
begin = None
def stop():
    global begin
    time.sleep(0.4)
    begin = time.monotonic()
    os.kill(os.getpid(), signal.SIGINT)
def interrupted(call):
    threading.Thread(target=stop).start()
    try:
        call()
    except KeyboardInterrupt:
        say(json.dumps(round(time.monotonic() - begin, 2)))
"""


@pytest.mark.parametrize(
    "call",
    [
        "lambda: mapper.map(8080)",
        "lambda: list(mapping.events())",
        "lambda: sync.map_port(8080, gateway=gateway, backends=['pcp'])",
    ],
)
def test_ctrl_c_comes_through_at_once_and_the_call_is_undone(call: str) -> None:
    """The gateway swallows requests for mappings of port 8080: without Ctrl-C each call takes 8 s."""
    source = (
        INTERRUPTED
        + f"""
with sync.PortMapper(gateway=gateway, backends=["pcp"]) as mapper:
    mapping = mapper.peer(40000, '127.0.0.1', 443)
    interrupted({call})
    left = time.monotonic()
say(json.dumps(round(time.monotonic() - left, 2)))
"""
    )
    with aside(Swallowing()) as swallowing:
        lines, errors, code = finished(source, swallowing.gateway)
        assert code == 0, errors
        prompt, leaving = map(float, lines)
        assert prompt < 0.3
        assert leaving < 3
        assert [entry for entry in swallowing.table if entry.internal.port == 8080] == []


def test_ctrl_c_cancels_what_it_does_not_wait_for() -> None:
    """While the block goes on, the gateway is asked no more, but told to delete what it may have granted."""
    source = (
        INTERRUPTED
        + """
with sync.PortMapper(gateway=gateway, backends=["pcp"]) as mapper:
    interrupted(lambda: mapper.map(8080))
    time.sleep(1)
    os._exit(0)  # nothing else cleans up
"""
    )
    with aside(Swallowing()) as swallowing:
        _, errors, code = finished(source, swallowing.gateway)
        assert code == 0, errors
        lifetimes = [int.from_bytes(data[4:8]) for data in swallowing.datagrams if data[:2] == b"\x02\x01"]
    assert lifetimes[0] == 7200
    assert lifetimes[-1] == 0


def test_ctrl_c_in_the_block_releases_and_ends_the_program_as_usual(simulated: Besides) -> None:
    source = "with sync.open_mapping(8080, gateway=gateway) as mapping:\n    say('open')\n    time.sleep(30)\n"
    with program(source, simulated.gateway) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=5)
        assert process.returncode == -signal.SIGINT
    assert list(simulated.table) == []


def test_ctrl_c_while_a_silent_gateway_is_looked_for() -> None:
    source = INTERRUPTED + "interrupted(lambda: sync.external_address(gateway=gateway))"
    with silent_gateway() as gateway:
        lines, errors, code = finished(source, gateway)
    assert code == 0, errors
    assert float(lines[0]) < 0.3


FORK = """
with sync.PortMapper(gateway=gateway) as mapper:
    mapping = mapper.map(8080)
    child = os.fork()
    if child == 0:
        try:
            for call in (mapping.refresh, mapping.close, mapper.external_address, lambda: mapper.map(8081)):
                try:
                    call()
                except portmapper.NotHere:
                    pass
                else:
                    say("not refused", call)
            with sync.open_mapping(8082, gateway=gateway) as own:
                say("child", own.internal_port)
            mapper.__exit__(None, None, None)
        finally:
            sys.stdout.flush()
            os._exit(0)
    os.waitpid(child, 0)
    mapping.refresh()
    say("parent", mapping.state)
"""


def test_a_child_uses_its_own_and_the_parent_keeps_what_it_has(simulated: Besides) -> None:
    lines, errors, code = finished(FORK, simulated.gateway)
    assert (lines, code) == (["child 8082", "parent mapped"], 0), errors
    assert list(simulated.table) == []


def test_nothing_can_be_begun_when_the_program_has_ended(simulated: Besides) -> None:
    source = """
def late():
    try:
        sync.external_address(gateway=gateway)
    except portmapper.MapperClosed as error:
        say(error)
sync.external_address(gateway=gateway)
class Late:
    def __del__(self):
        late()
keep = Late()
sys.modules["keep_for_the_end"] = keep
"""
    lines, errors, code = finished(source, simulated.gateway)
    assert (code, lines) == (0, ["the program is ending: no mapping can be made any more"]), errors
