"""What hostile devices do to programs that use the library: one fresh process for each, which measures itself.

Run inside the LAN host's namespace. The argument is the address of an honest device to warm up with. Each line of
standard input is a JSON object with jobs, and each line of standard output the list of their reports. The processes are
forks of one that has done it all once with the honest device, so that what is only loaded once is not counted.
"""

import gc
import json
import logging
import os
import resource
import selectors
import sys
import threading
import time
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import anyio

from portmapper import NoService, PortMapper, PortMapperError

logging.getLogger("portmapper").addHandler(logging.NullHandler())


@dataclass(frozen=True, slots=True)
class Job:
    """One process: the device, the event loop and what is asked for."""

    gateway: str
    operation: str = "map"
    loop: str = "asyncio"


@dataclass(slots=True)
class Report:
    """What became of a job. `seconds` is the operation, `leaving` the end of the block after it; memory is in MiB."""

    outcome: str = ""
    reasons: list[str] = field(default_factory=list[str])
    problem: str = ""
    seconds: float = 0.0
    leaving: float = 0.0
    processor: float = 0.0
    memory: float = 0.0
    kept: float = 0.0
    descriptors: list[str] = field(default_factory=list[str])
    threads: list[str] = field(default_factory=list[str])


HELD = 3.0


async def hold(mapper: PortMapper) -> object:
    """Keep a mapping for some seconds."""
    mapping = await mapper.map(8080)
    await anyio.sleep(HELD)
    return mapping


OPERATIONS: dict[str, Callable[[PortMapper], Awaitable[object]]] = {
    "map": lambda mapper: mapper.map(8080),
    "list": lambda mapper: mapper.list_mappings(),
    "address": lambda mapper: mapper.external_address(),
    "unmap": lambda mapper: mapper.unmap(8080),
    "hold": hold,
}


def run(job: Job) -> Report:
    """Do a job in this process, and measure."""
    report = Report()
    gc.collect()
    descriptors, threads = _descriptors(), set(threading.enumerate())
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before, processor = _memory("VmRSS"), _processor()
    try:
        anyio.run(_operate, job, report, backend=job.loop)
    except BaseException:  # noqa: BLE001 - told
        report.problem = traceback.format_exc()
    report.processor = _processor() - processor
    report.memory = _memory("VmHWM") - before
    gc.collect()
    report.kept = _memory("VmRSS") - before
    report.descriptors = sorted(_descriptors() - descriptors)
    report.threads = sorted(str(thread) for thread in set(threading.enumerate()) - threads)
    return report


async def _operate(job: Job, report: Report) -> None:
    begin = time.monotonic()
    async with PortMapper(gateway=job.gateway, backends=["upnp"]) as mapper:
        try:
            report.outcome = str(await OPERATIONS[job.operation](mapper))
        except PortMapperError as error:
            report.outcome = f"{type(error).__name__}: {error}"
            reasons = error.reasons.values() if isinstance(error, NoService) else [error]
            report.reasons = [type(reason).__name__ for reason in reasons]
            del error, reasons
        end = time.monotonic()
    report.seconds, report.leaving = end - begin, time.monotonic() - end


def _memory(name: str) -> float:
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name + ":"))
    return int(line.split()[1]) / 1024


def _descriptors() -> set[str]:
    return {f"{number} {_target(number)}" for number in os.listdir("/proc/self/fd")}


def _target(number: str) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{number}")
    except OSError:
        return "gone"  # the listing's own


def _processor() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _forked(job: Job) -> int:
    reader, writer = os.pipe()
    if os.fork():
        os.close(writer)
        return reader
    os.close(reader)
    with os.fdopen(writer, "w") as out:
        json.dump(asdict(run(job)), out)
    sys.stderr.flush()
    os._exit(0)


def run_all(jobs: list[Job], at_once: int) -> list[str]:
    """Do the jobs, so many side by side, and return their reports."""
    waiting, reports = list(enumerate(jobs)), [""] * len(jobs)
    with selectors.DefaultSelector() as selector:
        while waiting or selector.get_map():
            while waiting and len(selector.get_map()) < at_once:
                number, job = waiting.pop(0)
                selector.register(_forked(job), selectors.EVENT_READ, number)
            for key, _ in selector.select():
                selector.unregister(key.fd)
                with os.fdopen(key.fd) as answer:
                    reports[key.data] = answer.read()
                os.wait()
    return reports


def main() -> None:
    """Warm up, then do jobs until standard input ends."""
    honest = sys.argv[1]
    for loop in ("asyncio", "trio"):
        for operation in OPERATIONS.keys() - {"hold"}:
            report = run(Job(honest, operation, loop))
            if report.problem:
                raise RuntimeError(report.problem)
    gc.collect()
    gc.freeze()  # what is there is nothing of the forks' business
    print("ready", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        reports = run_all([Job(**job) for job in order["jobs"]], order["at_once"])
        print(f"[{','.join(reports)}]", flush=True)


if __name__ == "__main__":
    main()
