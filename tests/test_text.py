"""Text from the network is safe to print and to log."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portmapper import limits
from portmapper.text import safe_text
from tests.fuzz import examples


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("WANIPConnection:2", "WANIPConnection:2"),
        ("Straße 日本 \N{SNOWMAN}", "Straße 日本 \N{SNOWMAN}"),
    ],
)
def test_ordinary_text_is_left_alone(text: str, shown: str) -> None:
    assert safe_text(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]0;owned\x07", "\\x1b]0;owned\\x07"),  # OSC: sets the title of the window
        ("\x1b[2J\x1b[1;1H", "\\x1b[2J\\x1b[1;1H"),  # CSI: clears the screen
        ("\x9b2J\x9d0;x\x9c", "\\x9b2J\\x9d0;x\\x9c"),  # the same as single C1 characters
        ("a\x00b\x08c\x7f", "a\\x00b\\x08c\\x7f"),
        ("one\r\ntwo\tthree", "one\\r\\ntwo\\tthree"),
        ("\x0b\x0c\x1c\x1d\x1e\x85", "\\x0b\\x0c\\x1c\\x1d\\x1e\\x85"),
        ("\u2028\u2029", "\\u2028\\u2029"),
        ("\u202eexe.txt\u202c\u2066x\u2069\u200f", "\\u202eexe.txt\\u202c\\u2066x\\u2069\\u200f"),  # bidi
        ("\u200b\ufeff\xad", "\\u200b\\ufeff\\xad"),  # invisible
        ("\ud800x\udfff", "\\ud800x\\udfff"),  # lone surrogates cannot be encoded
        ("\ue000\U000f0000\U000e0001", "\\ue000\\U000f0000\\U000e0001"),  # private use, tags
        ("\U0010ffff\u0378", "\\U0010ffff\\u0378"),  # no characters
    ],
)
def test_what_steers_a_terminal_or_forges_a_line_is_escaped(text: str, shown: str) -> None:
    assert safe_text(text) == shown


def test_long_text_is_cut() -> None:
    assert safe_text("x" * limits.SHOWN_TEXT) == "x" * limits.SHOWN_TEXT
    assert safe_text("x" * (limits.SHOWN_TEXT + 1)) == "x" * limits.SHOWN_TEXT + "..."


def test_the_limit_can_be_chosen_and_counts_before_escaping() -> None:
    assert safe_text("abcdef", limit=3) == "abc..."
    assert safe_text("\n\n\n\n", limit=2) == "\\n\\n..."
    assert safe_text("", limit=0) == ""


def harmless(char: str) -> bool:
    return char.isprintable() or unicodedata.category(char) == "Zs"  # a space of another width


ANY_TEXT = st.text(st.characters(exclude_categories=()))


@given(ANY_TEXT)
@examples(300)
def test_any_text_comes_out_printable_bounded_and_on_one_line(text: str) -> None:
    shown = safe_text(text)
    assert all(harmless(char) for char in shown)
    assert len(shown) <= 10 * limits.SHOWN_TEXT + 3
    assert len(shown.splitlines()) <= 1
    shown.encode("utf-8")


@given(st.text(st.characters(categories=["Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"]), min_size=1, max_size=20))
@examples(100)
def test_text_of_nothing_but_unsafe_characters_comes_out_in_ascii(text: str) -> None:
    assert safe_text(text).isascii()
    assert safe_text(text).isprintable()
