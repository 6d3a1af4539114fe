"""A hostile gateway on a real network: whatever it does, asking it ends in time, costs little and contacts nobody else.

What the traps may not see: any packet to the WAN host or beyond, to another LAN host, or to the LAN host itself.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import pytest

from portmapper import limits
from portmapper.errors import GatewayTimeout, GatewayUnreachable, ProtocolError
from portmapper.upnp.faults import Fault
from tests.router.hostile_client import Report
from tests.router.hostile_lab import HostileLab
from tests.router.hostile_modes import CLASSES, NEIGHBOUR

pytestmark = pytest.mark.router

BAR = 5.1  # seconds, for whatever is asked (B18)
LEAVING = limits.RELEASE + limits.GRACE  # a delete that was begun is let end
MEMORY = 4.0  # MiB (B18)
BUSY = 0.6  # seconds that a deadline may come late on a machine that runs two dozen such processes
REASONS = {error.__name__ for error in (GatewayTimeout, GatewayUnreachable, ProtocolError, Fault)}
MAPPED = "<Mapping "


@pytest.fixture(scope="module")
def lab(router_machine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostileLab]:
    with HostileLab(tmp_path_factory.mktemp("hostile")) as made:
        yield made


def attack(
    lab: HostileLab,
    *classes: str | Iterable[str],
    operations: Sequence[str] = ("map",),
    at_once: int = 48,
    seconds: float = BAR,
    allowed: Iterable[str] = (),
) -> dict[str, Report]:
    """Have every device of some classes asked; check what holds for all of them, and return what became of each.

    `allowed` are the traps into which packets may fall.
    """
    lab.empty_traps()
    names = [name for kind in classes for name in (CLASSES[kind] if isinstance(kind, str) else kind)]
    reports = lab.run_jobs(names, operations, at_once=at_once)
    problems = {name: found for name, report in reports.items() if (found := problems_of(report, seconds))}
    assert not problems
    caught = {name: seen for name, seen in lab.caught().items() if name not in allowed}
    assert not any(caught.values()), caught
    return reports


def problems_of(report: Report, seconds: float) -> list[str]:
    """Return what is wrong with a report."""
    wrong = {
        report.problem: report.problem,
        f"it took {report.seconds:.2f} s": report.seconds > seconds,
        f"leaving took {report.leaving:.2f} s": report.leaving > LEAVING + BUSY,
        f"it took {report.memory:.1f} MiB": report.memory >= MEMORY,
        f"it left {report.descriptors} {report.threads}": report.descriptors or report.threads,
        f"it failed with {report.outcome}": not set(report.reasons) <= REASONS,
        f"it showed {report.outcome!r}": not report.outcome.replace("\n", "").isprintable(),
    }
    return [text for text, is_so in wrong.items() if is_so]


def mapped(reports: Mapping[str, Report]) -> set[str]:
    """Return the names of the devices that made a mapping all the same."""
    return {name for name, report in reports.items() if report.outcome.startswith(MAPPED)}


SEARCH = limits.DISCOVERY + BUSY
DESCRIBED = SEARCH + limits.DESCRIBED


def test_the_traps_are_none_too_few(lab: HostileLab) -> None:
    """What connects anywhere but to the router is seen, so that the other tests prove something."""
    lab.empty_traps()
    lab.connect(("8.8.4.2", 8080), ("11.0.0.1", 5000), ("169.254.169.254", 80))
    lab.connect(("127.0.0.1", 9), ("10.66.0.3", 1))
    lab.connect(("10.66.0.1", 9))  # that is the router
    caught = lab.caught()
    assert caught["wan"].keys() == {"8.8.4.2 8080 tcp", "11.0.0.1 5000 tcp", "169.254.169.254 80 tcp"}
    assert caught["neighbour"].keys() == {"10.66.0.3 1 tcp"}
    assert "127.0.0.1 9 tcp" in caught["loopback"]


def test_an_honest_device_on_this_network_makes_mappings(lab: HostileLab) -> None:
    assert mapped(attack(lab, "honest")) == {"honest"}


@pytest.mark.conforms("UP-32")
def test_a_description_that_comes_slowly_or_never_is_given_up_s8(lab: HostileLab) -> None:
    assert not mapped(attack(lab, "slow", seconds=DESCRIBED))


@pytest.mark.conforms("UP-32", "UP-61")
def test_a_description_without_end_is_cut_off_s7_s9_s10_s11(lab: HostileLab) -> None:
    """What comes after as many bytes as the head promised is not even read."""
    assert mapped(attack(lab, "large", seconds=DESCRIBED)) == {"get 600-mb-after-the-end"}


@pytest.mark.conforms("UP-32")
def test_no_redirect_is_followed_s31(lab: HostileLab) -> None:
    assert not mapped(attack(lab, "redirects", seconds=SEARCH))


@pytest.mark.conforms("UP-32")
def test_a_location_elsewhere_is_not_contacted_s28(lab: HostileLab) -> None:
    """One that names another host of the LAN is asked for at the device itself, where nothing of the kind is."""
    assert not mapped(attack(lab, "locations", seconds=SEARCH))


@pytest.mark.conforms("UP-36")
def test_a_url_base_elsewhere_is_not_believed_s30(lab: HostileLab) -> None:
    """One on the same link is read as the device's own address, and there is nothing at its port 8080."""
    reports = attack(lab, "bases")
    near = {f"base {name}" for name in ("this-host", *NEIGHBOUR)}
    assert set(reports) - mapped(reports) <= near


@pytest.mark.conforms("UP-32", "UP-35")
def test_a_control_url_elsewhere_is_not_contacted_s30(lab: HostileLab) -> None:
    reports = attack(lab, "controls")
    lost = mapped(reports)
    assert lost <= {f"control {name}" for name in ("triple", "empty-host", "dots", "tab", "newline", "relative")}, lost


@pytest.mark.conforms("UP-41")
def test_entities_and_depth_cost_nothing_s13_s15(lab: HostileLab) -> None:
    assert not mapped(attack(lab, "bombs", seconds=SEARCH))


@pytest.mark.conforms("UP-42")
def test_odd_encodings_are_read_or_refused_s16(lab: HostileLab) -> None:
    read = {"gb2312", "utf-16", "unknown", "lying-utf-16", "lying-utf-8", "utf-7"}  # the last is plain ASCII here
    assert mapped(attack(lab, "charsets")) >= {f"get {name}" for name in read}


@pytest.mark.conforms("UP-58", "UP-61")
def test_slow_answers_to_requests_end_in_time_s8(lab: HostileLab) -> None:
    attack(lab, "requests slow", at_once=12)


def test_slow_answers_to_deletes_do_not_keep_the_program_from_leaving_s8(lab: HostileLab) -> None:
    reports = attack(lab, "deletes")
    assert mapped(reports) == set(reports)


@pytest.mark.conforms("UP-57", "UP-61")
def test_answers_to_requests_without_end_are_cut_off_s7_s9_s10_s11(lab: HostileLab) -> None:
    attack(lab, "requests large", at_once=16)


@pytest.mark.conforms("UP-41", "UP-42", "UP-57")
def test_redirects_bombs_and_odd_encodings_in_answers_to_requests_s13_s15_s16_s31(lab: HostileLab) -> None:
    """What was asked for is done all the same, and shows: the mapping counts."""
    reports = attack(lab, "requests redirected", "requests bombed", "requests charsets", at_once=6)
    assert mapped(reports) == set(reports)


@pytest.mark.conforms("UP-57")
def test_a_device_that_attacks_with_every_answer_is_left_in_time(lab: HostileLab) -> None:
    attack(lab, "everything", operations=("map", "list", "address", "unmap"))


@pytest.mark.conforms("UP-90", "UP-91")
def test_lists_that_are_attacks_end_in_time(lab: HostileLab) -> None:
    attack(lab, "lists", operations=("list",))


@pytest.mark.conforms("UP-32", "UP-49")
def test_forged_answers_to_a_search_change_nothing_s5_s34_s36(lab: HostileLab) -> None:
    reports = attack(lab, "floods", seconds=SEARCH, at_once=4)
    assert not mapped(reports)
    answered = {"flood own", "flood elsewhere"}
    for name, report in reports.items():
        assert report.reasons == (["ProtocolError"] if name in answered else ["GatewayTimeout"])


@pytest.mark.conforms("UP-49")
def test_the_gateway_is_found_in_a_flood_of_forged_answers_s5_s34(lab: HostileLab) -> None:
    reports = attack(lab, "true floods", at_once=1)
    assert mapped(reports) == set(reports)


@pytest.mark.conforms("UP-32")
@pytest.mark.parametrize("name", CLASSES["neighbours"])
def test_a_neighbour_that_calls_itself_the_gateway_is_contacted_a_few_times_at_most_s36(
    lab: HostileLab, name: str
) -> None:
    """It could be the gateway under another address; only it itself is asked, whatever address it names."""
    (report,) = attack(lab, {name: CLASSES["neighbours"][name]}, seconds=SEARCH, allowed=["neighbour"]).values()
    assert report.reasons
    assert sum(lab.caught()["neighbour"].values()) <= limits.DESCRIPTION_FETCHES


@pytest.mark.conforms("UP-25")
def test_a_flood_of_restarts_costs_nothing_s24_s38(lab: HostileLab) -> None:
    (report,) = attack(lab, "restarts", operations=("hold",)).values()
    assert report.outcome.startswith(MAPPED)
