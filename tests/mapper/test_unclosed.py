"""A mapper that nobody leaves, in programs of their own: it says so, and takes back what a datagram can."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from anyio.from_thread import start_blocking_portal

from portmapper.model import IPAddress
from portmapper.testing import SimulatedGateway

PRELUDE = """
import asyncio, gc, os, signal, sys, threading, time
from ipaddress import ip_address

import anyio
import trio

import portmapper
from portmapper import Gateway, NotHere, PortMapper, open_mapping
from portmapper.net import clock

HERE = ip_address("127.0.0.1")
GATEWAY = Gateway(address=HERE, source=HERE, port=int(sys.argv[1]))
BACKENDS = [sys.argv[2]]

def a_mapper():
    return PortMapper(gateway=GATEWAY, backends=BACKENDS)

async def enter():
    mapper = await a_mapper().__aenter__()
    await mapper.map(4001)
    await mapper.map(4002, "udp")
    return mapper

def tells(what):
    print(what, flush=True)
    sys.stdin.readline()
"""

ABANDONED = {
    "returned": """
async def main():
    await enter()
asyncio.run(main())
gc.collect()
tells("collected")
""",
    "collected-in-another-loop": """
async def main():
    await enter()
asyncio.run(main())
async def other():
    gc.collect()
asyncio.run(other())
tells("collected")
""",
    "kept-to-the-end": """
mapper = asyncio.new_event_loop().run_until_complete(enter())
""",
    "exit": """
mapper = asyncio.new_event_loop().run_until_complete(enter())
sys.exit(0)
""",
    "interrupted": """
mapper = asyncio.new_event_loop().run_until_complete(enter())
signal.signal(signal.SIGINT, signal.default_int_handler)
try:
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    pass
""",
    "in-a-thread": """
def run():
    global mapper
    mapper = asyncio.new_event_loop().run_until_complete(enter())
thread = threading.Thread(target=run)
thread.start()
thread.join()
""",
    "exit-in-another-task": """
ready = asyncio.Event()
async def hold():
    async with a_mapper() as mapper:
        await mapper.map(4001)
        await mapper.map(4002, "udp")
        ready.set()
        await asyncio.sleep(60)
async def leave():
    await ready.wait()
    sys.exit(0)
async def main():
    await asyncio.gather(hold(), leave())
asyncio.run(main())
""",
    "interrupted-while-it-releases": """
from portmapper.natpmp.backend import NatPmpBackend
from portmapper.pcp.backend import PcpBackend
async def unmap(self, lease):
    await asyncio.sleep(60)
NatPmpBackend.unmap = PcpBackend.unmap = unmap
def interrupt():
    raise KeyboardInterrupt
async def main():
    async with a_mapper() as mapper:
        await mapper.map(4001)
        await mapper.map(4002, "udp")
        asyncio.get_running_loop().call_later(0.2, interrupt)
try:
    asyncio.new_event_loop().run_until_complete(main())
except KeyboardInterrupt:
    pass
""",
    "trio": """
async def main():
    await enter()
try:
    trio.run(main)
except trio.TrioInternalError:
    pass  # for the nursery that was left open
""",
}

LEFT = {
    "end-of-the-loop-with-a-background-task": """
ready = asyncio.Event()
async def hold():
    async with a_mapper() as mapper:
        await mapper.map(4001)
        ready.set()
        await asyncio.sleep(60)
async def main():
    global task
    task = asyncio.create_task(hold())
    await ready.wait()
asyncio.run(main())
""",
    "nursery-cancelled": """
async def hold(task_status):
    async with open_mapping(4001, gateway=GATEWAY, backends=BACKENDS):
        task_status.started()
        await trio.sleep(60)
async def main():
    async with trio.open_nursery() as nursery:
        await nursery.start(hold)
        nursery.cancel_scope.cancel()
trio.run(main)
""",
    "exit-in-the-block": """
async def main():
    async with a_mapper() as mapper:
        await mapper.map(4001)
        sys.exit(0)
anyio.run(main, backend=sys.argv[3])
""",
    "interrupted": """
signal.signal(signal.SIGINT, signal.default_int_handler)
async def main():
    async with a_mapper() as mapper:
        await mapper.map(4001)
        signal.raise_signal(signal.SIGINT)
        await anyio.sleep(60)
try:
    anyio.run(main, backend=sys.argv[3])
except KeyboardInterrupt:
    pass
""",
}

HOLDING = """
async def main():
    mapper = await PortMapper(gateway=GATEWAY, backends=BACKENDS, state={state!r}).__aenter__()
    await mapper.map(4001, share=True)
    await mapper.map({port})
    tells("mapped")
    {end}
asyncio.run(main())
"""

FORKED = """
async def renews_when_it_is_time(mapper):
    now = clock.now
    clock.now = lambda: now() + 4000
    mapper._keeper.wake()
    await anyio.sleep(0.5)

async def main():
    async with a_mapper() as mapper:
        mapping = await mapper.map(4001)
        tells("mapped")
        pid = os.fork()
        if pid == 0:
            assert mapper.mappings == ()
            for call in (mapping.refresh, mapping.close, mapping.restrict, mapper.external_address):
                try:
                    await call()
                except NotHere as error:
                    assert "forked" in str(error)
                else:
                    os._exit(2)
            if sys.argv[3] == "trio":  # asyncio has no running loop in a process that was forked
                await renews_when_it_is_time(mapper)
            {end}
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        tells(f"the child ended with {{code}}")
        await renews_when_it_is_time(mapper)
        tells("renewed")
anyio.run(main, backend=sys.argv[3])
"""


ELSEWHERE = """
def in_a_thread_of_its_own(call):
    failures = []
    async def attempt():
        try:
            result = call()
            if result is not None:
                await result
        except NotHere as error:
            failures.append(str(error))
    thread = threading.Thread(target=anyio.run, args=(attempt,), kwargs={"backend": sys.argv[3]})
    thread.start()
    thread.join()
    return failures

async def main():
    async with a_mapper() as mapper:
        mapping = await mapper.map(4001)
        for call in (
            mapping.refresh, mapping.close, mapping.detach, mapping.restrict, mapper.external_address,
            lambda: mapper.map(4002), lambda: mapper.unmap(4001), lambda: mapper.__aexit__(None, None, None),
        ):
            assert "another event loop" in "".join(in_a_thread_of_its_own(call)), call
        assert mapper.mappings == (mapping,)
        tells("refused")
anyio.run(main, backend=sys.argv[3])
"""


class Noting(SimulatedGateway):
    """Notes what it is asked."""

    asked = 0

    def answer_datagram(self, data: bytes, sender: IPAddress) -> list[bytes]:
        self.asked += 1
        return super().answer_datagram(data, sender)


@pytest.fixture
def simulated() -> Iterator[Noting]:
    """A gateway that outlives the programs."""
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(Noting()) as gateway:
        assert isinstance(gateway, Noting)
        yield gateway


@contextmanager
def program(
    simulated: SimulatedGateway, code: str, backend: str, loop: str = "asyncio"
) -> Iterator[subprocess.Popen[str]]:
    arguments = [str(simulated.gateway.port), backend, loop]
    command = [sys.executable, "-W", "always::ResourceWarning", "-c", PRELUDE + code, *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, process_group=0) as run:
        watchdog = threading.Timer(20, os.killpg, (run.pid, signal.SIGKILL))
        watchdog.start()
        try:
            yield run
        finally:
            watchdog.cancel()
            watchdog.join()


def told(run: subprocess.Popen[str]) -> str:
    assert run.stdout is not None
    return run.stdout.readline().rstrip("\n")


def go_on(run: subprocess.Popen[str]) -> None:
    assert run.stdin is not None
    run.stdin.write("\n")
    run.stdin.flush()


def ports(simulated: SimulatedGateway) -> set[int]:
    return {entry.external_port for entry in simulated.table}


@pytest.mark.conforms("F49", "F50")
@pytest.mark.parametrize("backend", ["pcp", "natpmp"])
@pytest.mark.parametrize("code", ABANDONED.values(), ids=ABANDONED.keys())
def test_what_nobody_left_is_said_and_taken_back(simulated: Noting, code: str, backend: str) -> None:
    """F49, F50."""
    with program(simulated, code, backend) as run:
        _, problems = run.communicate("\n")
    assert all(one in problems for one in ("ResourceWarning: unclosed PortMapper with ", "4001/tcp", "4002/udp"))
    assert run.returncode == 0
    assert ports(simulated) == set()


@pytest.mark.conforms("F50")
def test_what_is_collected_is_taken_back_at_once(simulated: Noting) -> None:
    with program(simulated, ABANDONED["returned"], "pcp") as run:
        assert told(run) == "collected"
        deadline = time.monotonic() + 2  # the gateway may have heard nothing yet: nobody waits for its answer
        while ports(simulated) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert ports(simulated) == set()
        run.communicate("\n")


def test_what_another_program_holds_too_stays(simulated: Noting, tmp_path: Path) -> None:
    """With `state`, and `share`; what it holds alone is taken back."""
    stays, goes = (
        HOLDING.format(state=str(tmp_path), port=port, end=end)
        for port, end in ((4003, "await mapper.__aexit__(None, None, None)"), (4002, "return"))
    )
    with program(simulated, stays, "pcp") as holder:
        assert told(holder) == "mapped"
        with program(simulated, goes, "pcp") as run:
            assert told(run) == "mapped"
            assert ports(simulated) == {4001, 4002, 4003}
            _, problems = run.communicate("\n")
        assert "ResourceWarning: unclosed PortMapper with " in problems
        assert ports(simulated) == {4001, 4003}
        _, problems = holder.communicate("\n")
    assert problems == ""
    assert ports(simulated) == set()


@pytest.mark.conforms("F49")
@pytest.mark.parametrize("loop", ["asyncio", "trio"])
@pytest.mark.parametrize("code", LEFT.values(), ids=LEFT.keys())
def test_what_is_left_on_the_way_out_says_nothing(simulated: Noting, code: str, loop: str) -> None:
    """F49: loops that end and programs that exit cancel the block, and that releases."""
    with program(simulated, code, "pcp", loop) as run:
        _, problems = run.communicate("\n")
    assert problems == ""
    assert run.returncode == 0
    assert ports(simulated) == set()


@pytest.mark.conforms("F51")
@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_in_another_loop_or_thread_every_call_is_refused_and_changes_nothing(simulated: Noting, loop: str) -> None:
    """F51."""
    with program(simulated, ELSEWHERE, "pcp", loop) as run:
        assert told(run) == "refused"
        assert ports(simulated) == {4001}
        _, problems = run.communicate("\n")
    assert problems == ""
    assert ports(simulated) == set()


@pytest.mark.conforms("F51")
@pytest.mark.parametrize(
    ("loop", "end"),
    [
        ("asyncio", "os._exit(0)"),
        ("asyncio", "sys.exit(0)"),
        ("asyncio", "del mapper, mapping; gc.collect(); return"),
        # A copy of trio that ends in another way takes the sockets from the epoll object that its parent has too.
        ("trio", "os._exit(0)"),
    ],
)
def test_a_process_that_was_forked_neither_renews_nor_releases(simulated: Noting, end: str, loop: str) -> None:
    """F51: however it ends, while its parent holds on."""
    with program(simulated, FORKED.format(end=end), "pcp", loop) as run:
        assert told(run) == "mapped"
        before = simulated.asked
        go_on(run)
        assert told(run) == "the child ended with 0"
        assert simulated.asked == before
        assert ports(simulated) == {4001}
        go_on(run)
        assert told(run) == "renewed"
        assert simulated.asked > before
        _, problems = run.communicate("\n")
    assert "unclosed" not in problems
    assert ports(simulated) == set()
