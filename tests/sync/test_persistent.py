"""A port that stays open without a block."""

import gc
import time

import pytest

from portmapper import Lease, sync
from portmapper.errors import GatewayTimeout, MapperClosed, NoService
from tests.aside import Besides, Swallowing, aside


def wait_for(told: list[Lease | None], count: int) -> None:
    for _ in range(500):
        if len(told) >= count:
            return
        time.sleep(0.01)
    pytest.fail(f"told only {told}")


def test_it_tells_where_it_is_reached_at_first_at_each_change_and_at_the_end(simulated: Besides) -> None:
    told: list[Lease | None] = []
    kept = sync.persistent_mapping(
        8080, on_mapping=told.append, gateway=simulated.gateway, backends=["pcp"], lifetime=600
    )
    wait_for(told, 1)
    first = kept.current()
    assert first is not None
    kept.refresh()
    simulated.give_away(first.external.port)
    kept.refresh()
    wait_for(told, 2)
    second = kept.current()
    kept.stop()
    kept.stop()
    assert told == [first, second, None]
    assert second is not None
    assert second.external.port != first.external.port
    assert kept.current() is None
    assert list(simulated.table) == []
    with pytest.raises(MapperClosed):
        kept.refresh()


def test_it_stays_when_nobody_looks_at_it(simulated: Besides) -> None:
    kept = sync.persistent_mapping(8080, gateway=simulated.gateway)
    stop = kept.stop
    del kept
    gc.collect()
    assert len(list(simulated.table)) == 1
    stop()
    assert list(simulated.table) == []


def test_one_that_cannot_be_opened_says_why() -> None:
    with pytest.raises(NoService):
        sync.persistent_mapping(8080, gateway="127.0.0.9", backends=["pcp"])


def test_opening_can_be_bounded() -> None:
    with aside(Swallowing()) as swallowing:
        with pytest.raises(GatewayTimeout):
            sync.persistent_mapping(8080, gateway=swallowing.gateway, backends=["pcp"], timeout=0.1)
        time.sleep(1.5)  # it cleans up, and nothing is left behind


def test_ctrl_c_before_it_is_handed_over_leaves_no_port_open(
    simulated: Besides, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody has what could stop it."""

    def interrupt(*_: object) -> None:
        assert list(simulated.table)
        raise KeyboardInterrupt

    monkeypatch.setattr("portmapper.background.residence.Residence.do", interrupt)
    with pytest.raises(KeyboardInterrupt):
        sync.persistent_mapping(8080, gateway=simulated.gateway, on_mapping=lambda lease: None)
    end = time.monotonic() + 2
    while list(simulated.table) and time.monotonic() < end:
        time.sleep(0.01)
    assert list(simulated.table) == []
