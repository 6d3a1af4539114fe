"""The main job, done once, and how long until it is done again."""

import signal
import time
from collections.abc import Container

from tests.router.lab import EXTERNAL, GATEWAY, LAN_ADDRESS, TOKEN, Lab, answering

PROTOCOLS = ("tcp", "udp")
AGE = 5.0
"""Seconds in the life of a router, after which a restart shows in its epoch at once.

RFC 6886 section 3.6 forgives 2 s and an eighth of the time, and miniupnpd may begin with an epoch of 1.
"""


def open_and_close(lab: Lab, backend: str, *options: str, lifetimes: Container[int] = (7200,)) -> None:
    """Map TCP and UDP 8080, reach both from the WAN host, end the command, and reach neither any more."""
    with answering(lab, 8080), lab.running("map", "8080/tcp", "8080/udp", *options) as command:
        for protocol in PROTOCOLS:
            mapped = command.event()
            assert (mapped["event"], mapped["protocol"], mapped["backend"]) == ("mapped", protocol, backend)
            assert mapped["internal"] == {"address": LAN_ADDRESS, "port": 8080}
            assert mapped["external"] == {"address": EXTERNAL, "port": 8080}
            assert mapped["lifetime"] in lifetimes
            assert mapped["gateway"] == GATEWAY
            assert mapped["reachability"] == "public"
        assert lab.reach_tcp(8080) == TOKEN
        assert lab.reach_udp(8080) == TOKEN
        assert command.end() == 128 + signal.SIGTERM
        assert [command.event()["released"] for _ in PROTOCOLS] == [True, True]
        assert lab.reach_tcp(8080, timeout=0.5) is None
        assert lab.reach_udp(8080, timeout=0.5) is None


def wait_until_reached(lab: Lab, port: int, within: float) -> float:
    """Return the seconds until the WAN host reaches `port` again."""
    begin = time.monotonic()
    while lab.reach_tcp(port, timeout=0.3) != TOKEN:
        assert time.monotonic() - begin < within, f"not reachable within {within} s"
        time.sleep(0.05)
    return time.monotonic() - begin
