"""How often and how fast a port is mapped when packets are lost; prints the figures (`make loss`).

`python -m tests.faults.loss_rate [attempts]`
"""

import json
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tests.faults.figures import share_of
from tests.faults.loss import loss
from tests.router.lab import Lab, missing
from tests.router.namespaces import inside

WITHIN = 30.0
AT_ONCE = {"pcp": 40, "natpmp": 40, "upnp": 8}  # miniupnpd lets five connections wait
_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Outcome:
    """What became of the attempts: the seconds of each that succeeded in time, and why the others did not."""

    count: int
    seconds: list[float]
    problems: Counter[str]

    @property
    def rate(self) -> float:
        """The share that succeeded, in percent."""
        return 100 * len(self.seconds) / self.count


def measure(lab: Lab, backend: str, percent: int, count: int, *, at_once: int, loop: str = "asyncio") -> Outcome:
    """Map `count` ports by `backend` while `percent` of the packets are lost each way."""
    module = [sys.executable, "-m", "tests.faults.attempts", backend, str(count), str(at_once), loop]
    with loss(lab, percent):
        command = [*inside(lab.lan), *module]
        done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=True)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    seconds = [one["seconds"] for one in found if not one["problem"] and one["seconds"] <= WITHIN]
    problems = Counter(str(one["problem"] or "too late") for one in found if one["problem"] or one["seconds"] > WITHIN)
    return Outcome(len(found), seconds, problems)


def main() -> None:
    lacking = missing()
    if lacking is not None:
        sys.exit(f"this needs {lacking}")
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 400
    print(f"{'':10} {'loss':>5} {'n':>6} {'mapped':>8} {'p50':>7} {'p95':>7} {'max':>7}")
    for backend in sys.argv[2:] or ["pcp", "natpmp", "upnp"]:
        for percent in (0, 10, 30, 50):
            with tempfile.TemporaryDirectory() as folder, Lab(Path(folder)) as lab:
                found = measure(lab, backend, percent, count, at_once=AT_ONCE[backend])
            times = " ".join(f"{share_of(found.seconds, share):7.3f}" for share in (0.5, 0.95, 1.0))
            print(f"{backend:10} {percent:4}% {found.count:6} {found.rate:7.2f}% {times}", flush=True)
            for problem, times_seen in found.problems.most_common(3):
                print(f"{'':12}{times_seen} x {problem}", file=sys.stderr)


if __name__ == "__main__":
    main()
