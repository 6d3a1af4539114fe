"""The whole command in network namespaces, one for each situation: what is said, and nothing is left behind."""

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.doctor import forks
from tests.doctor.scene import Scene, Seen
from tests.doctor.situations import SITUATIONS, Situation

AT_ONCE = 16  # most of the time is waiting for silence
Outcomes = dict[str, Future[Seen]]


@pytest.fixture(scope="module")
def outcomes(router_machine: None, tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    """Examine all situations side by side; each has ended, well or not."""
    folder = tmp_path_factory.mktemp("doctor")
    with forks.server(folder / "forks") as path, ThreadPoolExecutor(AT_ONCE) as threads:
        return {one.name: threads.submit(examined, one, folder / str(n), path) for n, one in enumerate(SITUATIONS)}


def examined(situation: Situation, folder: Path, path: Path) -> Seen:
    folder.mkdir()
    with Scene(folder, path) as scene:
        situation.build(scene)
        return scene.doctor(*situation.arguments)


@pytest.mark.router
@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda one: one.name)
def test_each_situation_gets_its_verdict(outcomes: Outcomes, situation: Situation) -> None:
    seen = outcomes[situation.name].result()
    told = seen.told
    assert (told["event"], told["verdict"], told["well"]) == ("doctor", situation.code, situation.well), told
    assert seen.code == (0 if situation.well else 1)
    assert seen.errors == ""
    said = " ".join([told["headline"], *told["advice"]])
    assert [words for words in situation.says if words not in said] == [], said
    assert {one["verdict"] for one in told["others"]} >= set(situation.also)
    assert told["advice"]
    assert told["evidence"]["seconds"] < 12
