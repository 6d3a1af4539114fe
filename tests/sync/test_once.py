"""Single calls: the lease is left behind, and the same process can extend and remove it, by every protocol."""

import os
import subprocess
import sys
import threading
from dataclasses import replace

import pytest

from portmapper import callback, sync
from portmapper.errors import GatewayTimeout, InvalidRequest, MapperClosed, NoGateway, NoService, RequestRefused
from portmapper.testing import PcpSwitches, SimulatedGateway
from tests.aside import Besides, Swallowing, aside


@pytest.mark.parametrize("backend", ["pcp", "natpmp", "upnp"])
def test_a_lease_is_made_extended_and_removed(simulated: Besides, backend: str) -> None:
    lease = sync.map_port(8080, "tcp", 8088, 600, gateway=simulated.gateway, backends=[backend])
    (entry,) = simulated.table
    assert (lease.backend, lease.external.port, lease.lifetime) == (backend, 8088, 600)
    assert entry.external_port == 8088
    again = sync.refresh(replace(lease, request=replace(lease.request, lifetime=900)))
    (entry,) = simulated.table
    assert (again.external, again.lifetime, entry.external_port) == (lease.external, 900, 8088)
    assert sync.unmap(again) is None  # type: ignore[func-returns-value]
    assert list(simulated.table) == []


def test_a_port_is_unmapped_by_its_number_and_all_at_once(simulated: Besides) -> None:
    for port in (8080, 8081, 8082):
        sync.map_port(port, gateway=simulated.gateway, backends=["natpmp"])
    assert sync.unmap_port(8080, gateway=simulated.gateway, backends=["natpmp"]) == ("natpmp",)
    assert len(list(simulated.table)) == 2
    assert sync.unmap_all("tcp", gateway=simulated.gateway) == ("natpmp",)
    assert list(simulated.table) == []


def test_the_addresses(simulated: Besides) -> None:
    assert str(sync.external_address(gateway=simulated.gateway)) == "127.0.0.1"


def test_the_address_of_the_gateway_is_that_of_the_default_route() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root to make a network namespace")
    asked = "from portmapper import sync; print(sync.gateway_address())"
    script = f"""
ip link set lo up
ip link add one type veth peer name two
ip link set two up
ip addr add 192.0.2.2/24 dev one
ip link set one up
ip route add default via 192.0.2.1
{sys.executable} -c '{asked}'
"""
    done = subprocess.run(["unshare", "-n", "sh", "-ec", script], capture_output=True, text=True, timeout=20)
    assert done.stdout.strip() == "192.0.2.1", done.stderr


def test_a_system_without_threads_is_not_taken_for_the_end_of_the_program(
    simulated: Besides, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for a service with a limit of tasks; later there may be one again."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as without:
        without.setattr(threading.Thread, "start", refuse)
        with pytest.raises(MapperClosed, match="no thread could be started: can't start new thread"):
            sync.external_address(gateway=simulated.gateway)
        with pytest.raises(MapperClosed, match="no thread could be started: can't start new thread"):
            callback.get_external_address(simulated.gateway, print)
    assert str(sync.external_address(gateway=simulated.gateway)) == "127.0.0.1"


def test_without_a_route_there_is_no_gateway() -> None:
    with pytest.raises(NoGateway):
        sync.gateway_address(interface="nothing-of-that-name")


def test_errors_come_as_they_are(simulated: Besides) -> None:
    with pytest.raises(InvalidRequest, match="port must be 1 to 65535"):
        sync.map_port(80800, gateway=simulated.gateway)
    with aside(SimulatedGateway(pcp_switches=PcpSwitches(protocols=frozenset()), natpmp=False, upnp=False)) as refusing:
        with pytest.raises(NoService) as raised:
            sync.map_port(8080, gateway=refusing.gateway)
        assert isinstance(raised.value.reasons["pcp"], RequestRefused)


def test_each_can_be_bounded() -> None:
    with aside(Swallowing()) as swallowing, pytest.raises(GatewayTimeout):
        sync.map_port(8080, gateway=swallowing.gateway, backends=["pcp"], timeout=0.1)
