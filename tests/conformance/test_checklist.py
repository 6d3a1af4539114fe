"""The checklist is whole, its rows have tests or notes, and the report says what is so. Runs no other test."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

from tests.conformance.checklist import TABLES, Row, load, natural, parse
from tests.conformance.outcome import Outcome
from tests.conformance.plugin import Collector
from tests.conformance.report import Finding, problems, render

TESTS = Path(__file__).parent.parent
CONFORMS = "pytest.mark.conforms"
LEVELS = ["MUST", "MUST NOT", "REQ", "SHOULD", "SHOULD NOT", "MAY", "LIB"]


def ids_marked() -> set[str]:
    """Return the ids that the marks of all tests name."""
    return {row for path in TESTS.rglob("*.py") for row in _ids_in(ast.parse(path.read_bytes()))}


def _ids_in(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == CONFORMS:
            for argument in node.args:
                assert isinstance(argument, ast.Constant), f"not a plain id: {ast.unparse(node)}"
                yield str(argument.value)


# --- The checklist ----------------------------------------------------------------------------------------------------


def test_the_rows_have_ids_without_gaps() -> None:
    last = {"NP": 82, "PC": 162, "UP": 153, "Q": 72}
    expected = [f"{prefix}-{number:02}" for prefix in last for number in range(1, last[prefix] + 1)]
    expected += ["Q-72a", "Q-72b", "Q-72c", "Q-72d", "Q-73", *(f"F{number}" for number in range(1, 62))]
    assert [row.id for row in load()] == expected


def test_each_file_has_the_rows_of_its_prefix_in_their_order() -> None:
    for prefix, name in TABLES.items():
        rows = parse((Path(__file__).parent / name).read_text("utf-8"))
        assert rows == tuple(row for row in load() if row.prefix == prefix)


def test_ids_are_in_the_order_of_their_numbers() -> None:
    ordered = ["NP-82", "PC-09", "PC-10", "PC-99", "PC-100", "UP-153", "Q-72", "Q-72a", "Q-72b", "Q-73"]
    ordered += ["F1", "F2", "F10", "X-1", "X-2"]
    backwards = ordered[::-1]
    assert sorted(backwards, key=natural) == ordered


@pytest.mark.parametrize("level", [*LEVELS, "QUIRK", "FAULT"])
def test_each_level_is_used(level: str) -> None:
    assert level in {row.level for row in load()}


def test_the_levels_are_those_explained() -> None:
    words = {word for row in load() if row.prefix not in {"Q", "F"} for word in row.level.replace("/", " ").split()}
    assert words == {"MUST", "NOT", "REQ", "SHOULD", "MAY", "LIB"}
    assert {row.level for row in load() if row.prefix == "Q"} == {"QUIRK"}
    assert {row.level for row in load() if row.prefix == "F"} == {"FAULT"}


def test_each_id_in_a_mark_is_a_row() -> None:
    assert ids_marked() - {row.id for row in load()} == set()


def test_each_row_has_a_test_or_a_note() -> None:
    marked = ids_marked()
    assert [row.id for row in load() if row.id not in marked and not row.note] == []


@pytest.mark.parametrize(
    "line",
    [
        "| NP-01 | text | MUST | 3 |",
        "| NP-01 | text |  | 3 |  |",
        "| NP-01 | text | MUST | 3 |  |  |",
        "| XY-01 | text | MUST | 3 |  |",
        "| Q-1 | text | QUIRK | some |  |",
        "| Q100 | text | QUIRK | some |  |",
        "| F01 | text | FAULT | some |  |",
        "| F-10 | text | FAULT | some |  |",
        "| Q-72A | text | QUIRK | some |  |",
        "| Q-72ab | text | QUIRK | some |  |",
        "| UP-\N{ARABIC-INDIC DIGIT ONE}1 | text | MUST | 3 |  |",
        "|",
    ],
)
def test_a_line_that_is_no_row_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="not a row"):
        parse(line)


def test_text_around_the_tables_is_left_out() -> None:
    text = "# Title\n\n| id | a | b | c | d |\n|---|---|---|---|---|\n| PC-162 | keep it | LIB | 15 | why |\n\nend\n"
    assert parse(text) == (Row("PC-162", "keep it", "LIB", "15", "why"),)


@pytest.mark.parametrize(
    ("name", "prefix"), [("UP-153", "UP"), ("Q-73", "Q"), ("Q-72a", "Q"), ("F1", "F"), ("F61", "F")]
)
def test_rows_of_every_kind_of_id(name: str, prefix: str) -> None:
    (row,) = parse(f"| {name} | drops *it* | QUIRK | some router |  |")
    assert row == Row(name, "drops *it*", "QUIRK", "some router", "")
    assert row.prefix == prefix


# --- The report -------------------------------------------------------------------------------------------------------


def a_row(name: str, level: str = "MUST", note: str = "") -> Row:
    return Row(name, "something", level, "3.1", note)


GOOD = Finding(a_row("NP-01"), ("wire/test_a.py::test_b", "wire/test_a.py::test_c"), Outcome.PASSED)
BAD = Finding(a_row("NP-02", "REQ/LIB"), ("test_a.py::test_d",), Outcome.FAILED)
SKIPPED = Finding(a_row("NP-03", "SHOULD"), ("router/test_a.py::test_e",), Outcome.SKIPPED)
EXPLAINED = Finding(a_row("NP-04", "SHOULD NOT", note="not spoken here"))
BARE = Finding(a_row("NP-05", "MAY"))
LEFT_OUT = Finding(a_row("NP-06"), ("test_a.py::test_f",), Outcome.NOT_RUN)
OTHER = Finding(a_row("UP-100"), ("upnp/test_a.py::test_g",), Outcome.PASSED)
ODD = Finding(a_row("Q-72a", "QUIRK"), ("test_b.py::test_h",), Outcome.PASSED)


def test_the_report_of_a_made_up_run() -> None:
    findings = [GOOD, BAD, SKIPPED, EXPLAINED, BARE, LEFT_OUT, OTHER, ODD]
    assert render(findings, ["NP-01", "Q-100", "Q-99", "NP-99"]) == (
        "id      level       result   tests  first test\n"
        "NP-01   MUST        passed   2      wire/test_a.py::test_b\n"
        "NP-02   REQ/LIB     FAILED   1      test_a.py::test_d\n"
        "NP-03   SHOULD      skipped  1      router/test_a.py::test_e\n"
        "NP-04   SHOULD NOT  no test  0      -\n"
        "NP-05   MAY         no test  0      -\n"
        "NP-06   MUST        not run  1      test_a.py::test_f\n"
        "UP-100  MUST        passed   1      upnp/test_a.py::test_g\n"
        "Q-72a   QUIRK       passed   1      test_b.py::test_h\n"
        "\n"
        "Rows without a test\n"
        "NP-04  SHOULD NOT  not spoken here\n"
        "NP-05  MAY         ?\n"
        "\n"
        "in a mark, but not in the checklist: NP-99, Q-99, Q-100\n"
        "FAILED: NP-02\n"
        "neither a test nor a note: NP-05\n"
        "\n"
        "NP  6 rows  MUST 1 not run, 1 passed; REQ 1 FAILED; SHOULD 1 no test, 1 skipped; MAY 1 no test\n"
        "UP  1 rows  MUST 1 passed\n"
        "Q   1 rows  QUIRK 1 passed\n"
        "8 rows in all"
    )


def test_a_run_in_which_all_is_well_has_no_problems() -> None:
    findings = [GOOD, SKIPPED, EXPLAINED, LEFT_OUT]
    assert problems(findings, ["NP-01", "NP-03", "NP-06"]) == []
    assert render([GOOD], ["NP-01"]).splitlines()[-3:] == ["", "NP  1 rows  MUST 1 passed", "1 rows in all"]


@pytest.mark.parametrize("level", [*LEVELS, "QUIRK", "FAULT"])
def test_a_row_of_any_level_needs_a_test_or_a_note(level: str) -> None:
    assert problems([Finding(a_row("NP-01", level))], []) == ["neither a test nor a note: NP-01"]


# --- The gathering ----------------------------------------------------------------------------------------------------


When = Literal["setup", "call", "teardown"]
Ended = Literal["passed", "failed", "skipped"]
ASYNCIO, TRIO = "tests/test_a.py::test_b[asyncio]", "tests/test_a.py::test_b[trio]"


def a_report(test: str, when: When, outcome: Ended) -> pytest.TestReport:
    return pytest.TestReport(test, ("a.py", 1, "test"), {}, outcome, None, when)


def gathered(*phases: tuple[When, Ended]) -> Outcome:
    """Return the outcome of a row whose test passed on asyncio and had these phases on trio."""
    collector = Collector()
    collector._tests["NP-01"] += [ASYNCIO, TRIO]
    collector.pytest_runtest_logreport(a_report(ASYNCIO, "call", "passed"))
    for when, outcome in phases:
        collector.pytest_runtest_logreport(a_report(TRIO, when, outcome))
    assert collector.functions("NP-01") == ("test_a.py::test_b",)
    return collector.outcome("NP-01")


def test_a_row_passes_by_one_test_and_fails_by_one_test() -> None:
    """One that is skipped takes nothing away from another that passed."""
    assert gathered() is Outcome.PASSED
    assert gathered(("setup", "passed"), ("call", "passed"), ("teardown", "passed")) is Outcome.PASSED
    assert gathered(("setup", "passed"), ("call", "failed"), ("teardown", "passed")) is Outcome.FAILED
    assert gathered(("setup", "failed"), ("teardown", "passed")) is Outcome.FAILED
    assert gathered(("setup", "passed"), ("call", "passed"), ("teardown", "failed")) is Outcome.FAILED
    assert gathered(("setup", "skipped"), ("teardown", "passed")) is Outcome.PASSED


def test_a_row_whose_only_test_is_skipped_is_skipped() -> None:
    collector = Collector()
    collector._tests["NP-01"].append(TRIO)
    collector.pytest_runtest_logreport(a_report(TRIO, "setup", "skipped"))
    collector.pytest_runtest_logreport(a_report(TRIO, "teardown", "passed"))
    assert collector.outcome("NP-01") is Outcome.SKIPPED


def test_a_test_that_is_expected_to_fail_is_none_that_passes() -> None:
    collector = Collector()
    collector._tests["NP-01"].append("tests/test_a.py::test_b")
    report = a_report("tests/test_a.py::test_b", "call", "skipped")
    report.wasxfail = "because"
    collector.pytest_runtest_logreport(report)
    assert collector.outcome("NP-01") is Outcome.FAILED


def test_a_row_nobody_marked_has_no_tests() -> None:
    assert Collector().functions("NP-01") == ()
    assert Collector().outcome("NP-01") is Outcome.NOT_RUN
