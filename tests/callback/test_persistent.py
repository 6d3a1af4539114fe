"""A port that stays open, and a call back whenever that changes where it is reached."""

import gc
import time
from typing import Any

import pytest

from portmapper import callback
from portmapper.callback import Result
from portmapper.errors import InvalidRequest, MapperClosed, NoService
from tests.aside import Besides


class Told(list[Any]):
    """Takes calls, and waits for them."""

    def __call__(self, *arguments: object) -> None:
        self.append(arguments if len(arguments) > 1 else arguments[0])

    def wait(self, count: int) -> None:
        for _ in range(1000):
            if len(self) >= count:
                break
            time.sleep(0.005)
        assert len(self) == count


def test_it_is_told_at_first_at_each_change_and_at_the_end(simulated: Besides) -> None:
    opened, reached, renewed, stopped = Told(), Told(), Told(), Told()
    kept = callback.persistent(simulated.gateway, 3000, 3000, 600, opened, on_mapping=reached, backends=["pcp"])
    reached.wait(1)
    first = kept.current
    assert first is not None
    assert (first.public_port, first.ttl) == (3000, 600)
    simulated.give_away(3000)
    kept.refresh(renewed)
    reached.wait(2)
    second = kept.current
    assert second is not None
    assert second.public_port != 3000
    kept.stop(stopped)
    kept.stop()
    stopped.wait(1)
    reached.wait(3)
    assert [tuple(opened), tuple(renewed)] == [((None, first),), ((None, second),)]
    assert reached == [first, second, None]
    assert stopped == [(None, Result(ttl=0, gateway="127.0.0.1"))]
    assert kept.current is None
    assert list(simulated.table) == []
    late = Told()
    kept.refresh(late)
    kept.stop(late)
    late.wait(2)
    assert isinstance(late[0], tuple)
    assert isinstance(late[0][0], MapperClosed)


def test_it_stays_when_nobody_looks_at_it(simulated: Besides) -> None:
    opened, stopped = Told(), Told()
    stop = callback.persistent(simulated.gateway, 3000, 3000, 600, opened).stop
    opened.wait(1)
    gc.collect()
    assert len(list(simulated.table)) == 1
    stop(stopped)
    stopped.wait(1)
    assert list(simulated.table) == []


def test_one_that_cannot_be_opened_is_told_once(simulated: Besides) -> None:
    opened, reached, stopped = Told(), Told(), Told()
    kept = callback.persistent("127.0.0.9", 3000, 3000, 600, opened, on_mapping=reached, backends=["pcp"])
    opened.wait(1)
    kept.stop(stopped)
    stopped.wait(1)
    ((error, result),) = opened
    assert isinstance(error, NoService)
    assert result == Result(gateway="127.0.0.9", error=str(error))
    assert (reached, kept.current) == ([], None)


def test_one_that_is_stopped_before_it_is_open_is_told_so(simulated: Besides) -> None:
    opened, stopped = Told(), Told()
    callback.persistent(simulated.gateway, 3000, 3000, 600, opened).stop(stopped)
    stopped.wait(1)
    opened.wait(1)
    ((error, _),) = opened
    assert isinstance(error, MapperClosed)
    assert list(simulated.table) == []


def test_what_is_no_function_is_refused(simulated: Besides) -> None:
    with pytest.raises(InvalidRequest, match="on_mapping must be a function"):
        callback.persistent(simulated.gateway, 3000, 3000, 600, print, on_mapping=3)  # type: ignore[arg-type]
