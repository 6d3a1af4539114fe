"""Time from the first call to the mapping, discovery included, against a real miniupnpd; run by `make bench`."""

import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.router.lab import Lab, missing

RUNS = 20
CALL = """
import anyio, sys, time, portmapper
async def main():
    names = sys.argv[1].split(",") if sys.argv[1] else None
    for _ in range(int(sys.argv[2])):
        begin = time.perf_counter()
        async with portmapper.PortMapper(backends=names) as mapper:
            await mapper.map(8080)
            print(time.perf_counter() - begin)
anyio.run(main)
"""


def measure(lab: Lab, backends: str) -> list[float]:
    """Return the milliseconds of each run; the first includes the imports."""
    command = ["ip", "netns", "exec", lab.lan, sys.executable, "-c", CALL, backends, str(RUNS)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [float(line) * 1000 for line in done.stdout.split()]


def main() -> None:
    lacking = missing()
    if lacking is not None:
        sys.exit(f"the benchmark needs {lacking}")
    print(f"{'milliseconds':22} {'first':>8} {'median':>8} {'max':>8}")
    for title, backends, natpmp in (
        ("all, best first", "", True),
        ("PCP", "pcp", True),
        ("NAT-PMP", "natpmp", True),
        ("UPnP IGD", "upnp", True),
        ("all, only UPnP there", "", False),
    ):
        with tempfile.TemporaryDirectory() as folder, Lab(Path(folder), natpmp=natpmp) as lab:
            first, *others = measure(lab, backends)
            print(f"{title:22} {first:8.1f} {statistics.median(others):8.1f} {max(others):8.1f}")


if __name__ == "__main__":
    main()
