"""--exec and --write on a real router: other programs know the port before, during and after what happens to it."""

import time
from collections.abc import Callable
from pathlib import Path

from tests.router.conftest import MakeLab
from tests.router.lab import TOKEN, Lab, answering
from tests.router.namespaces import call, inside
from tests.router.opening import AGE
from tests.router.test_way_out import rules_left

HOOK = "echo $PORTMAPPER_EVENT $PORTMAPPER_EXTERNAL_PORT $PORTMAPPER_PREVIOUS_PORT >> {}/hook"
THEIRS = "TCP:9001:192.168.77.20:9001:0:another host\n"


def until(condition: Callable[[], bool], within: float = 15) -> None:
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


class Ears:
    """What the two other programs know."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.options = ("--write", str(folder / "port"), "--exec", HOOK.format(folder))

    @property
    def port(self) -> str | None:
        try:
            return (self._folder / "port").read_text()
        except FileNotFoundError:
            return None

    @property
    def hook(self) -> list[str]:
        path = self._folder / "hook"
        return [line.strip() for line in path.read_text().splitlines()] if path.exists() else []


def lose_everything(lab: Lab) -> None:
    """Switch the router off: its daemon, its rules and its memory."""
    lab.stop_daemon()
    for chain in ("miniupnpd", "prerouting_miniupnpd", "postrouting_miniupnpd"):
        call(*inside(lab.router), "nft", "flush", "chain", "inet", "filter", chain)


def test_a_reboot_that_gives_the_port_to_another_host_is_told_with_the_new_port(
    make_lab: MakeLab, tmp_path: Path
) -> None:
    """What the file says is reached, before and after."""
    lab, ears = make_lab(), Ears(tmp_path)
    with answering(lab, 8080), lab.running("map", "8080:9001", *ears.options) as command:
        assert command.event()["event"] == "mapped"
        until(lambda: (ears.port, ears.hook) == ("9001\n", ["mapped 9001"]))
        assert lab.reach_tcp(9001) == TOKEN
        time.sleep(AGE)
        lose_everything(lab)
        (tmp_path / "lab0" / "leases").write_text(THEIRS)
        lab.start_daemon()
        until(lambda: len(ears.hook) == 2)
        assert command.event()["event"] == "changed"
        assert ears.port is not None
        port = int(ears.port)
        assert port != 9001
        assert ears.hook[1] == f"changed {port} 9001"
        assert lab.reach_tcp(port) == TOKEN
        command.end()
    assert ears.port is None
    assert ears.hook[2:] == [f"closed {port}"]
    assert all("9001" in rule for rule in rules_left(lab))  # of the other host


def test_a_router_that_is_off_for_longer_than_the_lease_leaves_no_port_in_the_file(
    make_lab: MakeLab, tmp_path: Path
) -> None:
    lab, ears = make_lab(min_lifetime=1), Ears(tmp_path)
    with answering(lab, 8080), lab.running("map", "8080:9001", "--lifetime", "3", *ears.options) as command:
        until(lambda: (ears.port, ears.hook) == ("9001\n", ["mapped 9001"]))
        lose_everything(lab)
        until(lambda: ears.port == "")
        until(lambda: ears.hook[1:] == ["lost 9001"])
        lab.start_daemon()
        until(lambda: ears.port == "9001\n")
        assert lab.reach_tcp(9001) == TOKEN
        until(lambda: len(ears.hook) == 3)
        command.end()
    assert ears.port is None
    assert [one.split()[0] for one in ears.hook] == ["mapped", "lost", "mapped", "closed"]
    assert rules_left(lab) == []
