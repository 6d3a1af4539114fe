"""What the network and the host's own firewall say instead of an answer (F31, F32, F35)."""

import errno
import subprocess
import time

import pytest

from portmapper import GatewayUnreachable, NoService, PortMapper
from tests.router.conftest import MakeLab
from tests.router.lab import GATEWAY, Lab
from tests.router.namespaces import inside

_REJECT = """
table inet rejecting {{
  chain i {{
    type filter hook input priority -10;
    iifname "lan0" udp dport 5351 reject with icmp type {kind}
  }}
}}
"""
_FORBID = """
table inet forbid {
  chain o {
    type filter hook output priority -10;
    ip daddr 192.168.77.1 drop
  }
}
"""
TOLD = ("port-unreachable", "prot-unreachable", "admin-prohibited", "host-prohibited", "net-prohibited")
UNTOLD = ("host-unreachable", "net-unreachable")


def refused(lab: Lab, *backends: str) -> tuple[NoService, float]:
    """Ask for a mapping on the LAN host; return why there is none, and how long that took."""

    async def ask() -> tuple[NoService, float]:
        async with PortMapper(gateway=GATEWAY, backends=backends) as mapper:
            begin = time.monotonic()
            with pytest.raises(NoService) as caught:
                await mapper.map(8080)
            return caught.value, time.monotonic() - begin

    return lab.ask(ask)


@pytest.mark.conforms("F31", "F32")
def test_what_the_network_says_for_good_is_believed_at_once(make_lab: MakeLab) -> None:
    for kind in TOLD:
        lab = make_lab(upnp=False)
        lab.firewall(_REJECT.format(kind=kind))
        problem, seconds = refused(lab, "pcp", "natpmp")
        assert [type(reason) for reason in problem.reasons.values()] == [GatewayUnreachable] * 2, kind
        assert seconds < 0.2, kind


@pytest.mark.conforms("F32")
def test_what_may_be_over_in_a_moment_counts_as_silence(make_lab: MakeLab) -> None:
    """No route to the host or its network (RFC 1122 section 3.2.2.1): the next protocol has its turn, nobody waits."""
    for kind in UNTOLD:
        lab = make_lab()
        lab.firewall(_REJECT.format(kind=kind))
        begin = time.monotonic()
        done = lab.run("map", "8080", "--once", "--json")
        assert '"backend": "upnp"' in done.stdout
        assert time.monotonic() - begin < 3


@pytest.mark.conforms("F35")
def test_the_firewall_of_this_host_is_named(make_lab: MakeLab) -> None:
    lab = make_lab(upnp=False)
    subprocess.run([*inside(lab.lan), "nft", "-f", "-"], input=_FORBID.encode(), check=True)
    problem, seconds = refused(lab, "pcp", "natpmp")
    for reason in problem.reasons.values():
        assert isinstance(reason, GatewayUnreachable)
        assert (reason.errno, str(reason)) == (
            errno.EPERM, f"sending to {GATEWAY} port 5351 was forbidden on this host; look at its firewall"
        )  # fmt: skip
    assert seconds < 0.2
