"""Loss between the LAN host and the router itself, by nftables; what is forwarded to the WAN is not hit.

Dropped where it arrives, on either side: what is dropped on its way out tells its sender.
"""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from tests.router.lab import GATEWAY, Lab
from tests.router.namespaces import inside

_TABLE = """
table inet lossy {{
  chain arrive {{
    type filter hook input priority -300;
    {what} numgen random mod 100 < {percent} drop
  }}
}}
"""


@contextmanager
def loss(lab: Lab, percent: int) -> Iterator[None]:
    """Lose `percent` of the packets each way, independently of each other."""
    if not percent:
        yield
        return
    _nft(lab.router, _TABLE.format(what='iifname "lan0" meta l4proto { tcp, udp }', percent=percent))
    _nft(lab.lan, _TABLE.format(what=f'iifname "eth0" ip saddr {GATEWAY} meta l4proto {{ tcp, udp }}', percent=percent))
    try:
        yield
    finally:
        for namespace in (lab.router, lab.lan):
            _nft(namespace, "delete table inet lossy\n")


def _nft(namespace: str, rules: str) -> None:
    subprocess.run([*inside(namespace), "nft", "-f", "-"], input=rules.encode(), check=True)
