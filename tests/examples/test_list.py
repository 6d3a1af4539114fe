"""The list of the examples is complete, and each example has a test."""

import re
from pathlib import Path

from tests.examples.loading import EXAMPLES

LISTED = set(re.findall(r"\]\(((?!\.\.)[^)]*)\)", (EXAMPLES / "README.md").read_text()))
TESTS = "\n".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))


def there_are() -> set[str]:
    """What is an example by itself: a program, a unit, a package of another language."""
    programs = [*EXAMPLES.rglob("*.py"), *EXAMPLES.rglob("*.service"), *EXAMPLES.glob("*/package.json")]
    paths = {path.parent if path.name == "package.json" else path for path in programs}
    return {path.relative_to(EXAMPLES).as_posix() for path in paths if "node_modules" not in path.parts}


def test_each_example_is_in_the_list_and_the_list_names_nothing_else() -> None:
    assert {name.removesuffix("/") for name in LISTED} == there_are()


def test_a_test_names_each_example() -> None:
    """That it also runs it is for the reader of that test to see."""
    assert [name for name in there_are() if not re.search(rf'"([\w/]*/)?{Path(name).stem}(\.\w+)?"', TESTS)] == []
